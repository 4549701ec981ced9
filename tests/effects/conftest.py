"""The models whose answers are looked at, and the table of what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duologue_pocket
import pytest

from effects.chat import Chat, chat_with
from effects.page import MODELS, PAGE, Table
from support.gguf_writer import tiny_model


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-effects", action="store_true", help=f"write {PAGE.name} from what this run sees"
    )


@pytest.fixture(scope="session", params=MODELS)
def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    name = request.param
    path = Path(duologue_pocket.path())
    if name != "pocket":
        path = tiny_model(name, style="think").write(tmp_path_factory.mktemp("model"))
    with chat_with(path, name) as chat:
        yield chat


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    table = Table()
    yield table
    if request.config.getoption("write_effects", default=False):
        PAGE.write_text(table.page(), "utf-8")
