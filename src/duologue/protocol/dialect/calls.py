"""Deviations in the parts of tool calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...types.chat.chat_completion_chunk import Choice, ChoiceDeltaToolCall, ChoiceDeltaToolCallFunction
from ..accumulate import CallFinder, joined_name
from .context import Seen, apply, setting
from .values import LEAVE, Act, Fix

__all__ = ["in_calls", "may_repeat"]


class _CallAt(NamedTuple):
    """A part of a tool call: of which choice and which call, and whether its choice ends with it."""

    call: ChoiceDeltaToolCall
    choice: int
    key: int
    ends: bool


def in_calls(choice: Choice, index: int, seen: Seen, act: Act) -> None:
    """What deviates in the parts of tool calls that a chunk has for a choice."""
    parts = choice.delta.tool_calls
    if not parts:
        act("calls-empty", setting(choice.delta, "tool_calls", None))
        return
    finder = seen.calls.get(index) or seen.calls.setdefault(index, CallFinder())
    for position, part in enumerate(parts):
        key, function, identity = finder.find(part, position, len(parts)), part.function, part.id
        if part.index == key and not identity and (function is None or _goes_on(function)):
            continue
        call = _CallAt(part, index, key, choice.finish_reason is not None)
        if part.index != key:
            apply(_INDEX, call, seen, act)
        if identity:
            apply(_ID, call, seen, act)
            seen.ids.add((index, key))
        if function is not None:
            if (name := function.name) is not None:
                apply(_NAME, call, seen, act)
                if name:
                    seen.names[index, key] = joined_name(seen.names.get((index, key)), name)
            if function.arguments and may_repeat(function.arguments):
                apply(_ARGUMENTS, call, seen, act)


def _goes_on(function: ChoiceDeltaToolCallFunction) -> bool:
    """Whether this is nothing but some more of the arguments, and no end of them."""
    text = function.arguments
    return function.name is None and not (text and may_repeat(text))


def may_repeat(text: str) -> bool:
    """Whether a part of arguments looks like whole ones: an object, or one that was encoded twice."""
    first, last = text[0], text[-1]
    return (first == "{" and last == "}") or (first == last == '"' and len(text) >= _SHORTEST_TWICE)


_SHORTEST_TWICE = len('"{}"')


def _call_unnumbered(at: _CallAt, _seen: Seen) -> Fix | None:
    index: int | None = at.call.index
    return setting(at.call, "index", at.key) if index is None else None


def _call_shared(at: _CallAt, _seen: Seen) -> Fix | None:
    index: int | None = at.call.index
    return None if index is None or index == at.key else setting(at.call, "index", at.key)


def _id_again(at: _CallAt, seen: Seen) -> Fix | None:
    return setting(at.call, "id", None) if at.call.id and (at.choice, at.key) in seen.ids else None


def _name_empty(at: _CallAt, _seen: Seen) -> Fix | None:
    function = at.call.function
    return setting(function, "name", None) if function is not None and function.name == "" else None


def _name_again(at: _CallAt, seen: Seen) -> Fix | None:
    function = at.call.function
    same = function is not None and function.name and seen.names.get((at.choice, at.key)) == function.name
    return setting(function, "name", None) if same else None


def _name_pieces(at: _CallAt, seen: Seen) -> Fix | None:
    name = at.call.function.name if at.call.function is not None else None
    return LEAVE if name and seen.names.get((at.choice, at.key), name) != name else None


def _arguments_again(at: _CallAt, seen: Seen) -> Fix | None:
    """The text so far once more, whole; or at the end a whole that begins with it."""
    text = at.call.function.arguments if at.call.function is not None else None
    if not text or text[0] != "{":
        return None
    said = seen.arguments(at.choice, at.key, len(text))
    if not said or not text.startswith(said) or not _is_object(text):
        return None
    repeated = said == text or (at.ends and not _is_object(said + text))
    return setting(at.call.function, "arguments", text[len(said) :]) if repeated else None


def _arguments_twice(at: _CallAt, seen: Seen) -> Fix | None:
    text = at.call.function.arguments if at.call.function is not None else None
    if not text or text[0] != '"':
        return None
    said = seen.arguments(at.choice, at.key, len(text))
    if not said or not _is_object(said) or _json(text) != said:
        return None
    return setting(at.call.function, "arguments", "")


def _is_object(text: str) -> bool:
    return isinstance(_json(text), dict)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_INDEX: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {
    "call-index-missing": _call_unnumbered,
    "call-index-shared": _call_shared,
}
_ID: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {"call-id-repeated": _id_again}
_NAME: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {
    "call-name-empty": _name_empty,
    "call-name-repeated": _name_again,
    "call-name-pieces": _name_pieces,
}
_ARGUMENTS: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {
    "arguments-repeated": _arguments_again,
    "arguments-encoded-twice": _arguments_twice,
}
