"""Messages as attributes of a span, for those who ask for them.

`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` asks, as in OpenTelemetry's own packages: `true`, `span_only`
and `span_and_event` put messages on spans. Anything else, and nothing, captures nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ...types._wire import WireObject
from ...types.chat.chat_completion import ChatCompletion

__all__ = ["asks_for_content", "input_messages", "output_messages"]

_ASKS = frozenset({"true", "span_only", "span_and_event"})


def asks_for_content() -> bool:
    """Whether messages are to be captured."""
    return os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower() in _ASKS


def input_messages(params: Mapping[str, Any]) -> dict[str, str]:
    """What was asked. Messages that can be read only once are left to be sent."""
    messages = params.get("messages")
    if not isinstance(messages, (list, tuple)):
        return {}
    return {"gen_ai.input.messages": _text([_message(_plain(each)) for each in messages])}


def output_messages(answer: ChatCompletion) -> dict[str, str]:
    """What was answered."""
    choices = [
        {**_message(choice.message.to_dict()), "finish_reason": choice.finish_reason or "error"}
        for choice in answer.choices
    ]
    return {"gen_ai.output.messages": _text(choices)}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """One message in the form of the conventions: a role, and parts."""
    role = str(message.get("role") or "assistant")
    content = message.get("content") or message.get("refusal")
    if role == "tool":
        answer = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [answer]}
    parts = [{"type": "text", "content": content}] if isinstance(content, str) else [*_parts(content)]
    return {"role": role, "parts": [*parts, *_calls(message.get("tool_calls"))]}


def _parts(content: Any) -> Iterable[dict[str, Any]]:
    """The parts of a message's content; of what is no text only the kind, for its size."""
    for part in content if isinstance(content, (list, tuple)) else ():
        if isinstance(part, Mapping):
            text = part.get("text")
            more = {"content": text} if isinstance(text, str) else {}
            yield {"type": part.get("type"), **more}


def _calls(calls: Any) -> Iterable[dict[str, Any]]:
    for call in calls if isinstance(calls, (list, tuple)) else ():
        call = _plain(call)
        what = call.get("function") or call.get("custom") or {}
        text = what.get("arguments", what.get("input"))
        yield {"type": "tool_call", "id": call.get("id"), "name": what.get("name"), "arguments": text}


def _plain(value: Any) -> Mapping[str, Any]:
    if isinstance(value, WireObject):
        return value.to_dict()
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
