"""Bytes to types and back: what is read, what `wire` says of it, what is encoded again."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.protocol.codec import (
    decode,
    decode_chunk,
    decode_completion,
    encode,
    load,
    loads,
    to_text,
    typed,
)
from duologue.protocol.errors import APIResponseValidationError
from duologue.types._wire import WireObject
from duologue.types.chat.chat_completion import ChatCompletion
from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk
from duologue.types.model import Model

CHUNK = b"""{"id":"c1","object":"chat.completion.chunk","created":1750000000,"model":"m","system_fingerprint":"fp",
 "choices":[{"index":0,"delta":{"role":"assistant","content":"Hi","tool_calls":[{"index":0,"id":"t1",
   "type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":{"content":[{"token":"Hi",
   "logprob":-0.5,"bytes":[72,105],"top_logprobs":[]}],"refusal":null},"finish_reason":null}],
 "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}}"""
COMPLETION = b"""{"id":"c1","object":"chat.completion","created":1750000000,"model":"m",
 "choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"tool_calls":[{"id":"t1",
   "type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":{"content":[{"token":"Hi",
   "logprob":-0.5,"bytes":[72,105],"top_logprobs":[]}],"refusal":null},"finish_reason":"tool_calls"},
  {"index":1,"message":{"role":"assistant","content":"Ho","refusal":null},"logprobs":null,"finish_reason":"stop"}],
 "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}}"""
MODEL = b"""{"id":"m","object":"model","created":1750000000, "owned_by":"us"}"""
WHOLE = {ChatCompletionChunk: CHUNK, ChatCompletion: COMPLETION, Model: MODEL}
CLASSES = list(WHOLE)


def strict(data: bytes) -> Any:
    """The value of strict JSON, by a reader of its own."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(data.decode(), parse_constant=refuse)


def follow(obj: Any, path: str) -> Any:
    for step in path.split("."):
        obj = obj[int(step)] if step.isdigit() else getattr(obj, step)
    return obj


def put(source: bytes, path: str, text: bytes) -> bytes:
    """`source` with the JSON `text`, however odd, at `path`."""
    whole = json.loads(source)
    *parents, last = path.split(".")
    at = whole
    for step in parents:
        at = at[int(step)] if step.isdigit() else at[step]
    at[int(last) if last.isdigit() else last] = "@here@"
    return json.dumps(whole).encode().replace(b'"@here@"', text)


def objects(value: Any) -> Iterator[WireObject]:
    """Every response object in `value`."""
    if isinstance(value, WireObject):
        yield value
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, list):
        for item in value:
            yield from objects(item)


# What stands in a place, and what is read there; UNREADABLE where nothing can be without inventing it.
UNREADABLE = object()
TEXTS = {
    "text": (b'"Hi"', "Hi"),
    "empty": (b'""', ""),
    "null": (b"null", None),
    "escapes": (b'"\\u00e9\\n\\/\\"\\u0000"', 'é\n/"\0'),
    "surrogate-pair": (b'"\\ud83d\\ude00"', "😀"),
    "high-surrogate": (b'"a\\ud83d"', "a\ud83d"),
    "low-surrogate": (b'"\\ude00b"', "\ude00b"),
    "swapped-surrogates": (b'"\\ude00\\ud83d"', "\ude00\ud83d"),
    "surrogate-in-utf8": (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
    "invalid-utf8": (b'"a\xffb\xe2\x82"', "a\ufffdb\ufffd"),
    "overlong-utf8": (b'"\xc0\xaf"', "\ufffd\ufffd"),
    "line-separator": ('"\u2028"'.encode(), "\u2028"),
    "integer": (b"5", "5"),
    "float": (b"1.5", "1.5"),
    "boolean": (b"true", UNREADABLE),
    "array": (b'["a"]', UNREADABLE),
    "object": (b'{"a":1}', UNREADABLE),
    "raw-control-character": (b'"a\x01b"', UNREADABLE),
    "raw-line-end": (b'"a\nb"', UNREADABLE),
    "bad-escape": (b'"\\x41"', UNREADABLE),
}
INTEGERS = {
    "integer": (b"7", 7),
    "zero": (b"0", 0),
    "negative": (b"-7", -7),
    "null": (b"null", None),
    "float-integer": (b"7.0", 7),
    "exponent": (b"1.75e9", 1_750_000_000),
    "in-quotes": (b'"7"', 7),
    "beyond-64-bits": (b"9" * 30, int("9" * 30)),
    "4300-digits": (b"9" * 4300, 10**4300 - 1),
    "4301-digits": (b"9" * 4301, UNREADABLE),
    "4301-digits-in-quotes": (b'"' + b"9" * 4301 + b'"', UNREADABLE),
    "fraction": (b"7.5", UNREADABLE),
    "fraction-in-quotes": (b'"7.5"', UNREADABLE),
    "word": (b'"seven"', UNREADABLE),
    "boolean": (b"true", UNREADABLE),
    "nan": (b"NaN", UNREADABLE),
    "infinity": (b"Infinity", UNREADABLE),
    "over-the-range-of-floats": (b"1e999", UNREADABLE),
    "array": (b"[7]", UNREADABLE),
    "object": (b"{}", UNREADABLE),
}
NUMBERS = {
    "number": (b"-0.25", -0.25),
    "integer": (b"-1", -1.0),
    "null": (b"null", None),
    "nan": (b"NaN", math.nan),
    "infinity": (b"Infinity", math.inf),
    "minus-infinity": (b"-Infinity", -math.inf),
    "over-the-range": (b"-1e999", -math.inf),
    "under-the-range": (b"1e-999", 0.0),
    "in-quotes": (b'"-0.25"', -0.25),
    "integer-over-the-range": (b"1" * 400, UNREADABLE),
    "word": (b'"low"', UNREADABLE),
    "boolean": (b"false", UNREADABLE),
}
TEXT_PLACES = [
    (ChatCompletionChunk, "id"),
    (ChatCompletionChunk, "choices.0.delta.content"),
    (ChatCompletionChunk, "choices.0.delta.tool_calls.0.function.arguments"),
    (ChatCompletionChunk, "choices.0.finish_reason"),
    (ChatCompletion, "model"),
    (ChatCompletion, "choices.1.message.content"),
    (ChatCompletion, "choices.0.message.tool_calls.0.id"),
    (ChatCompletion, "choices.0.logprobs.content.0.token"),
    (Model, "owned_by"),
]
INTEGER_PLACES = [
    (ChatCompletionChunk, "created"),
    (ChatCompletionChunk, "choices.0.index"),
    (ChatCompletionChunk, "choices.0.delta.tool_calls.0.index"),
    (ChatCompletionChunk, "usage.total_tokens"),
    (ChatCompletion, "choices.1.index"),
    (ChatCompletion, "usage.prompt_tokens_details.cached_tokens"),
    (Model, "created"),
]
NUMBER_PLACES = [
    (ChatCompletionChunk, "choices.0.logprobs.content.0.logprob"),
    (ChatCompletion, "choices.0.logprobs.content.0.logprob"),
]


def table(values: dict[str, Any], places: list[Any]) -> list[Any]:
    return [
        pytest.param(cls, path, *case, id=f"{cls.__name__}-{path}-{name}")
        for cls, path in places
        for name, case in values.items()
    ]


CASES = table(TEXTS, TEXT_PLACES) + table(INTEGERS, INTEGER_PLACES) + table(NUMBERS, NUMBER_PLACES)


@pytest.mark.parametrize("unknown", [False, True], ids=["", "beside-unknown-fields"])
@pytest.mark.parametrize(("cls", "path", "text", "expected"), CASES)
def test_a_value_in_its_place(cls, path, text, expected, unknown):
    """The same is read whether the fast path or the tolerant one meets it."""
    data = put(WHOLE[cls], path, text)
    if unknown:
        data = data[:-1] + b',"novel":{"a":[1,null]}}'
    if expected is UNREADABLE:
        with pytest.raises(APIResponseValidationError) as caught:
            decode(cls, data)
        assert caught.value.raw == data
        assert "cannot be read" in str(caught.value)
        return
    obj = decode(cls, data)
    got = follow(obj, path)
    assert got == expected or (got != got and expected != expected)
    assert type(got) is type(expected)
    check_fidelity(obj, data)
    if unknown:
        assert obj.wire.extra == {"novel": {"a": [1, None]}}


def check_fidelity(obj: WireObject, data: bytes) -> None:
    """What holds for every object that was decoded from `data`, whatever that was."""
    assert obj.wire.raw == data
    encoded = encode(obj)
    value = strict(encoded)
    again = decode(type(obj), encoded)
    assert strict(encode(again)) == value
    assert again.wire.names == obj.wire.names
    if load(data)[1]:
        assert encoded == data
    for each in objects(obj):
        wire = each.wire
        assert all(wire.has(name) for name in wire.names)
        assert set(wire.extra) <= wire.names
        for field in msgspec.structs.fields(type(each)):
            if wire.is_null(field.name) and field.default is None:
                assert getattr(each, field.name) is None
        strict(encode(each))
        loads(wire.raw)


def test_where_it_is_wrong_is_said():
    with pytest.raises(APIResponseValidationError) as caught:
        decode_completion(put(COMPLETION, "choices.1.message.content", b'["x"]'))
    assert "expected a string at choices[1].message.content, got an array" in str(caught.value)


TOP = {
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "true": b"true",
    "number": b"5",
    "text": b'"hi"',
    "array": b"[]",
    "array-of-objects": b"[{}]",
    "unfinished": CHUNK[:-1],
    "unfinished-text": b'{"id":"c',
    "trailing-garbage": CHUNK + b" }",
    "two-values": CHUNK + b"\n" + CHUNK,
    "trailing-comma": b'{"id":"c",}',
    "single-quotes": b"{'id':'c'}",
    "nul": CHUNK + b"\0",
    "html": b"<!doctype html><title>502 Bad Gateway</title>",
    "utf-16": CHUNK.decode().encode("utf-16"),
    "nested-10000-arrays": b"[" * 10_000,
    "nested-10000-objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "nested-10000-in-an-unknown-field": b'{"id":"c","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "nested-10000-in-a-known-field": b'{"choices":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "nested-500-in-an-unknown-field": b'{"id":"c","x":' + b"[" * 500 + b"]" * 500 + b"}",
}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("data", TOP.values(), ids=TOP)
def test_what_is_no_json_object_is_told_apart_and_kept(cls, data):
    with pytest.raises(APIResponseValidationError) as caught:
        decode(cls, data)
    assert caught.value.raw == data
    assert str(caught.value).startswith("The server's answer cannot be read: ")


WRAPPED = {
    "white-space": lambda data: b" \r\n\t" + data + b"\n\n",
    "byte-order-mark": lambda data: b"\xef\xbb\xbf" + data,
    "duplicate-keys": lambda data: b'{"id":"first","novel":1,' + data[1:-1] + b',"novel":2}',
    "escaped-names": lambda data: data.replace(b'"id"', b'"\\u0069d"'),
    "an-invalid-name": lambda data: data[:-1] + b',"\xff":1}',
    "an-empty-name": lambda data: data[:-1] + b',"":1}',
    "a-hidden-name": lambda data: (
        data[:-1] + b',"_wire":1,"_response":{},"__class__":2,"wire":3,"to_dict":4}'
    ),
    "nested-90": lambda data: data[:-1] + b',"x":' + b'{"a":' * 90 + b"1" + b"}" * 90 + b"}",
}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_odd_wrappings_are_read(cls, wrap):
    data = wrap(WHOLE[cls])
    obj = decode(cls, data)
    assert obj == decode(cls, WHOLE[cls])
    check_fidelity(obj, data)
    assert callable(obj.to_dict)


UNKNOWN = {
    "null": (b"null", None),
    "true": (b"true", True),
    "integer": (b"7", 7),
    "float": (b"0.5", 0.5),
    "text": (b'"x"', "x"),
    "array": (b'[1,[],"x",null]', [1, [], "x", None]),
    "object": (b'{"a":{"b":[{}]}}', {"a": {"b": [{}]}}),
    "half-a-pair": (b'"\\ud83d"', "\ud83d"),
}
LEVELS = {
    ChatCompletionChunk: [
        "choices.0",
        "choices.0.delta",
        "choices.0.delta.tool_calls.0",
        "choices.0.delta.tool_calls.0.function",
        "choices.0.logprobs",
        "choices.0.logprobs.content.0",
        "usage",
        "usage.prompt_tokens_details",
    ],
    ChatCompletion: [
        "choices.0",
        "choices.1",
        "choices.1.message",
        "choices.0.message.tool_calls.0",
        "choices.0.message.tool_calls.0.function",
        "choices.0.logprobs",
        "choices.0.logprobs.content.0",
        "usage",
        "usage.prompt_tokens_details",
    ],
    Model: [],
}
PLACES = [pytest.param(cls, path, id=f"{cls.__name__}-{path}") for cls in LEVELS for path in LEVELS[cls]]
TOPS = [pytest.param(cls, "", id=cls.__name__) for cls in LEVELS]


@pytest.mark.parametrize(("text", "value"), UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize(("cls", "level"), PLACES + TOPS)
def test_an_unknown_field_is_kept_at_every_level(cls, level, text, value):
    data = put(WHOLE[cls], f"{level}.novel".lstrip("."), text)
    obj = decode(cls, data)
    holder = follow(obj, level) if level else obj
    assert holder.wire.extra == {"novel": value} == holder.model_extra
    assert holder.novel == value
    assert holder.wire.has("novel")
    assert holder.wire.is_null("novel") == (value is None)
    assert strict(encode(holder))["novel"] == value
    assert strict(encode(obj)) == json.loads(data)
    check_fidelity(obj, data)
    plain = decode(cls, WHOLE[cls])
    assert obj == plain
    with pytest.raises(AttributeError, match="novel"):
        _ = (follow(plain, level) if level else plain).novel


@pytest.mark.parametrize("unknown", [b"", b'"novel":1,'], ids=["fast", "tolerant"])
@pytest.mark.parametrize(
    ("cls", "path"),
    [
        (ChatCompletionChunk, "system_fingerprint"),
        (ChatCompletionChunk, "usage"),
        (ChatCompletionChunk, "choices.0.finish_reason"),
        (ChatCompletionChunk, "choices.0.delta.content"),
        (ChatCompletionChunk, "choices.0.delta.role"),
        (ChatCompletionChunk, "choices.0.delta.tool_calls"),
        (ChatCompletionChunk, "choices.0.delta.tool_calls.0.id"),
        (ChatCompletionChunk, "choices.0.delta.tool_calls.0.function.name"),
        (ChatCompletionChunk, "choices.0.logprobs"),
        (ChatCompletionChunk, "usage.prompt_tokens_details"),
        (ChatCompletionChunk, "usage.prompt_tokens_details.cached_tokens"),
        (ChatCompletion, "usage"),
        (ChatCompletion, "choices.1.logprobs"),
        (ChatCompletion, "choices.0.finish_reason"),
        (ChatCompletion, "choices.1.message.content"),
        (ChatCompletion, "choices.0.message.tool_calls.0.function.arguments"),
        (ChatCompletion, "created"),
        (Model, "owned_by"),
    ],
)
def test_missing_and_null_and_a_value_are_told_apart(cls, path, unknown):
    parent, _, name = path.rpartition(".")
    data = b"{" + unknown + WHOLE[cls][1:]
    missing = json.loads(data)
    at = missing
    for step in parent.split(".") if parent else ():
        at = at[int(step)] if step.isdigit() else at[step]
    del at[name]

    def state(source: bytes) -> tuple[bool, bool, bool]:
        obj = decode(cls, source)
        assert strict(encode(obj)) == json.loads(source)
        holder = follow(obj, parent) if parent else obj
        value = getattr(holder, name)
        return value is None, holder.wire.has(name), holder.wire.is_null(name)

    given = follow(decode(cls, data), path)
    assert state(data) == (given is None, True, given is None)
    assert state(put(data, path, b"null")) == (True, True, True)
    assert state(json.dumps(missing).encode()) == (True, False, False)


@pytest.mark.parametrize(
    ("cls", "path", "word"),
    [
        (ChatCompletionChunk, "object", b'"chat.completions.chunk"'),
        (ChatCompletionChunk, "service_tier", b'"turbo"'),
        (ChatCompletionChunk, "choices.0.finish_reason", b'"abort"'),
        (ChatCompletionChunk, "choices.0.delta.role", b'"model"'),
        (ChatCompletionChunk, "choices.0.delta.tool_calls.0.type", b'"builtin"'),
        (ChatCompletion, "choices.0.finish_reason", b'"error"'),
        (ChatCompletion, "choices.0.message.role", b'"bot"'),
        (Model, "object", b'"engine"'),
    ],
)
def test_an_unknown_word_is_read_as_it_is_and_is_not_known(cls, path, word):
    data = put(WHOLE[cls], path, word)
    obj = decode(cls, data)
    parent, _, name = path.rpartition(".")
    holder = follow(obj, parent) if parent else obj
    assert getattr(holder, name) == json.loads(word)
    assert not holder.wire.is_known(name)
    check_fidelity(obj, data)
    plain = decode(cls, put(WHOLE[cls], path, b"null")) if name == "service_tier" else decode(cls, WHOLE[cls])
    before = follow(plain, parent) if parent else plain
    assert before.wire.is_known(name) == (getattr(before, name) is not None)


@pytest.mark.parametrize("unknown", [b"", b'"novel":1,'], ids=["fast", "tolerant"])
@pytest.mark.parametrize(("cls", "level"), PLACES)
def test_the_bytes_of_every_level_can_be_had(cls, level, unknown):
    data = b"{" + unknown + WHOLE[cls][1:]
    value = json.loads(data)
    for step in level.split("."):
        value = value[int(step)] if step.isdigit() else value[step]
    raw = follow(decode(cls, data), level).wire.raw
    assert json.loads(raw) == value
    if level not in ("choices.0.logprobs.content.0",):  # all of whose fields are required
        assert raw in data


# Changes.


@pytest.mark.parametrize("unknown", [b"", b'"novel":[1],'], ids=["fast", "tolerant"])
class TestAfterAChange:
    def both(self, cls, unknown) -> tuple[Any, Any]:
        data = b"{" + unknown + WHOLE[cls][1:]
        return decode(cls, data), json.loads(data)

    def test_a_changed_field_is_encoded_and_the_rest_stays(self, unknown):
        obj, value = self.both(ChatCompletionChunk, unknown)
        obj.choices[0].delta.content = value["choices"][0]["delta"]["content"] = "Ho\ud83d"
        obj.created = value["created"] = 1
        assert strict(encode(obj)) == value
        assert list(strict(encode(obj))) == list(value)

    def test_a_value_set_to_none_is_null(self, unknown):
        obj, value = self.both(ChatCompletion, unknown)
        obj.choices[1].message.content = value["choices"][1]["message"]["content"] = None
        obj.usage = value["usage"] = None
        assert strict(encode(obj)) == value

    def test_a_field_that_was_missing_is_added(self, unknown):
        obj, value = self.both(ChatCompletion, unknown)
        obj.service_tier = value["service_tier"] = "flex"
        obj.choices[1].message.reasoning_content = value["choices"][1]["message"]["reasoning_content"] = "hm"
        assert strict(encode(obj)) == value

    def test_choices_in_another_order_keep_what_they_are(self, unknown):
        obj, value = self.both(ChatCompletion, unknown)
        obj.choices.reverse()
        value["choices"].reverse()
        assert strict(encode(obj)) == value
        assert [strict(encode(choice)) for choice in obj.choices] == value["choices"]
        assert obj.choices[1].wire.has("logprobs")
        assert json.loads(obj.choices[1].wire.raw) == value["choices"][1]

    def test_a_removed_choice_is_gone(self, unknown):
        obj, value = self.both(ChatCompletion, unknown)
        del obj.choices[0], value["choices"][0]
        assert strict(encode(obj)) == value
        assert json.loads(obj.choices[0].wire.raw) == value["choices"][0]

    def test_a_choice_of_another_completion_comes_with_its_own(self, unknown):
        obj, value = self.both(ChatCompletion, unknown)
        other = decode_completion(b'{"id":"o","choices":[{"index":5,"message":{"content":"x","odd":1}}]}')
        obj.choices.append(other.choices[0])
        value["choices"].append({"index": 5, "message": {"content": "x", "odd": 1}})
        encoded = strict(encode(obj))
        assert encoded["choices"][2]["message"]["odd"] == 1
        assert encoded["choices"][:2] == value["choices"][:2]

    def test_an_unknown_field_inside_can_be_changed(self, unknown):
        obj, value = self.both(ChatCompletion, unknown)
        if unknown:
            obj.model_extra["novel"].append(2)
            value["novel"].append(2)
        assert strict(encode(obj)) == value

    def test_a_copy_is_encoded_as_its_source(self, unknown):
        obj, _ = self.both(ChatCompletion, unknown)
        for copy in (obj.model_copy(), obj.model_copy(deep=True)):
            assert encode(copy) == encode(obj) == obj.wire.raw
        assert strict(encode(obj.model_copy(update={"id": "other"})))["id"] == "other"

    def test_undoing_a_change_gives_the_bytes_back(self, unknown):
        obj, _ = self.both(ChatCompletion, unknown)
        before = obj.model
        obj.model = "x"
        assert encode(obj) != obj.wire.raw
        obj.model = before
        assert encode(obj) == obj.wire.raw


def test_an_object_made_by_hand_is_encoded():
    assert strict(encode(Model(id="m", created=1, owned_by="us"))) == {
        "id": "m",
        "created": 1,
        "object": "model",
        "owned_by": "us",
    }


def test_what_a_string_holds_cannot_end_it():
    model = Model(id='"},"x":1,\n\u2028\0\\', created=1, owned_by="\ud83d😀")
    assert strict(encode(model))["id"] == model.id
    assert decode(Model, encode(model)) == model


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": math.nan, "b": [math.inf, -math.inf, 1.0]}, b'{"a":null,"b":[null,null,1.0]}'),
        ({"é": "😀"}, '{"é":"😀"}'.encode()),
        (["\ud83d", "é"], b'["\\ud83d","\\u00e9"]'),
        ((1, (2,)), b"[1,[2]]"),
        (None, b"null"),
    ],
    ids=repr,
)
def test_plain_values_to_text(value, text):
    assert to_text(value) == text


def test_typed_reads_a_mapping_that_never_was_bytes():
    chunk = typed(ChatCompletionChunk, {"id": 5, "novel": True})
    assert (chunk.id, chunk.wire.extra) == ("5", {"novel": True})
    with pytest.raises(APIResponseValidationError, match="it is no Model: expected an object at the top"):
        typed(Model, [])


# Anything at all.

SOURCES = list(WHOLE.items())
SNIPPETS = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"NaN",
    b"-",
    b"1e999",
    b"\\ud83d",
    b"\xff",
    b"\0",
]
SNIPPETS += [
    b"\\",
    b"true",
    b"9" * 25,
    b'"x":',
    b"0",
    b".",
    b"\n",
    b"-Infinity",
    b'"choices":',
    b'"index":',
    b"[[[[",
]


def mutated(source: bytes, seed: int) -> bytes:
    rng = random.Random(seed)
    data = bytearray(source)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.choice((0, 0, 1, 2, 9))] = rng.choice(
            (b"", rng.choice(SNIPPETS), rng.randbytes(1))
        )
    return bytes(data)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(SOURCES), st.integers(0, 2**48))
def test_no_bytes_bring_a_foreign_exception(source, seed):
    cls, data = source
    check_anything(cls, mutated(data, seed))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
scalars |= st.sampled_from(
    ["stop", "function", "custom", "assistant", "error", "1", "\ud83d", 10**400, 1e308]
)
NAMES = sorted(
    {name for source in WHOLE.values() for name in json.dumps(json.loads(source)).split('"')[1::2]}
)

names = st.sampled_from([*NAMES, "novel", "custom", "audio", "message"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(SOURCES), st.data())
def test_no_json_brings_a_foreign_exception(source, data):
    """Anything in any place of an object that else is whole."""
    cls, whole = source
    value = json.loads(whole)
    holder: Any = value
    while True:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        if not keys:
            break
        key = data.draw(st.sampled_from(list(keys)))
        if isinstance(holder[key], (dict, list)) and data.draw(st.booleans()):
            holder = holder[key]
            continue
        holder[key] = data.draw(values)
        break
    check_anything(cls, json.dumps(value).encode())


def check_anything(cls: type[WireObject], data: bytes) -> None:
    try:
        obj = decode(cls, data)
    except APIResponseValidationError as error:
        kept = error.raw
    else:
        kept = data
        check_fidelity(obj, data)
        if cls is ChatCompletionChunk:
            assert decode_chunk(data).to_json() == obj.to_json()
    assert kept == data
