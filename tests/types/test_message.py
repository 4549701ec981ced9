"""An answer's message as part of the next request."""

import msgspec
import pytest

from duologue.types.chat.chat_completion_message import ChatCompletionMessage
from duologue.types.chat.request import AssistantMessage

CASES = [
    pytest.param(
        {"role": "assistant", "content": "Hi", "refusal": None},
        {"role": "assistant", "content": "Hi"},
        id="text",
    ),
    pytest.param(
        {"content": None, "refusal": "No."},
        {"role": "assistant", "content": None, "refusal": "No."},
        id="refusal",
    ),
    pytest.param(
        {
            "content": "Hi",
            "reasoning_content": "hm",
            "reasoning": "hm",
            "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
            "provider": "p",
        },
        {"role": "assistant", "content": "Hi"},
        id="what only answers carry is left out",
    ),
    pytest.param(
        {"content": None, "audio": {"id": "a", "data": "AAAA", "expires_at": 1, "transcript": "Hi"}},
        {"role": "assistant", "content": None, "audio": {"id": "a"}},
        id="audio by its id",
    ),
    pytest.param(
        {"content": None, "audio": {"transcript": "Hi"}},
        {"role": "assistant", "content": None},
        id="audio without an id",
    ),
    pytest.param(
        {"content": None, "tool_calls": []},
        {"role": "assistant", "content": None},
        id="no calls",
    ),
    pytest.param(
        {
            "content": None,
            "tool_calls": [
                {"id": "t0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "t1", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "t0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "t1", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
        },
        id="both kinds of call",
    ),
    pytest.param(
        {
            "content": None,
            "tool_calls": [
                {"id": "t0", "function": {"name": "f"}},
                {"id": "t1", "type": None, "function": {"name": "f", "arguments": None}},
                {"id": "t2", "custom": {"name": "g"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "t0", "type": "function", "function": {"name": "f", "arguments": ""}},
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}},
                {"id": "t2", "type": "custom", "custom": {"name": "g", "input": ""}},
            ],
        },
        id="calls that leave out what a request needs",
    ),
    pytest.param(
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        id="function call",
    ),
]


@pytest.mark.parametrize(("answer", "expected"), CASES)
def test_to_param(answer, expected):
    """The message goes back without what only answers carry, and the server takes it."""
    param = ChatCompletionMessage.model_validate(answer).to_param()
    assert param == expected
    msgspec.convert(param, AssistantMessage)


def test_unknown_fields_of_a_call_go_back():
    """Some servers sign a call and want the signature back."""
    call = {
        "id": "t",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "signature": {"v": 1},
    }
    message = ChatCompletionMessage.model_validate({"content": None, "tool_calls": [call]})
    assert list(message.to_param()["tool_calls"]) == [call]


def test_a_message_made_by_hand_can_be_sent():
    """A message need not have come from a server."""
    assert ChatCompletionMessage(content="Hi").to_param() == {"role": "assistant", "content": "Hi"}
