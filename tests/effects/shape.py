"""Rows: how long an answer is, how many there are, and how they travel."""

from __future__ import annotations

from .chat import Chat, Row

__all__ = ["ROWS"]


def model(chat: Chat) -> str:
    assert chat.ask().model == chat.model
    error = chat.refusal(model="another")
    assert (error.status_code, error.code) == (404, "model_not_found")
    return "another id than the model's own is a 404 `model_not_found`"


def messages(chat: Chat) -> str:
    short = chat.ask("Hello")
    longer = chat.ask({"role": "system", "content": "You are a pirate."}, "Hello", "And you?")
    assert longer.usage.prompt_tokens > short.usage.prompt_tokens
    assert chat.text("Count from 1 to 3.") != chat.text("Hello")
    return "another question has another answer; what is said more counts as more prompt tokens"


def n(chat: Chat) -> str:
    one, four = chat.ask(n=1, temperature=2), chat.ask(n=4, temperature=2)
    assert [choice.index for choice in one.choices] == [0]
    assert [choice.index for choice in four.choices] == [0, 1, 2, 3]
    assert four.usage.prompt_tokens == one.usage.prompt_tokens
    assert four.usage.completion_tokens > one.usage.completion_tokens
    return "4 choices, and the prompt is read and counted once"


def stop(chat: Chat) -> str:
    text = chat.text()
    middle = len(text) // 3
    sequence = text[middle : middle + 3]
    for sequences in (sequence, ["no such text", "nor this", sequence, "nor that"]):
        stopped = chat.ask(stop=sequences).choices[0]
        assert stopped.message.content == text[: text.index(sequence)]
        assert stopped.finish_reason == "stop"
    return "the answer ends right before the text, alone or as the third of four; finish reason `stop`"


def max_tokens(chat: Chat) -> str:
    return _limited(chat, "max_tokens")


def max_completion_tokens(chat: Chat) -> str:
    return _limited(chat, "max_completion_tokens")


def _limited(chat: Chat, name: str) -> str:
    limited = chat.ask(**{name: 3})
    assert limited.usage.completion_tokens == 3
    assert limited.choices[0].finish_reason == "length"
    assert chat.text().startswith(limited.choices[0].message.content)
    return "3 tokens, finish reason `length`"


def stream(chat: Chat) -> str:
    chunks = chat.stream()
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert len([text for text in said if text]) > 3
    assert "".join(text or "" for text in said) == chat.text()
    assert all(chunk.usage is None for chunk in chunks)
    return "the same answer in many chunks"


def include_usage(chat: Chat) -> str:
    *chunks, last = chat.stream(stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage == chat.ask().usage
    assert all(chunk.usage is None for chunk in chunks)
    return "a last chunk without choices has the usage, the same as without streaming"


ROWS = (
    Row("model", "another id", model),
    Row("messages", "other ones, more of them", messages),
    Row("n", "1, then 4", n),
    Row("stop", "a text out of the answer; four texts", stop),
    Row("max_tokens", "3", max_tokens),
    Row("max_completion_tokens", "3", max_completion_tokens),
    Row("stream", "true", stream),
    Row("stream_options", "`include_usage`: true", include_usage),
)
