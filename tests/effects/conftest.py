"""The models whose answers are looked at, and the table of what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duologue_pocket
import pytest

from duologue.engines.local import LlamaCppEngine, LocalEngine
from effects.chat import Chat, chat_with
from effects.page import MODELS, PAGE, Table
from support.gguf_writer import tiny_model

ENGINES = {"numpy": LocalEngine, "llama.cpp": partial(LlamaCppEngine, threads=1)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-effects", action="store_true", help=f"write {PAGE.name} from what this run sees"
    )


@pytest.fixture(scope="session", params=MODELS)
def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    name, architecture, backend = request.param, *MODELS[request.param]
    if backend == "llama.cpp":
        pytest.importorskip("xllamacpp", reason="needs llama.cpp: pip install xllamacpp")
    path = Path(duologue_pocket.path())
    if architecture is not None:
        path = tiny_model(architecture, style="think", context=1024).write(tmp_path_factory.mktemp("model"))
    with chat_with(ENGINES[backend](path, model=name), path) as chat:
        yield chat


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    table = Table()
    yield table
    if request.config.getoption("write_effects", default=False):
        PAGE.write_text(table.page(), "utf-8")
