"""Request checks: each failure names its field and the remedy, and only `BadRequestError` ever leaves."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from duologue.protocol.checks import PARAMETERS, decode_request
from duologue.protocol.errors import BadRequestError
from duologue.types.chat.request import ChatRequest, UserMessage

HI = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "4"}


def body(**fields: Any) -> bytes:
    values = {"model": "m", "messages": [HI], **fields}
    return json.dumps({name: value for name, value in values.items() if value is not ...}).encode()


def refused(data: bytes) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        decode_request(data)
    return caught.value


def outcome(data: bytes, *, lenient: bool) -> tuple[ChatRequest, list[str]] | BadRequestError:
    try:
        return decode_request(data, lenient=lenient)
    except BadRequestError as error:
        return error


TYPE, VALUE = "invalid_type", "invalid_value"
MISSING, UNKNOWN = "missing_required_parameter", "unknown_parameter"
# The codes of the official API for what is beyond a limit.
EMPTY, LONG_LIST, LONG_TEXT = "empty_array", "array_above_max_length", "string_above_max_length"
BIG, SMALL = "integer_above_max_value", "integer_below_min_value"
HIGH, LOW = "decimal_above_max_value", "decimal_below_min_value"

# The field, a wrong value for it, and what the refusal says: its param where that is deeper, code and message.
FIELDS: list[tuple[str, Any, str, str, str]] = [
    ("messages", "Hi", "messages", TYPE, "expected an array, got a string"),
    ("messages", [], "messages", EMPTY, "expected an array of length >= 1"),
    ("messages", None, "messages", TYPE, "expected an array, got null"),
    ("messages", ..., "messages", MISSING, "Missing required parameter: 'messages'"),
    ("messages", ["Hi"], "messages[0]", TYPE, "expected an object, got a string"),
    ("model", 3, "model", TYPE, "expected a string, got an integer"),
    ("model", ..., "model", MISSING, "Missing required parameter: 'model'"),
    ("audio", {"format": "ogg", "voice": "alloy"}, "audio.format", VALUE, "'ogg' is none of 'aac', 'flac'"),
    ("audio", {"format": "wav"}, "audio.voice", MISSING, "Missing required parameter: 'audio.voice'"),
    ("frequency_penalty", 2.5, "frequency_penalty", HIGH, "expected a number <= 2"),
    ("frequency_penalty", "1", "frequency_penalty", TYPE, "expected a number or null, got a string"),
    ("function_call", "f", "function_call", VALUE, "'f' is none of 'auto', 'none'"),
    ("functions", [], "functions", EMPTY, "length >= 1"),
    ("functions", [{"name": "a b"}], "functions[0].name", VALUE, "matching regex"),
    ("logit_bias", {"0": 1, "1": 101}, "logit_bias.1", BIG, "expected an integer <= 100"),
    ("logit_bias", [1], "logit_bias", TYPE, "got an array"),
    ("logit_bias", {"1": "x"}, "logit_bias.1", TYPE, "expected an integer, got a string"),
    ("logprobs", 5, "logprobs", TYPE, "expected a boolean or null, got an integer"),
    ("max_completion_tokens", 0, "max_completion_tokens", SMALL, "expected an integer >= 1"),
    ("max_tokens", -1, "max_tokens", SMALL, "expected an integer >= 1"),
    ("max_tokens", 1.5, "max_tokens", TYPE, "expected an integer or null, got a number"),
    ("metadata", {"a": "b", "c": 1}, "metadata.c", TYPE, "expected a string, got an integer"),
    (
        "metadata",
        {"k" * 65: "v"},
        f"metadata.{'k' * 65}",
        "property_name_above_max_length",
        f"Invalid key 'metadata.{'k' * 65}': expected a string of length <= 64",
    ),
    ("metadata", {"k": "v" * 513}, "metadata.k", LONG_TEXT, "expected a string of length <= 512"),
    (
        "metadata",
        {str(i): "v" for i in range(17)},
        "metadata",
        "object_above_max_properties",
        "expected an object of length <= 16",
    ),
    ("modalities", ["video"], "modalities[0]", VALUE, "'video' is none of 'audio', 'text'"),
    ("moderation", {}, "moderation.model", MISSING, "'moderation.model'"),
    ("n", 0, "n", SMALL, "expected an integer >= 1"),
    ("n", 129, "n", BIG, "expected an integer <= 128"),
    ("parallel_tool_calls", "no", "parallel_tool_calls", TYPE, "expected a boolean or null, got a string"),
    ("prediction", {"type": "content"}, "prediction.content", MISSING, "'prediction.content'"),
    ("presence_penalty", -2.1, "presence_penalty", LOW, "expected a number >= -2"),
    ("prompt_cache_key", 1, "prompt_cache_key", TYPE, "expected a string or null, got an integer"),
    ("prompt_cache_options", {"ttl": "1h"}, "prompt_cache_options.ttl", VALUE, "'1h' is none of '30m'"),
    ("prompt_cache_retention", "1h", "prompt_cache_retention", VALUE, "is none of '24h', 'in_memory'"),
    ("reasoning_effort", "huge", "reasoning_effort", VALUE, "'huge' is none of"),
    (
        "response_format",
        {"type": "xml"},
        "response_format.type",
        VALUE,
        "'xml' is none of 'text', 'json_object'",
    ),
    ("response_format", {"type": "json_schema"}, "response_format.json_schema", MISSING, "json_schema"),
    ("safety_identifier", "x" * 65, "safety_identifier", LONG_TEXT, "expected a string of length <= 64"),
    ("seed", "1", "seed", TYPE, "expected an integer or null, got a string"),
    ("seed", 2**63, "seed", BIG, "<= 9223372036854775807"),
    ("service_tier", "gold", "service_tier", VALUE, "'gold' is none of 'auto'"),
    ("stop", ["a"] * 5, "stop", LONG_LIST, "expected an array of length <= 4"),
    ("stop", ["a", 1], "stop[1]", TYPE, "expected a string, got an integer"),
    ("stop", "", "stop", "empty_string", "expected a string of length >= 1"),
    ("stop", ["a", ""], "stop[1]", "empty_string", "expected a string of length >= 1"),
    ("stop", "x" * 1025, "stop", LONG_TEXT, "expected a string of length <= 1024"),
    ("store", "yes", "store", TYPE, "expected a boolean or null, got a string"),
    ("stream", 1, "stream", TYPE, "expected a boolean or null, got an integer"),
    ("stream_options", {"usage": True}, "stream_options.usage", UNKNOWN, "Remove it"),
    ("temperature", 2.1, "temperature", HIGH, "expected a number <= 2"),
    ("temperature", True, "temperature", TYPE, "expected a number or null, got a boolean"),
    ("tool_choice", "f", "tool_choice", VALUE, "'f' is none of 'auto', 'none', 'required'"),
    ("tool_choice", {"type": "tool"}, "tool_choice.type", VALUE, "'tool' is none of"),
    ("tools", [{"type": "function"}], "tools[0].function", MISSING, "'tools[0].function'"),
    ("tools", [{"type": "retrieval"}], "tools[0].type", VALUE, "'retrieval' is none of 'function', 'custom'"),
    ("tools", [{"type": "function", "function": {"name": "a b"}}], "tools[0].function.name", VALUE, "regex"),
    ("top_logprobs", 21, "top_logprobs", BIG, "expected an integer <= 20"),
    ("top_p", 1.1, "top_p", HIGH, "expected a number <= 1"),
    ("user", 7, "user", TYPE, "expected a string or null, got an integer"),
    ("verbosity", "loud", "verbosity", VALUE, "'loud' is none of 'high', 'low', 'medium'"),
    (
        "web_search_options",
        {"search_context_size": "all"},
        "web_search_options.search_context_size",
        VALUE,
        "none of",
    ),
    ("temprature", 1, "temprature", UNKNOWN, "Unknown parameter: 'temprature'. Remove it"),
]


@pytest.mark.parametrize(
    ("name", "value", "param", "code", "message"),
    [pytest.param(*case, id=f"{case[0]}-{at}") for at, case in enumerate(FIELDS)],
)
def test_a_wrong_parameter_is_refused_by_its_path(name, value, param, code, message):
    """The error says which field, by its path, what is wrong, and what would be right."""
    error = refused(body(**{name: value}))
    assert (error.param, error.code, error.status_code) == (param, code, 400)
    assert message in error.message
    assert "`" not in error.message


@pytest.mark.parametrize("name", ["`", "a` - at `$.messages[9].b", "a` - at `key` in `$.n", "x\n", "", "$"])
def test_a_strange_name_is_just_unknown(name):
    """Not even one that looks like the decoder's own words leads it astray."""
    assert refused(body(**{name: 1})).code == UNKNOWN
    assert decode_request(body(**{name: 1}), lenient=True)[1] == [name]


def test_every_parameter_is_checked():
    """The table above misses none of the protocol's 37 parameters."""
    assert {case[0] for case in FIELDS} >= set(PARAMETERS)
    assert len(PARAMETERS) == 37


@pytest.mark.parametrize(
    ("message", "param", "code", "text"),
    [
        pytest.param({"content": "x"}, "role", MISSING, "'messages[0].role'", id="no-role"),
        pytest.param(
            {"role": "bot", "content": "x"}, "role", VALUE, "'bot' is none of 'developer'", id="unknown-role"
        ),
        pytest.param({"role": 1, "content": "x"}, "role", TYPE, "expected a string", id="role-no-string"),
        pytest.param({"role": "user"}, "content", MISSING, "content", id="no-content"),
        pytest.param({"role": "user", "content": None}, "content", TYPE, "got null", id="null-content"),
        pytest.param({"role": "user", "content": []}, "content", EMPTY, "length >= 1", id="no-parts"),
        pytest.param({**HI, "mood": 1}, "mood", UNKNOWN, "'messages[0].mood'", id="unknown-field"),
        pytest.param(
            {"role": "user", "content": [{"type": "video"}]},
            "content[0].type",
            VALUE,
            "'video' is none of 'text', 'image_url', 'input_audio', 'file'",
            id="unknown-part",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": 3}}]},
            "content[0].image_url.url",
            TYPE,
            "expected a string, got an integer",
            id="part-of-a-part",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "size": 1}}]},
            "content[0].image_url.size",
            UNKNOWN,
            "Remove it",
            id="unknown-field-at-depth",
        ),
        pytest.param(
            {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            "content[0].type",
            VALUE,
            "'image_url' is none of 'text'",
            id="image-of-the-system",
        ),
        pytest.param({"role": "assistant"}, "content", MISSING, "is missing", id="silent-assistant"),
        pytest.param(
            {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "", "arguments": ""}}]},
            "tool_calls[0].function.name",
            "empty_string",
            "length >= 1",
            id="call-of-nothing",
        ),
        pytest.param(
            {"role": "assistant", "tool_calls": [{**CALL, "type": "x"}]},
            "tool_calls[0].type",
            VALUE,
            "'x' is none of 'function', 'custom'",
            id="unknown-call",
        ),
        pytest.param(
            {"role": "tool", "content": "x"}, "tool_call_id", MISSING, "tool_call_id", id="tool-no-id"
        ),
    ],
)
def test_a_wrong_message_is_refused_by_its_path(message, param, code, text):
    """Messages and their parts are checked as deep as they go."""
    error = refused(body(messages=[message]))
    assert (error.param, error.code) == (f"messages[0].{param}", code)
    assert text in error.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is not JSON", id="empty"),
        pytest.param(b'{"model": "m"', "is not JSON", id="cut"),
        pytest.param(b"model=m", "is not JSON", id="form"),
        pytest.param(b'{"temperature": NaN}', "is not JSON", id="nan"),
        pytest.param(b'{"a": 1}{"b": 2}', "is not JSON", id="two"),
        pytest.param(b'{"model": "\xff"}', "is not UTF-8: invalid start byte at byte 11.", id="not-utf-8"),
        pytest.param(b'{"model": "m", "\xc3("}', "continuation byte at byte 16.", id="not-utf-8-in-a-name"),
        pytest.param(b'{"a":' * 10_000, "nested too deeply", id="deep-objects"),
        pytest.param(b"[" * 10_000 + b"]" * 10_000, "nested too deeply", id="deep-lists"),
        pytest.param(body()[:-1] + b', "user": ' + b"[" * 10_000, "nested too deeply", id="deep-parameter"),
        pytest.param(b'{"a": 1e999}', "is not JSON: Number out of range", id="too-large-a-number"),
        pytest.param(b'["m"]', "expected an object, got an array", id="list"),
        pytest.param(b"null", "expected an object, got null", id="null"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
def test_a_body_that_is_no_json_object_is_refused(data, message, lenient):
    """Whatever it is, and whatever the profile."""
    with pytest.raises(BadRequestError) as caught:
        decode_request(data, lenient=lenient)
    assert message in caught.value.message
    assert caught.value.param is None


@pytest.mark.parametrize("depth", [100, 900, 5000])
def test_depth_in_the_wrong_place_is_refused(depth):
    """Where no schema stands, nothing may be nested."""
    data = body(messages=["HERE"]).replace(b'"HERE"', b"[" * depth + b"]" * depth)
    for lenient in (False, True):
        assert isinstance(outcome(data, lenient=lenient), BadRequestError)


@pytest.mark.parametrize("depth", [200, 900, 990, 1100, 5000])
def test_depth_inside_a_schema_is_read_or_refused(depth):
    """There is no depth at which something else happens."""
    schema = b'{"a":' * depth + b"1" + b"}" * depth
    data = body(tools=["HERE"]).replace(
        b'"HERE"', b'{"type":"function","function":{"name":"f","parameters":%b}}' % schema
    )
    for lenient in (False, True):
        found = outcome(data, lenient=lenient)
        assert "nested too deeply" in found.message if isinstance(found, BadRequestError) else found[0].tools


def test_a_right_request_keeps_what_it_says():
    """Messages become their classes, numbers with a zero fraction integers, nulls nothing."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request, dropped = decode_request(
        body(
            messages=[{"role": "user", "content": parts}, CALLING, ANSWER],
            n=2.0,
            seed=-5,
            temperature=1,
            stop=["x", "y"],
            user=None,
            stream=True,
            stream_options={"include_usage": True},
            tools=[TOOL],
            tool_choice={
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [TOOL]},
            },
        )
    )
    assert dropped == []
    assert isinstance(request.messages[0], UserMessage)
    assert request.messages[0].text == "ab"
    assert (request.n, type(request.n), request.seed, request.temperature) == (2, int, -5, 1.0)
    assert (request.stops, request.include_usage, request.user) == (("x", "y"), True, None)


def test_of_a_field_that_comes_twice_the_last_counts():
    """As everywhere else in JSON, also where the first one was wrong."""
    assert decode_request(body(n=3)[:-1] + b', "n": 4}')[0].n == 4
    assert decode_request(b'{"messages":[{"role":"x"}],' + body()[1:])[0].messages
    assert refused(body()[:-1] + b', "messages": 3}').param == "messages"


# --- lenient -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"mood": 1}, ["mood"], id="unknown"),
        pytest.param({"temperature": 9}, ["temperature"], id="out-of-range"),
        pytest.param({"tools": [{"type": "x"}]}, ["tools"], id="wrong-at-depth"),
        pytest.param({"stream_options": {}}, ["stream_options"], id="combination"),
        pytest.param({"audio": {"format": "wav", "voice": "x"}, "n": 0}, ["n", "audio"], id="both"),
        pytest.param({"n": 0, "mood": 1, "stop": ""}, ["mood", "n", "stop"], id="several"),
        pytest.param(
            {"tools": 1, "tool_choice": "required"}, ["tools", "tool_choice"], id="one-after-another"
        ),
    ],
)
def test_lenient_drops_and_names_what_is_wrong(fields, dropped):
    """The rest of the request stays as it was."""
    request, names = decode_request(body(seed=4.0, **fields), lenient=True)
    assert names == dropped
    assert request.seed == 4
    assert all(getattr(request, name, None) is None for name in dropped)


def test_lenient_drops_no_more_than_what_is_unknown():
    """A field inside an option, a message or a part of one goes alone, and is named by its path."""
    part = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    request, names = decode_request(
        body(
            messages=[{**HI, "mood": 1}, {"role": "user", "content": [part]}, {**CALLING, "id": 1}, ANSWER],
            stream=True,
            stream_options={"include_usage": True, "usage": 1},
            tools=[{**TOOL, "function": {"name": "f", "parameters": {"any": "thing"}, "cost": 9}}],
        ),
        lenient=True,
    )
    assert names == [
        "messages[0].mood",
        "messages[1].content[0].cache_control",
        "messages[2].id",
        "stream_options.usage",
        "tools[0].function.cost",
    ]
    assert [message.text for message in request.messages[:2]] == ["Hi", "Hi"]
    assert request.include_usage
    assert request.tools is not None
    assert [tool.name for tool in request.tools] == ["f"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"messages": []}, "messages", id="no-messages"),
        pytest.param({"messages": [[[[{"role": "user"}]]]]}, "messages[0]", id="lists-of-lists"),
        pytest.param({"messages": [{"role": "x"}]}, "messages[0].role", id="wrong-message"),
        pytest.param({"messages": ...}, "messages", id="messages-missing"),
        pytest.param({"model": 3}, "model", id="wrong-model"),
        pytest.param({"messages": [CALLING]}, "messages[0].tool_calls[0]", id="unanswered"),
    ],
)
def test_lenient_still_needs_messages_and_a_model(fields, param):
    """Without them there is nothing to answer."""
    with pytest.raises(BadRequestError) as caught:
        decode_request(body(**fields), lenient=True)
    assert caught.value.param == param


def test_lenient_is_linear_in_the_number_of_unknown_fields():
    """A body full of them is no way to keep a server busy."""
    message = {**HI, **{f"y{i}": i for i in range(20_000)}}
    data = body(messages=[message] + [{**HI, "z": 1}] * 5_000, **{f"x{i}": i for i in range(50_000)})
    begun = time.process_time()
    _, dropped = decode_request(data, lenient=True)
    assert len(dropped) == 75_000
    assert time.process_time() - begun < 5


# --- nothing but BadRequestError -----------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "name", "content", "function", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
FULL: dict[str, Any] = {
    "model": "m",
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "file", "file": {"file_id": "f"}}],
        },
        CALLING,
        ANSWER,
    ],
    "tools": [TOOL, {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
    "metadata": {"a": "b"},
    "logit_bias": {"1": 1},
    "stop": ["a"],
    "modalities": ["text"],
    "stream": True,
    "stream_options": {"include_usage": True},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, inner in steps for place in places(inner, (*path, step)))]


def changed(path: tuple[Any, ...], replacement: Any) -> Any:
    whole = json.loads(json.dumps(FULL))
    if not path:
        return replacement
    target = whole
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = replacement
    return whole


def check_both_profiles(data: bytes) -> None:
    for lenient in (False, True):
        found = outcome(data, lenient=lenient)
        if isinstance(found, BadRequestError):
            assert found.message
            assert found.code
        else:
            assert isinstance(found[0], ChatRequest)
            assert lenient or not found[1]


def test_the_body_that_is_mutated_below_is_right():
    """Else the test below would see the same refusal each time."""
    assert decode_request(json.dumps(FULL).encode())[1] == []


@settings(max_examples=400, deadline=None)
@given(path=st.sampled_from(places(FULL)), replacement=values)
@example(path=("tool_choice", "allowed_tools", "tools", 0), replacement={"type": "x", "x": "y"})
def test_only_bad_request_errors_leave_a_mutated_body(path, replacement):
    """Any value in any place is right, or refused."""
    check_both_profiles(json.dumps(changed(path, replacement)).encode())


@settings(max_examples=200, deadline=None)
@given(
    fields=st.dictionaries(st.sampled_from(PARAMETERS) | st.text(max_size=5), values, max_size=5),
    with_messages=st.booleans(),
)
def test_only_bad_request_errors_leave_any_object(fields, with_messages):
    """Any value for any parameter, known or not, alone or together."""
    whole = {"model": "m", "messages": [HI], **fields} if with_messages else fields
    check_both_profiles(json.dumps(whole).encode())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=40), cut=st.integers(0, 600))
def test_only_bad_request_errors_leave_any_bytes(data, cut):
    """Bytes put into the middle of a right body, and bytes alone."""
    right = json.dumps(FULL).encode()
    check_both_profiles(data)
    check_both_profiles(right[:cut] + data + right[cut:])
