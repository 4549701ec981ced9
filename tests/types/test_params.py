"""A request as people write it (TypedDicts), as the server checks it (Structs) and as the schema has it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, is_typeddict

import msgspec
import pytest

from duologue.types.chat import (
    chat_completion_message_param,
    chat_completion_tool_param,
    completion_create_params,
)
from duologue.types.chat.chat_completion import ChatCompletion
from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk
from duologue.types.chat.chat_completion_deleted import ChatCompletionDeleted
from duologue.types.chat.chat_completion_list import ChatCompletionList
from duologue.types.chat.chat_completion_message import ChatCompletionMessage
from duologue.types.chat.completion_create_params import (
    CompletionCommonParams,
    CompletionCreateParams,
    CompletionCreateParamsBase,
    CompletionCreateParamsStreaming,
)
from duologue.types.chat.request import ChatRequest
from duologue.types.model import ModelList

from ._shape import ARRAYS, MAPS, Shape, fields_of, options_of, shape_of, shape_of_schema

PARAMETERS = {
    *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
    *(
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
    ),
    *("parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed"),
    *("service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools"),
    *("top_logprobs", "top_p", "user", "verbosity", "web_search_options"),
}


def test_there_are_37_parameters():
    """Both twins have every parameter, and require the model and the messages only."""
    assert len(PARAMETERS) == 37
    assert set(ChatRequest.__struct_fields__) == PARAMETERS
    assert set(fields_of(CompletionCreateParamsBase)) == PARAMETERS - {"stream"}
    assert set(fields_of(CompletionCreateParamsStreaming)) == PARAMETERS
    for twin in (ChatRequest, CompletionCreateParamsBase):
        assert {name for name, (_, required) in fields_of(twin).items() if required} == {"model", "messages"}


# --- twin to twin --------------------------------------------------------------------------------------

# What the server takes and nobody needs to write: it stands in answers that are sent back as they are.
SERVER_ONLY = {
    "messages[](assistant).annotations": {"array"},
    "messages[](assistant).annotations[]": {"object"},
    "messages[](assistant).parsed": {"anything"},
    "messages[](assistant).function_call.parsed_arguments": {"anything"},
    "messages[](assistant).tool_calls[](function).function.parsed_arguments": {"anything"},
    "messages[](assistant).tool_calls[](function).index": {"integer"},
}


def without_limits(shape: Shape) -> Shape:
    """TypedDicts cannot say limits; nor does a map's key have a type in JSON."""
    return {
        path: words
        for path, words in shape.items()
        if (" " not in path or path.endswith(" required")) and "{key}" not in path
    }


def test_twins_have_the_same_shape():
    """At every level the same fields, the same ones required, the same types and listed values."""
    written, checked = shape_of(CompletionCreateParams), without_limits(shape_of(ChatRequest))
    assert written.pop("stream") == {"'True'", "'False'"}
    assert checked.pop("stream") == {"boolean"}
    written[" required"].remove("stream")  # of a streamed request only
    assert {**written, **SERVER_ONLY} == checked


def typed_dicts_below(hint: Any) -> set[Any]:
    found = set()
    for option in options_of(hint):
        if is_typeddict(option):
            found.add(option)
            for inner, _ in fields_of(option).values():
                found |= typed_dicts_below(inner)
        elif get_args(option) and get_origin(option) is not Literal:
            for inner in get_args(option):
                found |= typed_dicts_below(inner)
    return found


def test_every_typed_dict_belongs_to_a_request():
    """None is left over: whatever can be written has its place, so the twin test covers it."""
    modules = (chat_completion_message_param, chat_completion_tool_param, completion_create_params)
    defined = {item for module in modules for item in vars(module).values() if is_typeddict(item)}
    bases = {CompletionCommonParams, CompletionCreateParamsBase}
    assert defined - typed_dicts_below(CompletionCreateParams) == bases


def examples(hint: Any) -> list[Any]:
    """Values of a type that between them have every key, every listed value and every alternative."""
    return [value for option in options_of(hint) for value in _examples_of(option)]


def _examples_of(hint: Any) -> Iterable[Any]:
    origin = get_origin(hint)
    simple: dict[Any, Any] = {
        str: "xy",
        int: 1,
        float: 0.5,
        bool: True,
        type(None): None,
        object: {"deep": [1]},
    }
    if hint in simple:
        return [simple[hint]]
    if origin is Literal:
        return get_args(hint)
    if hint is ChatCompletionMessage:
        return [ChatCompletionMessage(content="x").to_param()]
    if origin in ARRAYS:
        return [examples(get_args(hint)[0])[:128]]
    if origin in MAPS:
        return [{"x": examples(get_args(hint)[1])[0]}]
    choices = {name: examples(inner) for name, (inner, _) in fields_of(hint).items()}
    whole = {name: values[0] for name, values in choices.items()}
    return [whole] + [{**whole, name: value} for name, values in choices.items() for value in values[1:]]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def test_whatever_can_be_written_is_taken():
    """One example of every key, value and alternative passes the server's checks and comes back whole."""
    requests = examples(CompletionCreateParams)
    # The server takes at most four stops.
    assert len(requests) > 40
    for request in requests:
        checked = msgspec.convert(request, ChatRequest, strict=True)
        assert without_nulls(msgspec.to_builtins(checked)) == without_nulls(request)
        assert msgspec.json.decode(msgspec.json.encode(request), type=ChatRequest) == checked


def test_a_null_is_as_good_as_nothing():
    """Every optional parameter takes null and reads as if it had not been there."""
    least = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    nulls = dict.fromkeys(PARAMETERS - set(least))
    assert msgspec.convert({**least, **nulls}, ChatRequest) == msgspec.convert(least, ChatRequest)


# --- limits --------------------------------------------------------------------------------------------

LIMITS = [
    ("frequency_penalty", [-2, 0, 2.0], [-2.01, 2.01, "1"]),
    ("presence_penalty", [-2, 0, 2.0], [-2.01, 2.01, True]),
    ("temperature", [0, 2], [-0.01, 2.01]),
    ("top_p", [0, 1], [-0.01, 1.01]),
    ("n", [1, 128], [0, 129, 1.5]),
    ("top_logprobs", [0, 20], [-1, 21]),
    ("max_tokens", [1], [0, -1]),
    ("max_completion_tokens", [1], [0, -1]),
    ("seed", [-(2**63), 2**63 - 1], [-(2**63) - 1, 2**63]),
    ("logit_bias", [{"1": -100, "2": 100}, {}], [{"1": -101}, {"1": 101}, {"1": 0.5}]),
    ("stop", ["x", ["a"], ["a", "b", "c", "d"]], [[], ["a"] * 5, [1]]),
    ("stop", ["x" * 1024, ["x" * 1024]], ["", ["a", ""], "x" * 1025, ["x" * 1025]]),
    ("functions", [[{"name": "f"}] * 128], [[], [{"name": "f"}] * 129]),
    ("metadata", [{}, {"k" * 64: "v" * 512}], [{"k" * 65: "v"}, {"k": "v" * 513}, {"k": 1}]),
    ("metadata", [{str(n): "" for n in range(16)}], [{str(n): "" for n in range(17)}]),
    ("safety_identifier", ["x" * 64], ["x" * 65]),
    ("tools", [[], [{"type": "function", "function": {"name": "a_Z-9" + "x" * 59}}]], ["x", [{}]]),
    (
        "tools",
        [[{"type": "custom", "custom": {"name": "f"}}]],
        [[{"type": "custom", "custom": {"name": name}}] for name in ("", "a b", "é", "a\n", "x" * 65)],
    ),
    (
        "web_search_options",
        [{"user_location": {"type": "approximate", "approximate": {"country": "US"}}}],
        [
            {"user_location": {"type": "approximate", "approximate": {"country": name}}}
            for name in ("", "U", "USA", "U1", "US\n")
        ],
    ),
    ("modalities", [["text", "audio"]], [["video"], "text"]),
    ("reasoning_effort", ["none", "max"], ["lots", ""]),
    (
        "messages",
        [[{"role": "user", "content": ""}]],
        [
            [],
            [{"role": "user", "content": []}],
            [{"role": "oracle", "content": "x"}],
            [{"content": "x"}],
            [1],
        ],
    ),
    ("model", [""], [1, None]),
]


@pytest.mark.parametrize(("name", "good", "bad"), LIMITS, ids=[name for name, _, _ in LIMITS])
def test_limits(name, good, bad):
    """The last value inside a limit is taken, the first one outside is not."""
    least = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    for value in good:
        assert msgspec.to_builtins(msgspec.convert({**least, name: value}, ChatRequest))[name] == value
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**least, name: value}, ChatRequest)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"extra": 1}, id="parameter"),
        pytest.param({"messages": [{"role": "user", "content": "x", "extra": 1}]}, id="message"),
        pytest.param({"stream_options": {"extra": 1}}, id="option"),
    ],
)
def test_the_server_knows_no_unknown_field(request_):
    """A field that would be ignored is refused, at any level."""
    least = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(msgspec.ValidationError, match="unknown field `extra`"):
        msgspec.convert({**least, **request_}, ChatRequest)


@pytest.mark.parametrize(
    ("fields", "stops", "token_limit", "include_usage"),
    [
        ({}, (), None, False),
        ({"stop": "a", "max_tokens": 5, "stream_options": {}}, ("a",), 5, False),
        (
            {"stop": ["a", "b"], "max_completion_tokens": 3, "stream_options": {"include_usage": True}},
            ("a", "b"),
            3,
            True,
        ),
        (
            {"max_tokens": 5, "max_completion_tokens": 3, "stream_options": {"include_usage": None}},
            (),
            3,
            False,
        ),
    ],
    ids=["nothing", "one", "all", "both limits"],
)
def test_views_of_a_request(fields, stops, token_limit, include_usage):
    """What engines ask for most, by one name whichever way it was written."""
    least = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    request = msgspec.convert({**least, **fields}, ChatRequest)
    assert (request.stops, request.token_limit, request.include_usage) == (stops, token_limit, include_usage)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user", "content": "a"}, "a"),
        (
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "u"}},
                    {"type": "text", "text": "b"},
                ],
            },
            "ab",
        ),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, ""),
        ({"role": "assistant"}, ""),
        ({"role": "function", "content": None, "name": "f"}, ""),
        ({"role": "tool", "content": [{"type": "text", "text": "42"}], "tool_call_id": "t"}, "42"),
    ],
    ids=["string", "parts", "refusal", "missing", "null", "tool"],
)
def test_text_of_a_message(message, text):
    """`message.text` joins the text parts and is empty where there is no text."""
    request = msgspec.convert({"model": "m", "messages": [message]}, ChatRequest)
    assert request.messages[0].text == text
    assert request.messages[0].role == message["role"]


# --- the official schema -------------------------------------------------------------------------------

# What is newer than the schema, stricter than its prose-only limits, or in use everywhere; by end of path.
NEWER_REQUEST = {
    ".prompt_cache_breakpoint.ttl": "newer",
    ".image_url.detail": "'original' is newer",
    "messages[](assistant).annotations": "stands in answers that are sent back",
    "messages[](assistant).annotations[]": "stands in answers that are sent back",
    "messages[](assistant).parsed": "stands in answers that are sent back",
    ".parsed_arguments": "stands in answers that are sent back",
    ".tool_calls[](function).index": "stands in streamed answers that are sent back",
    "messages[](assistant).reasoning": "de facto",
    "messages[](assistant).reasoning_content": "de facto",
    "logit_bias{} maximum": "in the schema's prose",
    "logit_bias{} minimum": "in the schema's prose",
    "max_completion_tokens minimum": "the API enforces it",
    "max_tokens minimum": "the API enforces it",
    "metadata maxProperties": "in the schema's prose",
    "metadata{key}": "a JSON key is a string",
    "metadata{key} maxLength": "in the schema's prose",
    "metadata{} maxLength": "in the schema's prose",
    ".name pattern": "in the schema's prose",
    ".name minLength": "the API enforces it, of tools that were called",
    ".country pattern": "in the schema's prose",
    "stop maxLength": "bounds what is held back",
    "stop minLength": "an empty text stops nothing",
    "stop[] maxLength": "bounds what is held back",
    "stop[] minLength": "an empty text stops nothing",
}
NEWER_RESPONSE = {
    "message(assistant).reasoning": "de facto",
    "message(assistant).reasoning_content": "de facto",
    "delta.reasoning": "de facto",
    "delta.reasoning_content": "de facto",
    "delta.audio": "newer",
    "delta.audio.data": "newer",
    "delta.audio.expires_at": "newer",
    "delta.audio.id": "newer",
    "delta.audio.transcript": "newer",
    "delta.tool_calls[].custom": "on the wire, in no schema",
    "delta.tool_calls[].custom.input": "on the wire, in no schema",
    "delta.tool_calls[].custom.name": "on the wire, in no schema",
    "delta.tool_calls[].type": "'custom' is on the wire, in no schema",
    "usage.estimated": "only this package says so",
}
SCHEMA = Path(__file__).resolve().parents[2] / ".." / "shared" / "spec" / "chat-completions.openapi.json"


@pytest.fixture(scope="module")
def schemas():
    if not SCHEMA.exists():
        pytest.skip("the official OpenAPI document is not beside this checkout; the tests above stand alone")
    return json.loads(SCHEMA.read_text())["components"]["schemas"]


def differences(ours: Shape, theirs: Shape, newer: Iterable[str]) -> dict[str, Any]:
    """Where two shapes differ, less what `newer` lists and only adds to the schema."""
    found = {}
    for path in {*ours, *theirs}:
        mine, other = ours.get(path, set()), theirs.get(path, set())
        if mine != other and not (mine > other and any(path.endswith(end) for end in newer)):
            found[path] = (mine, other)
    return found


def test_requests_are_those_of_the_schema(schemas):
    """Names, required fields, types, listed values, numeric limits and lengths, at every level."""
    theirs = shape_of_schema(schemas["CreateChatCompletionRequest"], schemas)
    ours = shape_of(ChatRequest)
    assert ours.pop("seed maximum") == {2**63 - 1}
    assert theirs.pop("seed maximum") == {float(2**63)}  # the schema's number, rounded
    assert differences(ours, theirs, NEWER_REQUEST) == {}
    assert len(ours) > 300
    for end in NEWER_REQUEST:
        assert any(path.endswith(end) for path in ours), f"{end} is in the table and nowhere else"


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (ChatCompletion, "CreateChatCompletionResponse"),
        (ChatCompletionChunk, "CreateChatCompletionStreamResponse"),
        (ModelList, "ListModelsResponse"),
        (ChatCompletionDeleted, "ChatCompletionDeleted"),
        (ChatCompletionList, "ChatCompletionList"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_responses_are_those_of_the_schema(cls, name, schemas):
    """Names, types and listed values, at every level; what we always write is what the schema requires."""
    # The schema has one kind of tool call in a delta.
    theirs = {
        path.replace("delta.tool_calls[](function)", "delta.tool_calls[]"): words
        for path, words in shape_of_schema(schemas[name], schemas).items()
    }
    ours = shape_of(cls)
    always = {path: ours.pop(path) for path in list(ours) if path.endswith(" required")}
    required = {path: theirs.pop(path) for path in list(theirs) if path.endswith(" required")}
    assert differences(ours, theirs, NEWER_RESPONSE) == {}
    assert all(words <= required[path] for path, words in always.items())
