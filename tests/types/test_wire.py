"""What a response object knows of how it stood on the wire, and the methods known from openai-python."""

import copy
import gc
import json
import pickle
import sys

import msgspec
import pytest

from duologue.protocol.codec import decode, decode_chunk, decode_completion
from duologue.protocol.errors import APIResponseValidationError
from duologue.types._build import MAX_NESTING
from duologue.types._wire import WireObject
from duologue.types.chat import chat_completion, chat_completion_chunk
from duologue.types.chat.chat_completion import ChatCompletion
from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk, ChoiceDelta
from duologue.types.chat.chat_completion_message import ChatCompletionMessage
from duologue.types.chat.chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall
from duologue.types.chat.chat_completion_message_function_tool_call import (
    ChatCompletionMessageFunctionToolCall,
)
from duologue.types.chat.chat_completion_moderation import (
    ModerationError,
    ModerationResult,
    ModerationResults,
)
from duologue.types.completion_usage import CompletionUsage
from duologue.types.model import Model, ModelList

TOKEN = {
    "token": "Hé",
    "bytes": [72, 195, 169],
    "logprob": -0.25,
    "top_logprobs": [{"token": "H", "bytes": None, "logprob": -1.5}],
}
VERDICT = {
    "type": "moderation_results",
    "model": "m",
    "results": [
        {
            "type": "moderation_result",
            "model": "m",
            "flagged": False,
            "categories": {"violence": False},
            "category_scores": {"violence": 0.01},
            "category_applied_input_types": {"violence": ["text"]},
        }
    ],
}
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": None},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
CHUNK = {
    "id": "c-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "service_tier": "default",
    "system_fingerprint": None,
    "obfuscation": "xx",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": None,
                "audio": {"id": "a", "data": "AAAA", "transcript": "hi"},
                "function_call": {"name": "f", "arguments": ""},
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "t0",
                        "type": "function",
                        "function": {"name": "f", "arguments": None},
                    },
                    {"index": 1, "id": "t1", "type": "custom", "custom": {"name": "g", "input": "x"}},
                ],
                "reasoning_content": "hm",
            },
            "logprobs": {"content": [TOKEN], "refusal": None},
            "finish_reason": None,
        },
        {"index": 1, "delta": {"refusal": "no"}, "finish_reason": "stop"},
    ],
    "usage": USAGE,
    "moderation": {"input": VERDICT, "output": VERDICT},
}
COMPLETION = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "metadata": {"k": "v"},
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hé",
                "refusal": None,
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "u"},
                    }
                ],
                "audio": {"id": "a", "data": "AAAA", "transcript": "hi", "expires_at": 9},
                "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                "function_call": {"name": "f", "arguments": "{}"},
            },
            "logprobs": {"content": [TOKEN], "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "moderation": {"input": VERDICT, "output": VERDICT},
}


def text(value) -> bytes:
    """JSON as a server might write it: with spaces, so that exact bytes differ from any re-encoding."""
    return json.dumps(value, ensure_ascii=False, separators=(" , ", " : ")).encode()


def with_unknown_fields(value):
    """The same JSON with an unknown field in every object that may have one."""
    if isinstance(value, list):
        return [with_unknown_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {"k", "violence"} & value.keys()
    inside = {name: with_unknown_fields(item) for name, item in value.items()}
    return inside if plain else {**inside, "new_field": {"deep": [1, None]}}


def walk(obj, value, place="$"):
    """Every response object in `obj`, with the JSON it came from."""
    yield obj, value, place
    for name in obj.__struct_fields__:
        held = getattr(obj, name)
        if isinstance(held, WireObject) and name in value:
            yield from walk(held, value[name], f"{place}.{name}")
        elif isinstance(held, list):
            for at, item in enumerate(held):
                if isinstance(item, WireObject):
                    yield from walk(item, value[name][at], f"{place}.{name}[{at}]")


WIRED = [
    pytest.param(ChatCompletionChunk, CHUNK, id="chunk"),
    pytest.param(ChatCompletion, COMPLETION, id="completion"),
    pytest.param(ChatCompletionChunk, with_unknown_fields(CHUNK), id="chunk with unknown fields"),
    pytest.param(ChatCompletion, with_unknown_fields(COMPLETION), id="completion with unknown fields"),
]


@pytest.mark.parametrize(("cls", "value"), WIRED)
def test_every_object_knows_how_it_stood_on_the_wire(cls, value):
    """At every level `wire` tells names, nulls, unknown fields and the exact bytes."""
    seen = set()
    for obj, own, place in walk(decode(cls, text(value)), value):
        seen.add(type(obj).__name__)
        assert obj.wire.names == set(own), place
        for name in (*obj.__struct_fields__, "new_field", "never"):
            assert obj.wire.has(name) == (name in own), (place, name)
            assert obj.wire.is_null(name) == (name in own and own[name] is None), (place, name)
        assert obj.wire.extra == {n: v for n, v in own.items() if n not in obj.__struct_fields__}, place
        assert json.loads(obj.wire.raw) == own, place
        if not all(field.required for field in msgspec.structs.fields(type(obj))) or "new_field" in own:
            assert obj.wire.raw == text(own), place
        assert obj.to_dict() == own, place
        assert list(obj.to_dict()) == list(own), place
        assert obj.model_fields_set == set(own), place
    assert len(seen) >= 14


@pytest.mark.parametrize(("cls", "value"), WIRED)
@pytest.mark.parametrize(
    "duplicate",
    [
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda obj: obj.model_copy(), id="model_copy"),
        pytest.param(lambda obj: obj.model_copy(deep=True), id="model_copy deep"),
        pytest.param(lambda obj: obj.__replace__(), id="replace"),
        pytest.param(lambda obj: pickle.loads(pickle.dumps(obj)), id="pickle"),
        pytest.param(lambda obj: type(obj).model_validate(obj.to_dict()), id="validate what was dumped"),
        pytest.param(lambda obj: type(obj).model_validate_json(obj.wire.raw), id="validate raw"),
    ],
)
def test_a_duplicate_is_equal_and_came_the_same_way(cls, value, duplicate):
    """No way of copying loses fields, unknown fields, or the difference between missing and null."""
    original = decode(cls, text(value))
    other = duplicate(original)
    assert type(other) is type(original)
    assert other == original
    assert [(place, obj.wire.names, obj.to_dict()) for obj, _, place in walk(other, value)] == [
        (place, obj.wire.names, obj.to_dict()) for obj, _, place in walk(original, value)
    ]


def test_deep_copies_share_nothing_and_shallow_ones_do():
    """`deep` decides whether a change inside the copy is seen in the original."""
    chunk = decode_chunk(text(CHUNK))
    chunk.model_copy(deep=True).choices[0].delta.content = "other"
    copy.deepcopy(chunk).choices[0].delta.content = "other"
    assert chunk.choices[0].delta.content is None
    chunk.model_copy().choices[0].delta.content = "same"
    assert chunk.choices[0].delta.content == "same"


def test_model_copy_updates_fields_and_keeps_the_rest():
    """`update` replaces known fields; what was on the wire beside them stays."""
    message = decode(ChatCompletionMessage, b'{"role": "assistant", "content": "a", "provider": "p"}')
    changed = message.model_copy(update={"content": "b"})
    assert changed.to_dict() == {"role": "assistant", "content": "b", "provider": "p"}
    assert message.content == "a"
    with pytest.raises(TypeError, match="mistake"):
        message.model_copy(update={"mistake": 1})


def test_the_request_id_is_that_of_the_response_and_survives_a_copy():
    """`_request_id` reads the HTTP response a client attached; without one it is None."""

    class Response:
        request_id = "req-1"

    completion = decode_completion(text(COMPLETION))
    assert completion._request_id is None
    completion._response = Response()
    assert completion._request_id == completion.model_copy()._request_id == "req-1"
    assert pickle.loads(pickle.dumps(completion))._request_id is None


@pytest.mark.parametrize(
    ("body", "content", "has", "is_null"),
    [
        pytest.param(b"{}", None, False, False, id="missing"),
        pytest.param(b'{"content": null}', None, True, True, id="null"),
        pytest.param(b'{"content": ""}', "", True, False, id="empty"),
        pytest.param(b'{"content": null, "new": 1}', None, True, True, id="null beside unknown"),
        pytest.param(b'{"new": 1}', None, False, False, id="missing beside unknown"),
    ],
)
def test_missing_null_and_value(body, content, has, is_null):
    """Missing and null both read as None, and can be told apart."""
    delta = decode(ChoiceDelta, body)
    assert delta.content == content
    assert (delta.wire.has("content"), delta.wire.is_null("content")) == (has, is_null)
    assert delta.to_dict() == json.loads(body)


def test_a_default_that_stands_in_for_a_missing_object_came_with_nothing():
    """A choice without a delta reads as an empty one, which has no bytes and no fields of its own."""
    chunk = decode_chunk(b'{"id":"c","choices":[{"index":0,"finish_reason":"stop"}]}')
    delta = chunk.choices[0].delta
    assert delta == ChoiceDelta()
    assert (delta.wire.names, delta.wire.extra, delta.wire.raw) == (set(), {}, b"{}")
    assert not hasattr(delta, "reasoning_details")
    assert chunk.to_dict() == {"id": "c", "choices": [{"index": 0, "finish_reason": "stop"}]}


@pytest.mark.parametrize("body", [b'{"id":"c"}', b'{"id":"c","later":1}'], ids=["strict", "tolerant"])
def test_dumping_adds_no_field_that_never_came(body):
    """Constants such as `object` read as they should, but are dumped only if they came or all are asked for."""
    chunk = decode_chunk(body)
    assert (chunk.object, chunk.choices) == ("chat.completion.chunk", [])
    assert chunk.to_dict() == chunk.model_dump(exclude_unset=True) == json.loads(body)
    assert chunk.model_dump()["object"] == "chat.completion.chunk"


def test_what_is_set_later_is_dumped_too():
    """A changed field is dumped in its place, a new one at the end; null stays where null came."""
    delta = decode(ChoiceDelta, b'{"content": "a", "refusal": null, "provider": "p"}')
    delta.content = None
    delta.reasoning = "r"
    assert delta.to_dict() == {"content": None, "refusal": None, "provider": "p", "reasoning": "r"}
    assert delta.model_fields_set == {"content", "refusal", "provider", "reasoning"}
    assert delta.model_dump(exclude_none=True) == {"provider": "p", "reasoning": "r"}


def test_an_object_made_by_hand_dumps_what_it_says_and_what_must_be_there():
    """Fields at None are left out, except those that the protocol requires to be null."""
    choice = chat_completion.Choice(index=0, message=ChatCompletionMessage(content="x"), finish_reason="stop")
    expected = {
        "finish_reason": "stop",
        "index": 0,
        "logprobs": None,
        "message": {"content": "x", "refusal": None, "role": "assistant"},
    }
    assert choice.to_dict() == expected
    assert json.loads(choice.wire.raw) == expected
    assert choice.wire.is_null("logprobs")
    assert choice.wire.extra == {}
    assert "annotations" in choice.model_dump()["message"]
    chunk = chat_completion_chunk.Choice(index=0)
    assert chunk.to_dict() == {"index": 0, "delta": {}, "finish_reason": None}


def test_dumping_hands_out_nothing_that_belongs_to_the_object():
    """A change in a dump reaches neither the object nor its next dump."""
    chunk = decode_chunk(text(with_unknown_fields(CHUNK)))
    dumped = chunk.to_dict()
    dumped["new_field"]["deep"].append(2)
    dumped["choices"][0]["delta"]["tool_calls"].clear()
    assert chunk.to_dict() == with_unknown_fields(CHUNK)


@pytest.mark.parametrize(
    ("obj", "name", "known"),
    [
        pytest.param(chat_completion.Choice(finish_reason="stop"), "finish_reason", True, id="listed"),
        pytest.param(
            decode(chat_completion.Choice, b'{"finish_reason":"eos"}'),
            "finish_reason",
            False,
            id="not listed",
        ),
        pytest.param(ChatCompletion(), "service_tier", False, id="missing"),
        pytest.param(ChatCompletion(service_tier="flex"), "service_tier", True, id="optional"),
        pytest.param(ChatCompletionMessageFunctionToolCall(), "type", True, id="constant"),
    ],
)
def test_enum_values_of_a_newer_protocol_pass_and_are_told_apart(obj, name, known):
    """An enum field takes any string; `is_known` asks for those that this version lists."""
    assert obj.wire.is_known(name) is known


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (ChatCompletion(), "model"),
        (ChatCompletion(), "choices"),
        (ChatCompletion(), "mistake"),
        (ModerationResult(), "category_applied_input_types"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_is_known_of_a_field_without_a_list_is_a_mistake(obj, name):
    """Asking for the known values of free text, or of no field at all, is an error that names it."""
    with pytest.raises((ValueError, AttributeError), match=name):
        obj.wire.is_known(name)


class TestUnknownFields:
    """Fields that this version of the protocol does not know."""

    def test_they_are_attributes(self):
        """They can be read as openai-python's users read them."""
        delta = decode(ChoiceDelta, b'{"content":"a","reasoning_details":[{"text":"t"}]}')
        assert delta.reasoning_details == [{"text": "t"}]
        assert getattr(delta, "other", "fallback") == "fallback"
        assert delta.model_extra == {"reasoning_details": [{"text": "t"}]}
        with pytest.raises(AttributeError, match="'ChoiceDelta' object has no attribute 'other'"):
            _ = delta.other

    @pytest.mark.parametrize(
        "name",
        ["_wire", "_response", "_home", "__class__", "__dict__", "wire", "text", "to_dict", "model_dump"],
    )
    def test_they_cannot_stand_in_for_what_the_class_has(self, name):
        """A server that names a field like one of ours is kept at arm's length, and nothing is lost."""
        body = json.dumps({"id": "c", name: {"raw": 1}}).encode()
        chunk = decode_chunk(body)
        assert type(chunk) is ChatCompletionChunk
        assert chunk.wire.extra == {name: {"raw": 1}}
        assert getattr(chunk, name, None) != {"raw": 1}
        assert chunk.text == ""
        assert chunk.to_dict() == json.loads(body)
        assert copy.deepcopy(chunk) == chunk

    def test_looking_for_one_on_a_plain_object_parses_nothing(self):
        """`getattr(delta, "x", None)` in a loop costs no second parse: the strict decoder let none pass."""
        chunk = decode_chunk(b'{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}')
        assert getattr(chunk.choices[0].delta, "reasoning_details", None) is None
        assert chunk.choices[0].delta._wire.fields is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(rb'{"content": "half \ud83d"}', id="lone surrogate"),
        pytest.param(b'{"content": "\xff\xfe"}', id="invalid UTF-8"),
        pytest.param(b'{"content": "x", "score": NaN, "top": -Infinity}', id="NaN"),
    ],
)
def test_what_is_no_strict_json_is_written_as_strict_json(body):
    """Whatever came, what is written back is valid JSON in UTF-8; the bytes that came stay at hand."""
    delta = decode(ChoiceDelta, body)
    assert delta.wire.raw == body
    written = delta.to_json().encode()
    again = json.loads(written, parse_constant=lambda name: pytest.fail(name))
    assert again["content"] == delta.content
    assert delta.model_dump_json(exclude_unset=True) == delta.to_json()


@pytest.mark.parametrize("place", ["top", "delta"])
def test_an_unknown_field_may_be_deep_but_not_without_end(place):
    """What can be decoded can be dumped, copied and pickled; deeper nesting is a typed error with its path."""

    def event(levels):
        new = b"[" * levels + b"]" * levels
        inner = b'{"choices":[{"delta":{"new":%s}}]}' if place == "delta" else b'{"new":%s}'
        return inner % new

    chunk = decode_chunk(event(MAX_NESTING))
    assert json.loads(chunk.to_json()) == chunk.to_dict() == json.loads(event(MAX_NESTING))
    assert pickle.loads(pickle.dumps(chunk)) == copy.deepcopy(chunk) == chunk
    for levels in (MAX_NESTING + 1, 900, 100_000):
        with pytest.raises(APIResponseValidationError, match="nest") as caught:
            decode_chunk(event(levels))
        assert caught.value.raw == event(levels)


def test_bytes_inside_an_event_that_is_no_strict_json_are_an_encoding():
    """Without a strict parse no one knows where an inner object's bytes end, so they are written anew."""
    chunk = decode_chunk(b'{"x": NaN, "choices": [ {"index": 0, "delta": {"content" : "a"}} ]}')
    assert chunk.choices[0].delta.wire.raw == b'{"content":"a"}'


def test_repeated_keys_mean_the_last_one_everywhere():
    """Fields, presence and raw bytes agree on which of two equal names counts."""
    chunk = decode_chunk(
        b'{"choices":[{"index":1,"delta":{"content":"a"}}],"choices":[{"index":0,"delta":{}}]}'
    )
    delta = chunk.choices[0].delta
    assert (delta.content, delta.wire.has("content"), delta.wire.raw) == (None, False, b"{}")


def test_json_text_has_an_indent_when_asked():
    """Compact by default, one key a line with `indent`."""
    model = Model(id="m", created=1, owned_by="o")
    assert model.to_json() == '{"id":"m","created":1,"object":"model","owned_by":"o"}'
    assert model.model_dump_json(indent=2, exclude_none=True).splitlines()[1] == '  "id": "m",'


def test_no_two_objects_share_a_default():
    """Lists, dicts and objects that fields begin with are made for each object."""
    for make in (lambda cls: cls(), lambda cls: cls.model_validate({}), lambda cls: decode(cls, b"{}")):
        for cls in (ChatCompletion, ChatCompletionChunk, ModelList, chat_completion.Choice):
            one, other = make(cls), make(cls)
            for name in cls.__struct_fields__:
                value = getattr(one, name)
                if isinstance(value, (list, dict, WireObject)):
                    assert value is not getattr(other, name)


def test_objects_are_freed_with_what_they_came_with():
    """The collector does not track response objects, so nothing may keep the bytes of one alive."""
    body = text(CHUNK)
    chunk = decode_chunk(body)
    assert not gc.is_tracked(chunk)
    del chunk
    before = sys.getrefcount(body)
    for _ in range(50):
        chunk = decode_chunk(body)
        assert chunk.choices[1].wire.has("delta")
        assert pickle.loads(pickle.dumps(chunk)) == chunk.model_copy(deep=True)
    del chunk
    assert sys.getrefcount(body) == before


@pytest.mark.parametrize(
    ("fields", "cls"),
    [
        pytest.param(
            {"type": "function", "function": {}}, ChatCompletionMessageFunctionToolCall, id="function"
        ),
        pytest.param({"id": "x"}, ChatCompletionMessageFunctionToolCall, id="nothing said"),
        pytest.param({"type": "custom", "custom": {}}, ChatCompletionMessageCustomToolCall, id="custom"),
        pytest.param({"custom": {"input": "x"}}, ChatCompletionMessageCustomToolCall, id="custom, untyped"),
        pytest.param({"type": "mcp", "mcp": {}}, ChatCompletionMessageFunctionToolCall, id="unknown type"),
    ],
)
def test_a_tool_call_is_of_the_kind_it_says(fields, cls):
    """The two kinds of tool call are told apart wherever they come from."""
    for message in (
        decode(ChatCompletionMessage, json.dumps({"tool_calls": [fields]}).encode()),
        ChatCompletionMessage.model_validate({"tool_calls": [fields]}),
        ChatCompletionMessage.model_validate({"tool_calls": [cls.model_validate(fields)]}),
    ):
        assert type(message.tool_calls[0]) is cls
        assert message.to_dict() == {"tool_calls": [fields]}
    restored = pickle.loads(pickle.dumps(message))
    assert type(restored.tool_calls[0]) is cls


def test_a_failed_moderation_is_an_error_object():
    """The verdict on one side may be an error while the other is a result."""
    error = {"type": "error", "code": "e", "message": "m"}
    chunk = decode_chunk(text({**CHUNK, "moderation": {"input": error, "output": VERDICT}}))
    assert type(chunk.moderation.input) is ModerationError
    assert type(chunk.moderation.output) is ModerationResults
    assert chunk.moderation.input.wire.raw == text(error)


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        ({"choices": []}, ""),
        ({"choices": [{"index": 0, "delta": {"content": "a"}}]}, "a"),
        ({"choices": [{"index": 0, "delta": {"content": None}}]}, ""),
        ({"choices": [{"delta": {"content": "a"}}]}, "a"),
        ({"choices": [{"index": 1, "delta": {"content": "b"}}]}, ""),
        (
            {"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]},
            "a",
        ),
        ({"choices": None}, ""),
        ({"choices": [{"index": 0, "delta": None}]}, ""),
    ],
    ids=["no choice", "text", "null", "no index", "other choice", "both", "null choices", "null delta"],
)
def test_text_of_a_chunk(chunk, expected):
    """`chunk.text` never fails, whatever is missing, and is about the first choice only."""
    assert decode_chunk(json.dumps(chunk).encode()).text == expected


def test_text_of_a_completion_and_of_a_message():
    """`text` is the content, and empty where there is none."""
    assert decode_completion(text(COMPLETION)).text == "Hé"
    assert ChatCompletion().text == ChatCompletionMessage().text == ""


def test_a_list_of_models_can_be_iterated():
    """`for model in models` gives the models."""
    models = decode(ModelList, b'{"object":"list","data":[{"id":"a"},{"id":"b"}]}')
    assert [model.id for model in models] == ["a", "b"]
    assert models.to_dict()["data"] == [{"id": "a"}, {"id": "b"}]


def test_usage_is_the_same_type_in_a_chunk_and_in_a_completion():
    """Its place on the wire is found in both."""
    for obj in (decode_chunk(text(CHUNK)), decode_completion(text(COMPLETION))):
        assert type(obj.usage) is CompletionUsage
        assert obj.usage.prompt_tokens_details.wire.is_null("audio_tokens")
        assert not obj.usage.completion_tokens_details.wire.has("audio_tokens")
