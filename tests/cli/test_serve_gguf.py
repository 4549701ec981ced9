"""`duologue serve model.gguf`: which backend runs it, and what is said where none can."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duologue_pocket
import pytest
from click.testing import CliRunner, Result

from duologue import Client
from duologue.cli import main
from duologue.engines.local import LlamaCppEngine, LocalEngine
from duologue.run import load_target
from support.gguf_writer import BF16, F16, ModelFile, tiny_model

needs_llama_cpp = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="llama.cpp is not installed"
)
POCKET = str(duologue_pocket.path())


@pytest.fixture
def serve() -> Callable[..., Result]:
    """Runs a command that is expected to fail before it serves anything."""
    return lambda *arguments: CliRunner().invoke(main, ["serve", *map(str, arguments), "--port", "0"])


@pytest.fixture
def without_llama_cpp(monkeypatch) -> None:
    """As on a machine where the package is not installed."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)


def served(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own, with a free port."""
    return subprocess.Popen(
        [sys.executable, "-m", "duologue", "serve", *arguments, "--port", "0"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("options", "backend"),
    [
        pytest.param([], "llama.cpp", marks=needs_llama_cpp),
        pytest.param(
            [
                "--backend",
                "llama.cpp",
                "--context",
                "512",
                "--slots",
                "2",
                "--threads",
                "1",
                "--gpu-layers",
                "0",
            ],
            "llama.cpp",
            marks=needs_llama_cpp,
        ),
        (["--backend", "numpy"], "numpy-"),
    ],
    ids=["whatever is best", "llama.cpp", "numpy"],
)
def test_a_model_file_is_served(tmp_path, options, backend):
    """Under the name that the file gives it, until the server is told to stop."""
    path = tiny_model("qwen3").write(tmp_path)
    with served(str(path), *options) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        name, url = re.fullmatch(r"Serving (.+) at (\S+)\n", line).groups()
        assert name == "tiny qwen3"
        with Client(base_url=url) as client:
            assert [model.id for model in client.models.list().data] == [name]
            with client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "Hi"}], max_tokens=5, stream=True
            ) as stream:
                chunks = list(stream)
        assert backend in chunks[0].system_fingerprint
        assert chunks[-1].choices[0].finish_reason in ("length", "stop")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@needs_llama_cpp
def test_llama_cpp_is_taken_where_it_is_installed(tmp_path):
    path = str(tiny_model().write(tmp_path))
    assert isinstance(load_target(path), LlamaCppEngine)
    assert isinstance(load_target(path, backend="numpy"), LocalEngine)


def test_numpy_is_taken_where_llama_cpp_is_not_installed(tmp_path, without_llama_cpp):
    assert isinstance(load_target(str(tiny_model().write(tmp_path))), LocalEngine)


def spoiled(change: Callable[[ModelFile], Any]) -> ModelFile:
    model = tiny_model("llama")
    change(model)
    return model


def as_k_quant(model: ModelFile) -> bytes:
    """The file with the type of one tensor changed to one that numpy does not read."""
    array, _ = model.tensors["blk.0.attn_q.weight"]
    model.tensors["blk.0.attn_q.weight"] = (array, F16)
    raw = bytearray(model.encode())
    at = raw.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight") + 4 + 16
    assert raw[at] == F16
    raw[at] = 12  # Q4_K
    return bytes(raw)


FOREIGN = spoiled(lambda model: model.metadata.update({"general.architecture": "gemma3"})).encode()
NO_TEMPLATE = spoiled(lambda model: model.metadata.pop("tokenizer.chat_template")).encode()
OTHER_WORDS = spoiled(lambda model: model.metadata.update({"tokenizer.ggml.pre": "tekken"})).encode()
WHOLE = tiny_model("llama", kind=BF16).encode()


@pytest.mark.parametrize("backend", ["numpy", pytest.param("llama.cpp", marks=needs_llama_cpp)])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; download or copy it again"),
        (b"PK\x03\x04 something else", "is not a GGUF file; convert the model"),
        (WHOLE[:-200], "ends too early"),
        (WHOLE[:300], "ends too early"),
        (NO_TEMPLATE, "has no chat template; take a model made for chat"),
    ],
    ids=["empty", "not GGUF", "weights cut off", "head cut off", "no template"],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, serve, backend, content, words):
    """By either backend, with what to do."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    result = serve(path, "--backend", backend)
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.startswith(f"Error: {path}: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FOREIGN, "'gemma3' model"),
        (as_k_quant(tiny_model("llama")), "as Q4_K"),
        (OTHER_WORDS, "'tekken'"),
    ],
    ids=["architecture", "quantization", "tokenizer"],
)
def test_what_only_llama_cpp_can_run_names_the_extra(tmp_path, serve, without_llama_cpp, content, words):
    """Where it is not installed, and numpy cannot run the file."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    result = serve(path)
    assert words in result.output
    assert "pip install 'duologue[serve,gguf]'" in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.gguf"], "missing.gguf: the model file cannot be opened: No such file"),
        ([POCKET, "--backend", "numpy", "--context", "64"], "numpy takes no context"),
        ([POCKET, "--backend", "numpy", "--threads", "1"], "numpy takes no threads"),
        (["echo", "--context", "64"], "--context is for a model file"),
        (["--slots", "2"], "--slots is for a model file"),
        (["echo", "--backend", "numpy"], "--backend is for a model file"),
        (["hf:nobody"], "hf:owner/repository:folder/model.Q8_0.gguf"),
        pytest.param([POCKET, "--context", "9999999"], "at most", marks=needs_llama_cpp),
    ],
    ids=" ".join,
)
def test_options_that_do_not_fit_are_refused_in_one_line(serve, arguments, words):
    result = serve(*arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("option", ["--context", "--slots", "--threads"])
def test_numbers_that_make_no_sense_are_refused(serve, option):
    assert serve(POCKET, option, "0").exit_code == 2


def test_llama_cpp_that_is_not_installed_is_told(serve, without_llama_cpp):
    """With the command that installs it."""
    result = serve(POCKET, "--backend", "llama.cpp")
    assert "pip install 'duologue[serve,gguf]'" in result.output
    assert result.output.count("\n") == 1


@needs_llama_cpp
def test_the_version_that_the_extra_allows_is_tested():
    """What the tests run with is in the range of the extra."""
    assert (2026, 10) <= tuple(map(int, version("xllamacpp").split(".")[:2])) < (2027, 0)


def test_a_file_may_be_named_in_any_case(tmp_path):
    """As it comes from other systems."""
    path: Path = tiny_model().write(tmp_path, "MODEL.GGUF")
    assert load_target(str(path), backend="numpy").models[0] == "tiny qwen3"
