"""Every parameter, with an engine of each declaration, in each profile and mode: never ignored in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest

from duologue import create_app
from duologue.engine import DELEGATED, EMULATED, Support, Text, ToolArguments, ToolCall
from duologue.protocol.checks import PARAMETERS
from duologue.server.options import PROFILES
from duologue.server.support import DEFAULTS, INERT, SERVED
from support.emulated import Said, answer, post
from support.parameters import ASKING

CALL = [ToolCall("f"), ToolArguments("{}")]
TWO_CALLS = [*CALL, ToolCall("f", index=1)]
NAMING = {"duologue-delegated-params", "duologue-ignored-params"}


class Declaring:
    """An engine that declares one parameter as `support`, and as native what stands beside it in a request."""

    models = ("m",)
    double = True  # so that the profile `mock` is judged, too

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


every_profile = pytest.mark.parametrize("profile", PROFILES)
every_lenient = pytest.mark.parametrize("profile", [each for each in PROFILES if each != "strict"])
every_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
every_name = pytest.mark.parametrize("name", sorted(ASKING))


def test_no_parameter_and_no_declaration_is_missing():
    """What is tested below is all there is."""
    assert set(ASKING) | SERVED == set(PARAMETERS)
    assert len(PARAMETERS) == 37
    assert set(get_args(Support)) == {"native", "emulated", "inert", "delegated", "unsupported"}
    assert set(EFFECTS) == set(EMULATED)


# --- what an engine declares ---------------------------------------------------------------------------


@every_mode
@every_profile
@every_name
def test_native_is_handed_over(name, profile, stream):
    """With nothing else said."""
    engine = Declaring(name, "native")
    status, headers, _ = post(engine, profile=profile, stream=stream, **ASKING[name])
    assert status == 200
    assert not NAMING & headers.keys()
    assert getattr(engine.handed[0], name) is not None


@every_mode
@every_profile
@every_name
def test_inert_is_taken(name, profile, stream):
    """The engine's author says that it has no effect."""
    status, headers, _ = post(Declaring(name, "inert"), profile=profile, stream=stream, **ASKING[name])
    assert status == 200
    assert not NAMING & headers.keys()


@every_mode
@every_profile
@every_name
def test_delegated_is_handed_over_and_named(name, profile, stream):
    """In a header of the answer."""
    engine = Declaring(name, "delegated")
    status, headers, _ = post(engine, profile=profile, stream=stream, **ASKING[name])
    assert (status, headers["duologue-delegated-params"]) == (200, name)
    assert "duologue-ignored-params" not in headers
    assert getattr(engine.handed[0], name) is not None


@every_mode
@every_name
def test_unsupported_is_refused(name, stream):
    """By its name, before the engine is asked."""
    engine = Declaring(name, "unsupported")
    status, _, body = post(engine, stream=stream, **ASKING[name])
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", name)
    assert engine.handed == []


@every_mode
@every_lenient
@every_name
def test_unsupported_is_dropped_and_named_by_a_lenient_server(name, profile, stream):
    """The engine never sees it."""
    engine = Declaring(name, "unsupported")
    status, headers, _ = post(engine, profile=profile, stream=stream, **ASKING[name])
    assert (status, headers["duologue-ignored-params"]) == (200, name)
    assert getattr(engine.handed[0], name) is None


@every_name
def test_emulated_is_only_what_can_be(name):
    """Another declaration does not become a server."""
    engine = Declaring(name, "emulated")
    if name in EMULATED:
        create_app(engine)
    else:
        with pytest.raises(ValueError, match=f"declares '{name}' as 'emulated', which no server can do"):
            create_app(engine)


@pytest.mark.parametrize(
    ("name", "support", "words"),
    [
        pytest.param("temprature", "native", "which is no parameter", id="a-slip-in-the-name"),
        pytest.param("temperature", "nativ", "which is none of native, emulated", id="a-slip-in-the-word"),
        *(pytest.param(name, "unsupported", "the server itself", id=name) for name in sorted(SERVED)),
    ],
)
def test_a_declaration_that_means_nothing_does_not_become_a_server(name, support, words):
    """Else a parameter would be refused, or ignored, by a slip of the pen."""
    engine = Declaring("n", "native")
    engine.supports[name] = support
    with pytest.raises(ValueError, match=words):
        create_app(engine)


# --- what the server does in an engine's stead ---------------------------------------------------------


def _content(text: str) -> Callable[[Said], bool]:
    return lambda said: said.text == text


# What an engine yields to whom the parameter means nothing, and how the answer shows that it was honoured; None
# where no such answer can be had of it, which is an error of the engine.
EFFECTS: dict[str, tuple[Any, Callable[[Said], bool] | None]] = {
    "function_call": (["text"], None),
    "functions": (CALL, lambda said: said.choices[0]["function_call"] == {"name": "f", "arguments": "{}"}),
    "max_completion_tokens": (["a" * 90], _content("a" * 20)),
    "max_tokens": (["a" * 90], _content("a" * 20)),
    "n": (["text"], lambda said: [choice["content"] for choice in said.choices] == ["text", "text"]),
    "parallel_tool_calls": (TWO_CALLS, None),
    "response_format": (["text"], None),
    "stop": ([Text("axb")], _content("a")),
    "tool_choice": (["text"], None),
}


@every_mode
@every_profile
@pytest.mark.parametrize("name", sorted(EMULATED))
def test_emulated_has_its_effect(name, profile, stream):
    """Whatever the engine does."""
    pieces, shown = EFFECTS[name]
    engine = Declaring(name, "emulated", pieces)
    status, headers, body = post(engine, profile=profile, stream=stream, **ASKING[name])
    assert not NAMING & headers.keys()
    if shown is None:
        assert (status, json.loads(body)["error"]["code"]) == (502, "engine_output_invalid")
    else:
        assert shown(answer(engine, profile=profile, stream=stream, **ASKING[name]))


# What can be emulated only for an engine that knows of tools.
ABOUT_TOOLS = {"function_call", "functions", "parallel_tool_calls", "tool_choice"}
OF_A_FUNCTION = {
    **dict.fromkeys(ASKING, "refused"),
    **dict.fromkeys(DELEGATED, "delegated"),
    **dict.fromkeys(INERT, "taken"),
    **dict.fromkeys(set(EMULATED) - ABOUT_TOOLS, "taken"),
}


@every_mode
@pytest.mark.parametrize("profile", ["strict", "lenient"])
@every_name
def test_a_bare_function_ignores_nothing(name, profile, stream):
    """It declares nothing: what it may honour is handed to it and named, what the protocol defines is refused."""

    def function(request):
        return '{"fine": true}'

    status, headers, body = post(function, profile=profile, stream=stream, **ASKING[name])
    named = {header: headers[header].split(", ") for header in NAMING & headers.keys()}
    expected = OF_A_FUNCTION[name]
    if expected == "refused" and profile == "strict":
        assert (status, json.loads(body)["error"]["code"]) == (400, "unsupported_parameter")
        return
    assert status == 200
    if expected == "refused":
        assert name in named["duologue-ignored-params"]
    else:
        assert named == ({"duologue-delegated-params": [name]} if expected == "delegated" else {})


# --- what no engine has a say in -----------------------------------------------------------------------


@every_mode
@every_profile
def test_what_the_server_sees_to_is_honoured(profile, stream):
    """The model, the messages, the stream and its options, whatever the engine declares."""
    engine = Declaring("n", "unsupported")
    messages = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
    options = {"stream_options": {"include_usage": True, "include_obfuscation": True}} if stream else {}
    status, headers, body = post(engine, profile=profile, stream=stream, messages=messages, **options)
    assert status == 200
    assert not NAMING & headers.keys()
    assert [message.text for message in engine.handed[0].messages] == ["one", "two"]
    events = [
        json.loads(part) for part in body.replace(b"data: ", b"").split(b"\n\n") if part.startswith(b"{")
    ]
    assert {event["model"] for event in events} == {"m"}
    assert events[-1]["usage"]["total_tokens"] > 0
    assert headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    assert [("obfuscation" in event) for event in events] == [stream] * len(events)


@every_profile
@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_a_default_asks_for_nothing(name, profile):
    """Whatever the engine declares, it is neither refused nor named."""
    default = {"type": "text"} if name == "response_format" else DEFAULTS[name]
    beside = {"logprobs": True} if name == "top_logprobs" else {}
    engine = Declaring(name, "unsupported")
    engine.supports["logprobs"] = "unsupported" if name == "logprobs" else "native"
    status, headers, _ = post(engine, profile=profile, **{name: default}, **beside)
    assert (status, NAMING & headers.keys()) == (200, set())


@every_profile
@pytest.mark.parametrize("name", [*sorted(set(PARAMETERS) - {"messages", "model"}), "unheard_of"])
def test_what_is_wrong_or_unknown_is_refused_or_named(name, profile):
    """A value that no parameter can have, for an engine that says that it honours all."""
    engine = Declaring("n", "native")
    engine.supports |= dict.fromkeys(ASKING, "native")
    status, headers, body = post(engine, profile=profile, **{name: [[]]})
    if profile == "strict":
        assert (status, json.loads(body)["error"]["param"].partition("[")[0]) == (400, name)
        assert engine.handed == []
    else:
        assert (status, headers["duologue-ignored-params"]) == (200, name)
        assert getattr(engine.handed[0], name, None) in (None, False)


@every_profile
@pytest.mark.parametrize("name", ["messages", "model"])
def test_without_messages_and_a_model_there_is_nothing_to_answer(name, profile):
    """In no profile."""
    status, _, body = post(Declaring("n", "native"), profile=profile, **{name: [[]]})
    assert (status, json.loads(body)["error"]["param"].partition("[")[0]) == (400, name)
