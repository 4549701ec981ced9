"""The tolerant path: what it takes, what it refuses and how it says so."""

import json
import math

import pytest

from duologue.types._build import MAX_NESTING, Unreadable
from duologue.types.chat.chat_completion import ChatCompletion
from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk, ChoiceDelta
from duologue.types.chat.chat_completion_message import ChatCompletionMessage
from duologue.types.completion_usage import CompletionUsage


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def at(obj, path):
    """The value at a path such as `choices.0.index`."""
    for step in path.split("."):
        obj = obj[int(step)] if step.isdigit() else getattr(obj, step)
    return obj


TOKEN = {"token": "a", "bytes": None, "logprob": -1, "top_logprobs": []}

TOLERATED = [
    pytest.param({"created": 1.0}, "created", 1, id="float for an integer"),
    pytest.param({"created": "12"}, "created", 12, id="integer in quotes"),
    pytest.param({"created": None}, "created", None, id="null for a required field"),
    pytest.param({"id": 7}, "id", "7", id="number for a string"),
    pytest.param({"object": 1}, "object", "1", id="number for a constant"),
    pytest.param({"object": None}, "object", "chat.completion.chunk", id="null for a constant"),
    pytest.param({"choices": None}, "choices", [], id="null for a list"),
    pytest.param({"choices": [None, {"index": 3}]}, "choices.0.index", 3, id="null in a list"),
    pytest.param({"choices": [{"delta": None}]}, "choices.0.delta", ChoiceDelta(), id="null for an object"),
    pytest.param(
        {"choices": [{"finish_reason": "eos"}]}, "choices.0.finish_reason", "eos", id="unknown enum"
    ),
    pytest.param(
        {"choices": [{"logprobs": {"content": [{**TOKEN, "logprob": "-0.5"}]}}]},
        "choices.0.logprobs.content.0.logprob",
        -0.5,
        id="number in quotes",
    ),
    pytest.param(
        {"choices": [{"logprobs": {"content": [{**TOKEN, "logprob": -math.inf}]}}]},
        "choices.0.logprobs.content.0.logprob",
        -math.inf,
        id="infinity",
    ),
    pytest.param(
        {"choices": [{"logprobs": {"content": [{"token": "a"}]}}]},
        "choices.0.logprobs.content.0.top_logprobs",
        None,
        id="entry with a field missing",
    ),
    pytest.param(
        {"moderation": {"input": {"results": [{"category_scores": {"a": None, "b": 1}}]}}},
        "moderation.input.results.0.category_scores",
        {"b": 1.0},
        id="null in a mapping",
    ),
    pytest.param({"new": nested(MAX_NESTING)}, "new", nested(MAX_NESTING), id="deep unknown field"),
]


@pytest.mark.parametrize(("value", "path", "expected"), TOLERATED)
def test_what_other_clients_take_is_taken(value, path, expected):
    """Near misses read as what they are meant to be, and the JSON that came is kept."""
    chunk = ChatCompletionChunk.model_validate(value)
    found = at(chunk, path)
    assert found == expected
    assert type(found) is type(expected)
    assert chunk.wire.names == set(value)


def test_nan_is_a_number():
    """`NaN` in a probability is read as such."""
    chunk = ChatCompletionChunk.model_validate_json(
        b'{"choices":[{"logprobs":{"content":[{"token":"a","logprob":NaN}]}}]}'
    )
    assert math.isnan(chunk.choices[0].logprobs.content[0].logprob)


def test_places_count_the_entries_that_were_dropped():
    """After a null in a list, an object still finds its own bytes."""
    chunk = ChatCompletionChunk.model_validate_json('{"choices":[null,{"index":3,"later": 1}]}')
    assert chunk.choices[0].wire.raw == b'{"index":3,"later": 1}'


REFUSED = [
    pytest.param([], "expected an object at the top, got an array", id="list at the top"),
    pytest.param("x", "expected an object at the top, got a string", id="string at the top"),
    pytest.param(None, "expected an object at the top, got null", id="null at the top"),
    pytest.param({"id": True}, "expected a string at id, got a boolean", id="boolean for a string"),
    pytest.param({"choices": {}}, "expected an array at choices, got an object", id="object for a list"),
    pytest.param(
        {"choices": [{}, {"delta": {"content": ["a"]}}]},
        "expected a string at choices[1].delta.content, got an array",
        id="list for a string",
    ),
    pytest.param({"created": 1.5}, "expected an integer at created, got a number", id="fraction"),
    pytest.param(
        {"created": "soon"}, "expected an integer at created, got a string", id="word for an integer"
    ),
    pytest.param(
        {"created": True}, "expected an integer at created, got a boolean", id="boolean for integer"
    ),
    pytest.param({"created": math.nan}, "expected an integer at created, got a number", id="NaN for integer"),
    pytest.param({"usage": "none"}, "expected an object at usage, got a string", id="string for an object"),
    pytest.param(
        {"choices": [{"logprobs": {"content": [{"logprob": 10**400}]}}]},
        "expected a number at choices[0].logprobs.content[0].logprob, got a number",
        id="number beyond any float",
    ),
    pytest.param(
        {"choices": [{"logprobs": {"content": [{"logprob": "low"}]}}]},
        "expected a number at choices[0].logprobs.content[0].logprob, got a string",
        id="word for a number",
    ),
    pytest.param(
        {"moderation": {"input": {"results": [{"flagged": "no"}]}}},
        "expected true or false at moderation.input.results[0].flagged, got a string",
        id="word for a boolean",
    ),
    pytest.param(
        {"moderation": {"input": {"results": [{"categories": []}]}}},
        "expected an object at moderation.input.results[0].categories, got an array",
        id="list for a mapping",
    ),
    pytest.param(
        {"choices": [{"new": nested(MAX_NESTING + 1)}]},
        "expected at most 100 levels of nesting at choices[0].new, got an array",
        id="unknown field nested too deeply",
    ),
    pytest.param(
        {"usage": ChoiceDelta()}, "expected a CompletionUsage at usage, got a ChoiceDelta", id="class"
    ),
    pytest.param({"id": object()}, "expected a string at id, got a object", id="no JSON at all"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED)
def test_what_would_have_to_be_invented_is_refused_with_its_path(value, message):
    """The error names the place, what was expected and what came."""
    with pytest.raises(ValueError) as caught:
        ChatCompletionChunk.model_validate(value)
    assert str(caught.value) == message
    assert isinstance(caught.value, Unreadable)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param('{"content":"é","new":1}', id="text"),
        pytest.param('{"content":"é","new":1}'.encode(), id="bytes"),
        pytest.param(bytearray(b'{"content":"\xc3\xa9","new":1}'), id="bytearray"),
    ],
)
def test_model_validate_json(data):
    """JSON text in any form gives the object and its bytes."""
    message = ChatCompletionMessage.model_validate_json(data)
    assert (message.content, message.model_extra) == ("é", {"new": 1})
    assert json.loads(message.wire.raw) == {"content": "é", "new": 1}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b'{"content": ', id="cut"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"created": ' + b"9" * 5000 + b"}", id="number without end"),
        pytest.param(b"[1]", id="list"),
    ],
)
def test_model_validate_json_raises_value_errors_only(data):
    """Whatever the text is, the error is a ValueError."""
    with pytest.raises(ValueError):
        ChatCompletion.model_validate_json(data)


def test_a_lone_surrogate_in_text_becomes_its_escape():
    """Text that no UTF-8 can hold is kept as JSON escapes it."""
    message = ChatCompletionMessage.model_validate_json('{"content": "half \ud83d"}')
    assert message.content == "half \ud83d"
    assert message.wire.raw == rb'{"content": "half \ud83d"}'


def test_an_object_of_the_right_type_passes_as_it_is():
    """`model_validate` takes objects, at the top and inside."""
    usage = CompletionUsage(total_tokens=1)
    assert CompletionUsage.model_validate(usage) is usage
    assert ChatCompletion.model_validate({"usage": usage}).usage is usage


def test_the_mapping_that_was_validated_is_not_kept():
    """A later change to the caller's dict does not reach the object."""
    value = {"id": "a", "new": 1}
    chunk = ChatCompletionChunk.model_validate(value)
    value["new"] = 2
    value["newer"] = 3
    assert chunk.to_dict() == {"id": "a", "new": 1}
