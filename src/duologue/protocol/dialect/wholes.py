"""Deviations in a whole completion: one that was not streamed, or what a stream has made up.

A check is given the completion, or one of its choices, and the request, and returns None where there is
nothing to say, else what repairs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...types.chat.chat_completion import ChatCompletion, Choice
from .chunks import FINISH_REASONS
from .context import Asked
from .values import LEAVE, Act, Fix

__all__ = ["in_content", "in_form"]

# What some models end their turns with; a server keeps it to itself.
_SPECIAL = re.compile(r"(?:<\|[a-z][a-z0-9_]*\|>|</s>|<eos>|<end_of_turn>|\[/INST\])\s*\Z", re.IGNORECASE)
_STRUCK = re.compile("<s[ >]", re.IGNORECASE)  # HTML, where `</s>` ends what is struck out
_SPECIAL_CHARACTERS = 64  # so far from the end it is looked for

_SAID_ALL = ("stop", "tool_calls")


def in_form(completion: ChatCompletion, asked: Asked, act: Act) -> None:
    """What deviates in the form of a completion that was not streamed."""
    for rule, check in _COMPLETION.items():
        fix = check(completion, asked)
        if fix is not None:
            act(rule, fix)
    for position, choice in enumerate(completion.choices):
        for name, look in _CHOICE.items():
            fix = look(choice, position, asked)
            if fix is not None:
                act(name, fix)


def in_content(completion: ChatCompletion, asked: Asked, act: Act) -> None:
    """What deviates in what a completion says; all of it can only be told."""
    usage, limit = completion.usage, asked.max_tokens
    if (
        usage is not None
        and limit is not None
        and (usage.completion_tokens or 0) > limit * _count(completion)
    ):
        act("limit-ignored", LEAVE)
    for choice in completion.choices:
        for rule, check in _CONTENT.items():
            if check(choice, asked):
                act(rule, LEAVE)


def _count(completion: ChatCompletion) -> int:
    return max(1, len(completion.choices))


# --- the form ---


def _object(completion: ChatCompletion, _asked: Asked) -> Fix | None:
    right = "chat.completion"
    return None if completion.object == right else (lambda: setattr(completion, "object", right))


def _identity(completion: ChatCompletion, _asked: Asked) -> Fix | None:
    return None if completion.id and completion.created and completion.model else LEAVE


def _missing(completion: ChatCompletion, asked: Asked) -> Fix | None:
    return LEAVE if len(completion.choices) < asked.n else None


def _no_index(choice: Choice, position: int, _asked: Asked) -> Fix | None:
    index: int | None = choice.index
    return (lambda: setattr(choice, "index", position)) if index is None else None


def _role(choice: Choice, _position: int, _asked: Asked) -> Fix | None:
    message = choice.message
    return None if message.role else (lambda: setattr(message, "role", "assistant"))


def _calls_empty(choice: Choice, _position: int, _asked: Asked) -> Fix | None:
    message = choice.message
    return (lambda: setattr(message, "tool_calls", None)) if message.tool_calls == [] else None


def _finish_empty(choice: Choice, _position: int, _asked: Asked) -> Fix | None:
    reason: str | None = choice.finish_reason
    return (lambda: setattr(choice, "finish_reason", None)) if reason == "" else None


def _finish_missing(choice: Choice, _position: int, _asked: Asked) -> Fix | None:
    return LEAVE if not choice.finish_reason and choice.message.audio is None else None


def _finish_unknown(choice: Choice, _position: int, _asked: Asked) -> Fix | None:
    reason = choice.finish_reason
    return LEAVE if reason and reason not in FINISH_REASONS else None


def _finish_stop(choice: Choice, _position: int, asked: Asked) -> Fix | None:
    if choice.finish_reason != "stop" or not choice.message.tool_calls or asked.a_call:
        return None
    return lambda: setattr(choice, "finish_reason", "tool_calls")


# --- the content ---


def _is_no_json(choice: Choice, _asked: Asked) -> bool:
    return any(_problem(text) == "wrong" for text in _arguments(choice))


def _is_cut(choice: Choice, _asked: Asked) -> bool:
    return choice.finish_reason in _SAID_ALL and any(_problem(text) == "cut" for text in _arguments(choice))


def _arguments(choice: Choice) -> list[str]:
    calls = choice.message.tool_calls or ()
    texts = [
        call.function.arguments for call in calls if call.type == "function" and call.function is not None
    ]
    return [text for text in texts if text]  # some servers leave out what is empty


def _problem(text: str) -> str | None:
    """Whether a text is no JSON because something is wrong in it, or because its end is missing."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        return "cut" if ended else "wrong"
    except (ValueError, RecursionError):
        return "wrong"
    return None


def _is_not_called(choice: Choice, asked: Asked) -> bool:
    message = choice.message
    if asked.tool_choice is None or choice.finish_reason not in _SAID_ALL or message.refusal:
        return False
    name = asked.one_tool
    if name is None:
        return asked.any_tool and not message.tool_calls
    called = [_name(call) for call in message.tool_calls or ()]
    return not called or any(each != name for each in called)


def _name(call: Any) -> str | None:
    body = call.custom if call.type == "custom" else call.function
    return None if body is None else body.name


def _is_no_json_text(choice: Choice, asked: Asked) -> bool:
    wanted = asked.response_format
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    message = choice.message
    if kind not in ("json_object", "json_schema") or choice.finish_reason != "stop":
        return False
    return not message.refusal and not message.tool_calls and _problem(message.content or "") is not None


def _is_special(choice: Choice, _asked: Asked) -> bool:
    content = choice.message.content or ""
    found = _SPECIAL.search(content[-_SPECIAL_CHARACTERS:])
    return found is not None and not (found[0].startswith("</") and _STRUCK.search(content) is not None)


def _is_replaced(choice: Choice, _asked: Asked) -> bool:
    return "\ufffd" in (choice.message.content or "")


_COMPLETION: Mapping[str, Callable[[ChatCompletion, Asked], Fix | None]] = {
    "object-wrong": _object,
    "identity-empty": _identity,
    "choices-missing": _missing,
}
_CHOICE: Mapping[str, Callable[[Choice, int, Asked], Fix | None]] = {
    "index-missing": _no_index,
    "role-empty": _role,
    "calls-empty": _calls_empty,
    "finish-missing": _finish_missing,
    "finish-empty": _finish_empty,
    "finish-unknown": _finish_unknown,
    "finish-stop-with-calls": _finish_stop,
}
_CONTENT: Mapping[str, Callable[[Choice, Asked], bool]] = {
    "arguments-not-json": _is_no_json,
    "finish-hides-length": _is_cut,
    "tool-choice-ignored": _is_not_called,
    "format-ignored": _is_no_json_text,
    "special-token": _is_special,
    "replacement-character": _is_replaced,
}
