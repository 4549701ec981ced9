"""What a TARGET is, and what is said of one that is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from duologue.engine import Engine
from duologue.engines.echo import EchoEngine
from duologue.protocol.errors import DuologueError
from duologue.run import load_target, load_targets

AGENT = """
from duologue.engine import Text

VALUE = 3

def answer(request):
    return "Hello"

class Whole:
    models = ("whole",)
    supports = {}
    async def generate(self, request):
        yield Text("x")

whole = Whole()

class Holder:
    answer = staticmethod(answer)

def two(request, more):
    return "x"

async def app(scope, receive, send):
    pass
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of its own, with modules whose names nobody else has."""
    (tmp_path / "agent_of_test.py").write_text(AGENT)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    (tmp_path / "a=b.gguf").write_bytes(b"")
    (tmp_path / "lame_of_test.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "wrong_of_test.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in ("agent_of_test", "lame_of_test", "wrong_of_test"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("echo", "echo"),
        ("agent_of_test:answer", "answer"),
        ("agent_of_test:whole", "whole"),
        ("agent_of_test:Holder.answer", "answer"),
    ],
)
def test_a_target_names_an_engine(folder, target, model):
    """`echo`, or an attribute of a module in this folder or installed."""
    engine = load_target(target)
    assert isinstance(engine, Engine)
    assert engine.models[0] == model


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "give 'echo', or 'module:attribute'"),
        ("ehco", "did you mean 'echo'"),
        ("answer", "Cannot serve 'answer'"),
        ("agent_of_test", "such as 'agent_of_test:answer'"),
        ("agent_of_test.answer", "did you mean 'agent_of_test:answer'"),
        ("agent_of_test.py:answer", "such as 'agent_of_test:answer'"),
        ("agent_of_test.py", "such as 'agent_of_test:answer'"),
        ("./agent_of_test.py:question", "such as 'agent_of_test:question'"),
        ("sub/agent.py:answer", "such as 'sub.agent:answer'"),
        ("weights.safetensors", "must be a GGUF file"),
        ("gone.gguf", "gone.gguf"),
        ("agent_of_test:answer()", "module:attribute"),
        ("agent_of_test:anser", "Did you mean 'answer'"),
        ("agent_of_test:Holder.answr", "Did you mean 'answer'"),
        ("agent_of_test:two", "must take one argument, the request"),
        ("agent_of_test:app", "must take one argument, the request"),
        ("agent_of_test:", "module:attribute"),
        (":answer", "module:attribute"),
        (".agent_of_test:answer", "module:attribute"),
        ("not_there_of_test:answer", "Cannot find the module 'not_there_of_test'"),
        ("agent_of_test.sub:answer", "Cannot find the module 'agent_of_test.sub'"),
        ("agent_of_test:question", "has no 'question'"),
        ("agent_of_test:Holder.question", r"has no 'Holder.question'"),
        ("agent_of_test:Whole", r"Whole is a class; pass an instance of it"),
        ("agent_of_test:VALUE", "3 cannot be served"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(folder, target, message):
    """In one line, with what would do."""
    with pytest.raises(DuologueError, match=message) as caught:
        load_target(target)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("target", "kind"), [("lame_of_test:x", ModuleNotFoundError), ("wrong_of_test:x", ZeroDivisionError)]
)
def test_what_a_module_itself_gets_wrong_is_its_own(folder, target, kind):
    """Its traceback says more than any word of ours."""
    with pytest.raises(kind) as caught:
        load_target(target)
    assert not isinstance(caught.value, DuologueError)


# --- several -------------------------------------------------------------------------------------------


def test_no_target_is_the_built_in_model():
    """Which answers to its own name."""
    found = load_targets(())
    assert isinstance(found, Engine)
    assert list(found.models) == ["pocket"]


def test_several_targets_are_several_models(folder):
    """By the names they are given, else by their own."""
    found = load_targets(["echo", "agent=agent_of_test:answer", "agent_of_test:whole", "org/x:1=echo"])
    assert isinstance(found, dict)
    assert list(found) == ["echo", "agent", "whole", "org/x:1"]
    assert isinstance(found["org/x:1"], EchoEngine)
    assert list(found["agent"].models) == ["answer"]


def test_one_target_may_have_a_name(folder):
    """It answers to no other then."""
    found = load_targets(["agent=agent_of_test:answer"])
    assert isinstance(found, dict)
    assert list(found) == ["agent"]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["=echo"], "write name=TARGET"),
        (["small="], "write name=TARGET"),
        (["echo", "echo"], "Two targets answer to the model 'echo'. .* other=echo"),
        (["a=echo", "a=agent_of_test:answer"], "Two targets answer to the model 'a'"),
        (["a=ehco"], "did you mean 'echo'"),
        (["a=b.gguf"], "a=b.gguf"),  # a file of this name is there
    ],
)
def test_what_is_wrong_with_several_is_said(folder, targets, message):
    """In one line, too."""
    with pytest.raises(DuologueError, match=message) as caught:
        load_targets(targets)
    assert "\n" not in caught.value.message


def test_settings_are_for_model_files(folder):
    """Where there is none, the option is named."""
    with pytest.raises(DuologueError, match="--gpu-layers is for a model file"):
        load_targets(["echo", "agent_of_test:answer"], gpu_layers=1)
