"""The functions that make messages and parts."""

import msgspec
import pytest

from duologue.types.chat import (
    assistant_message,
    audio_part,
    developer_message,
    file_part,
    function_message,
    image_part,
    refusal_part,
    system_message,
    text_part,
    tool_message,
    user_message,
    user_message_parts,
)
from duologue.types.chat.request import ContentPart, Message

BREAK = {"mode": "explicit", "ttl": "30m"}
CALL = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TEXT = {"type": "text", "text": "a"}

MESSAGES = [
    (developer_message("a"), {"role": "developer", "content": "a"}),
    (developer_message([text_part("a")], name="n"), {"role": "developer", "content": [TEXT], "name": "n"}),
    (system_message("a"), {"role": "system", "content": "a"}),
    (system_message(iter([text_part("a")]), name="n"), {"role": "system", "content": [TEXT], "name": "n"}),
    (user_message("a"), {"role": "user", "content": "a"}),
    (user_message((text_part("a"),), name="n"), {"role": "user", "content": [TEXT], "name": "n"}),
    (
        user_message_parts("a", image_part("https://x"), name="n"),
        {
            "role": "user",
            "content": [TEXT, {"type": "image_url", "image_url": {"url": "https://x"}}],
            "name": "n",
        },
    ),
    (assistant_message("a"), {"role": "assistant", "content": "a"}),
    (assistant_message(""), {"role": "assistant", "content": ""}),
    (
        assistant_message([text_part("a"), refusal_part("no")]),
        {"role": "assistant", "content": [TEXT, {"type": "refusal", "refusal": "no"}]},
    ),
    (assistant_message(tool_calls=iter([CALL])), {"role": "assistant", "tool_calls": [CALL]}),
    (
        assistant_message(
            "a",
            refusal="no",
            name="n",
            audio_id="s",
            tool_calls=[CALL],
            function_call={"name": "f", "arguments": ""},
        ),
        {
            "role": "assistant",
            "content": "a",
            "refusal": "no",
            "name": "n",
            "audio": {"id": "s"},
            "tool_calls": [CALL],
            "function_call": {"name": "f", "arguments": ""},
        },
    ),
    (tool_message("42", "t"), {"role": "tool", "content": "42", "tool_call_id": "t"}),
    (
        tool_message([text_part("a")], tool_call_id="t"),
        {"role": "tool", "content": [TEXT], "tool_call_id": "t"},
    ),
    (function_message("42", "f"), {"role": "function", "content": "42", "name": "f"}),
    (function_message(None, name="f"), {"role": "function", "content": None, "name": "f"}),
]

PARTS = [
    (text_part("a"), TEXT),
    (text_part("a", prompt_cache_breakpoint=BREAK), {**TEXT, "prompt_cache_breakpoint": BREAK}),
    (image_part("https://x"), {"type": "image_url", "image_url": {"url": "https://x"}}),
    (
        image_part("https://x", detail="low", prompt_cache_breakpoint=BREAK),
        {
            "type": "image_url",
            "image_url": {"url": "https://x", "detail": "low"},
            "prompt_cache_breakpoint": BREAK,
        },
    ),
    (audio_part("AAAA", "wav"), {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    (
        audio_part("AAAA", format="mp3", prompt_cache_breakpoint=BREAK),
        {
            "type": "input_audio",
            "input_audio": {"data": "AAAA", "format": "mp3"},
            "prompt_cache_breakpoint": BREAK,
        },
    ),
    (file_part(file_id="f"), {"type": "file", "file": {"file_id": "f"}}),
    (
        file_part(file_data="AAAA", filename="a.pdf", prompt_cache_breakpoint=BREAK),
        {
            "type": "file",
            "file": {"file_data": "AAAA", "filename": "a.pdf"},
            "prompt_cache_breakpoint": BREAK,
        },
    ),
    (refusal_part("no"), {"type": "refusal", "refusal": "no"}),
]


@pytest.mark.parametrize(("made", "expected"), MESSAGES)
def test_a_message_is_what_the_server_takes(made, expected):
    """Plain dicts, no key for an option that was not given, and the server's checks pass."""
    assert made == expected
    assert type(msgspec.convert(made, Message)).__name__.lower() == f"{expected['role']}message"


@pytest.mark.parametrize(("made", "expected"), PARTS)
def test_a_part_is_what_the_server_takes(made, expected):
    """Plain dicts, no key for an option that was not given, and the server's checks pass."""
    assert made == expected
    assert msgspec.to_builtins(msgspec.convert(made, ContentPart)) == expected


def test_an_iterator_can_be_sent_twice():
    """A generator of parts becomes a list: a retry must not find it empty."""
    message = user_message(text_part(word) for word in ("a", "b"))
    assert [part["text"] for part in message["content"]] == ["a", "b"]
    assert [part["text"] for part in message["content"]] == ["a", "b"]
