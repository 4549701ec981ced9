"""Every parameter, with an engine of each declaration, strict and lenient: never ignored in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest

from duologue import create_app
from duologue.engine import EMULATED, Support, Text, ToolArguments, ToolCall
from duologue.protocol.checks import PARAMETERS
from duologue.server.support import SERVED
from support.emulated import post
from support.parameters import ASKING

CALL = [ToolCall("f"), ToolArguments("{}")]
TWO_CALLS = [*CALL, ToolCall("f", index=1)]


class Declaring:
    """An engine that declares one parameter as `support`, and as native what stands beside it in a request."""

    models = ("m",)

    def __init__(self, name: str, support: str, pieces: Any = ("fine",)) -> None:
        self.supports: dict[str, Any] = dict.fromkeys((*ASKING[name], "tools", "tool_choice"), "native")
        if name in ("functions", "function_call") and support == "emulated":
            self.supports |= {"functions": "emulated", "function_call": "emulated", "tool_choice": "emulated"}
        self.supports[name] = support
        self.pieces = pieces
        self.handed: list[Any] = []

    async def generate(self, request):
        self.handed.append(request)
        for piece in self.pieces:
            yield piece


PROFILES = pytest.mark.parametrize("profile", ["strict", "lenient"])
NAMES = pytest.mark.parametrize("name", sorted(ASKING))


def test_no_parameter_and_no_declaration_is_missing():
    """What is tested below is all there is."""
    assert set(ASKING) | SERVED == set(PARAMETERS)
    assert set(get_args(Support)) == {"native", "emulated", "inert", "delegated", "unsupported"}
    assert set(EFFECTS) == set(EMULATED)


@PROFILES
@NAMES
def test_native_is_handed_over(name, profile):
    """With nothing else said."""
    engine = Declaring(name, "native")
    status, headers, _ = post(engine, profile=profile, **ASKING[name])
    assert status == 200
    assert not {"duologue-delegated-params", "duologue-ignored-params"} & headers.keys()
    assert getattr(engine.handed[0], name) is not None


@PROFILES
@NAMES
def test_inert_is_taken(name, profile):
    """The engine's author says that it has no effect."""
    status, headers, _ = post(Declaring(name, "inert"), profile=profile, **ASKING[name])
    assert status == 200
    assert not {"duologue-delegated-params", "duologue-ignored-params"} & headers.keys()


@PROFILES
@NAMES
def test_delegated_is_handed_over_and_named(name, profile):
    """In a header of the answer."""
    engine = Declaring(name, "delegated")
    status, headers, _ = post(engine, profile=profile, **ASKING[name])
    assert (status, headers["duologue-delegated-params"]) == (200, name)
    assert "duologue-ignored-params" not in headers
    assert getattr(engine.handed[0], name) is not None


@NAMES
def test_unsupported_is_refused(name):
    """By its name, before the engine is asked."""
    engine = Declaring(name, "unsupported")
    status, _, body = post(engine, **ASKING[name])
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", name)
    assert engine.handed == []


@NAMES
def test_unsupported_is_dropped_and_named_by_a_lenient_server(name):
    """The engine never sees it."""
    engine = Declaring(name, "unsupported")
    status, headers, _ = post(engine, profile="lenient", **ASKING[name])
    assert (status, headers["duologue-ignored-params"]) == (200, name)
    assert getattr(engine.handed[0], name) is None


@NAMES
def test_emulated_is_only_what_can_be(name):
    """Another declaration does not become a server."""
    engine = Declaring(name, "emulated")
    if name in EMULATED:
        create_app(engine)
    else:
        with pytest.raises(ValueError, match=f"declares '{name}' as emulated"):
            create_app(engine)


def _choice(body: bytes) -> Any:
    return json.loads(body)["choices"][0]


def _failed(status: int, body: bytes) -> bool:
    return status == 502 and json.loads(body)["error"]["code"] == "engine_output_invalid"


# What an engine yields to whom the parameter means nothing, and how the answer shows that it was honoured.
EFFECTS: dict[str, tuple[Any, Callable[[int, bytes], bool]]] = {
    "function_call": (["text"], _failed),
    "functions": (CALL, lambda _, body: _choice(body)["message"]["function_call"]["name"] == "f"),
    "max_completion_tokens": (["a" * 90], lambda _, body: _choice(body)["message"]["content"] == "a" * 20),
    "max_tokens": (["a" * 90], lambda _, body: _choice(body)["message"]["content"] == "a" * 20),
    "n": (["text"], lambda _, body: len(json.loads(body)["choices"]) == 2),
    "parallel_tool_calls": (TWO_CALLS, _failed),
    "response_format": (["text"], _failed),
    "stop": ([Text("axb")], lambda _, body: _choice(body)["message"]["content"] == "a"),
    "tool_choice": (["text"], _failed),
}


@PROFILES
@pytest.mark.parametrize("name", sorted(EMULATED))
def test_emulated_has_its_effect(name, profile):
    """Whatever the engine does."""
    pieces, shown = EFFECTS[name]
    status, headers, body = post(Declaring(name, "emulated", pieces), profile=profile, **ASKING[name])
    assert shown(status, body), (status, body)
    assert not {"duologue-delegated-params", "duologue-ignored-params"} & headers.keys()
