"""Deviations in the chunks of a stream, looked for in the order in which they come.

A check is given a part of a chunk and what was `Seen` before, and returns None where there is nothing to
say, else what repairs it, which goes to `act` with the name of the rule. Checks run only where something is
that they could find: most chunks go on with what has begun.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, get_args

from ...types.chat.chat_completion import FinishReason
from ...types.chat.chat_completion_chunk import (
    ChatCompletionChunk,
    Choice,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
)
from ..accumulate import Accumulator, CallFinder, choice_index
from .values import LEAVE, Act, Fix

__all__ = ["FINISH_REASONS", "Asked", "Seen", "in_chunk", "in_head"]

FINISH_REASONS = frozenset(get_args(FinishReason))

T = TypeVar("T")


class Asked(NamedTuple):
    """What the request says that an answer can be held to; the names are the request's."""

    n: int = 1
    include_usage: bool = False
    tool_choice: Any = None
    response_format: Any = None
    max_tokens: int | None = None

    @property
    def any_tool(self) -> bool:
        """Whether some tool must be called."""
        choice = self.tool_choice
        allowed = choice.get("allowed_tools") if isinstance(choice, Mapping) else None
        return choice == "required" or (isinstance(allowed, Mapping) and allowed.get("mode") == "required")

    @property
    def one_tool(self) -> str | None:
        """The name of the tool that must be called, where it is one."""
        choice = self.tool_choice
        for kind in ("function", "custom"):
            if isinstance(choice, Mapping) and isinstance(tool := choice.get(kind), Mapping):
                return tool.get("name")
        return None


def asked_by(body: Mapping[str, Any]) -> Asked:
    """What a request says, as far as it is what the protocol has there."""
    n, options = body.get("n"), body.get("stream_options")
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    return Asked(
        n if isinstance(n, int) and n > 0 else 1,
        isinstance(options, Mapping) and bool(options.get("include_usage")),
        body.get("tool_choice"),
        body.get("response_format"),
        limit if isinstance(limit, int) else None,
    )


class Seen:
    """What the chunks so far have said."""

    def __init__(self, asked: Asked, accumulator: Accumulator | None) -> None:
        self.asked = asked
        self._accumulator = accumulator
        self.identity: dict[str, Any] = {}
        self.begun: set[int] = set()
        self.roles: set[int] = set()
        self.usages = 0
        self.calls: dict[int, CallFinder] = {}
        self.ids: set[tuple[int, int]] = set()
        self.names: dict[tuple[int, int], str] = {}

    def arguments(self, choice: int, call: int, at_most: int) -> str | None:
        """Those of a tool call so far; None where nobody keeps them, or they are longer than `at_most`."""
        return self._accumulator.arguments(choice, call, at_most) if self._accumulator is not None else None


def in_head(chunk: ChatCompletionChunk, seen: Seen, act: Act) -> None:
    """What deviates in the identity of a chunk."""
    _apply(_HEAD, chunk, seen, act)
    for name in _IDENTITY:
        if value := getattr(chunk, name):
            seen.identity.setdefault(name, value)


def in_chunk(chunk: ChatCompletionChunk, seen: Seen, act: Act) -> None:
    """What deviates in the rest of it."""
    if chunk.usage is not None or not chunk.choices:
        _apply(_BESIDE, chunk, seen, act)
        seen.usages += chunk.usage is not None and not chunk.choices
    for position, choice in enumerate(chunk.choices):
        delta = choice.delta
        known = choice.index in seen.begun
        if known and delta.role is None and delta.tool_calls is None and choice.finish_reason is None:
            continue
        at = _At(choice, choice_index(choice, position), position, len(chunk.choices))
        if not known:
            _apply(_BEGINNING, at, seen, act)
            seen.begun.add(at.key)
        if delta.role is not None:
            said = bool(delta.role)
            _apply(_ROLE, at, seen, act)
            if said:
                seen.roles.add(at.key)
        if delta.tool_calls is not None:
            _in_calls(at, seen, act)
        if choice.finish_reason is not None:
            _apply(_FINISH, at, seen, act)


def _apply(checks: Mapping[str, Callable[[T, Seen], Fix | None]], part: T, seen: Seen, act: Act) -> None:
    for rule, check in checks.items():
        fix = check(part, seen)
        if fix is not None:
            act(rule, fix)


def _set(obj: Any, name: str, value: Any) -> Fix:
    return functools.partial(setattr, obj, name, value)


# --- the head of a chunk ---

_IDENTITY = ("id", "created", "model")


def _changed(name: str) -> Callable[[ChatCompletionChunk, Seen], Fix | None]:
    def check(chunk: ChatCompletionChunk, seen: Seen) -> Fix | None:
        first, value = seen.identity.get(name), getattr(chunk, name)
        return _set(chunk, name, first) if first and value and value != first else None

    return check


def _empty(chunk: ChatCompletionChunk, seen: Seen) -> Fix | None:
    empty = [name for name in _IDENTITY if not getattr(chunk, name)]
    if not empty:
        return None

    def fix() -> None:
        for name in empty:
            if name in seen.identity:
                setattr(chunk, name, seen.identity[name])

    return fix


def _object(chunk: ChatCompletionChunk, _seen: Seen) -> Fix | None:
    right = "chat.completion.chunk"
    return None if chunk.object == right else _set(chunk, "object", right)


# --- what stands beside the choices ---


def _no_choices_first(chunk: ChatCompletionChunk, seen: Seen) -> Fix | None:
    return LEAVE if not seen.begun and _says_nothing(chunk) else None


def _no_choices(chunk: ChatCompletionChunk, seen: Seen) -> Fix | None:
    return LEAVE if seen.begun and _says_nothing(chunk) else None


def _says_nothing(chunk: ChatCompletionChunk) -> bool:
    return not chunk.choices and chunk.usage is None and chunk.moderation is None


def _usage_beside(chunk: ChatCompletionChunk, _seen: Seen) -> Fix | None:
    return LEAVE if chunk.usage is not None and chunk.choices else None


def _usage_unasked(chunk: ChatCompletionChunk, seen: Seen) -> Fix | None:
    return LEAVE if chunk.usage is not None and not seen.asked.include_usage else None


def _usage_again(chunk: ChatCompletionChunk, seen: Seen) -> Fix | None:
    return LEAVE if chunk.usage is not None and not chunk.choices and seen.usages else None


# --- a choice ---


class _At(NamedTuple):
    """A choice of a chunk: which one it is, and its place among so many in the chunk."""

    choice: Choice
    key: int
    position: int
    size: int


def _no_index(at: _At, seen: Seen) -> Fix | None:
    index: int | None = at.choice.index
    if index is not None and index >= 0:
        return None
    sure = seen.asked.n == 1 or at.size == seen.asked.n
    return _set(at.choice, "index", at.position) if sure else LEAVE


def _beyond_n(at: _At, seen: Seen) -> Fix | None:
    return LEAVE if at.key >= seen.asked.n else None


def _role_missing(at: _At, seen: Seen) -> Fix | None:
    """Not where the whole message stands beside the delta: it says the role."""
    if at.key in seen.begun or at.choice.delta.role or hasattr(at.choice, "message"):
        return None
    return _set(at.choice.delta, "role", "assistant")


def _role_empty(at: _At, _seen: Seen) -> Fix | None:
    role: str | None = at.choice.delta.role
    return _set(at.choice.delta, "role", None) if role == "" else None


def _role_again(at: _At, seen: Seen) -> Fix | None:
    role = at.choice.delta.role
    return _set(at.choice.delta, "role", None) if role and at.key in seen.roles else None


# --- a part of a tool call ---


class _CallAt(NamedTuple):
    """A part of a tool call: of which choice and which call, and whether its choice ends with it."""

    call: ChoiceDeltaToolCall
    choice: int
    key: int
    ends: bool


def _in_calls(at: _At, seen: Seen, act: Act) -> None:
    parts = at.choice.delta.tool_calls
    if not parts:
        act("calls-empty", _set(at.choice.delta, "tool_calls", None))
        return
    finder = seen.calls.get(at.key) or seen.calls.setdefault(at.key, CallFinder())
    for position, part in enumerate(parts):
        key, function, identity = finder.find(part, position, len(parts)), part.function, part.id
        if part.index == key and not identity and (function is None or _goes_on(function)):
            continue
        call = _CallAt(part, at.key, key, at.choice.finish_reason is not None)
        if part.index != key:
            _apply(_INDEX, call, seen, act)
        if identity:
            _apply(_ID, call, seen, act)
            seen.ids.add((at.key, key))
        if function is not None:
            if (name := function.name) is not None:
                _apply(_NAME, call, seen, act)
                seen.names.setdefault((at.key, key), name)
            if function.arguments and function.arguments[-1] in _ENDS:
                _apply(_ARGUMENTS, call, seen, act)


def _goes_on(function: ChoiceDeltaToolCallFunction) -> bool:
    """Whether this is nothing but some more of the arguments, and no end of them."""
    text = function.arguments
    return function.name is None and (not text or text[-1] not in _ENDS)


_ENDS = '}"'  # what repeated arguments end with


def _call_unnumbered(at: _CallAt, _seen: Seen) -> Fix | None:
    index: int | None = at.call.index
    return _set(at.call, "index", at.key) if index is None else None


def _call_shared(at: _CallAt, _seen: Seen) -> Fix | None:
    index: int | None = at.call.index
    return None if index is None or index == at.key else _set(at.call, "index", at.key)


def _id_again(at: _CallAt, seen: Seen) -> Fix | None:
    return _set(at.call, "id", None) if at.call.id and (at.choice, at.key) in seen.ids else None


def _name_empty(at: _CallAt, _seen: Seen) -> Fix | None:
    function = at.call.function
    return _set(function, "name", None) if function is not None and function.name == "" else None


def _name_again(at: _CallAt, seen: Seen) -> Fix | None:
    function = at.call.function
    same = function is not None and function.name and seen.names.get((at.choice, at.key)) == function.name
    return _set(function, "name", None) if same else None


def _arguments_again(at: _CallAt, seen: Seen) -> Fix | None:
    """The text so far once more, whole; or at the end a whole that begins with it."""
    text = at.call.function.arguments if at.call.function is not None else None
    if not text or text[0] != "{" or text[-1] != "}":
        return None
    said = seen.arguments(at.choice, at.key, len(text))
    if not said or not text.startswith(said) or not _is_object(text):
        return None
    repeated = said == text or (at.ends and not _is_object(said + text))
    return _set(at.call.function, "arguments", text[len(said) :]) if repeated else None


def _arguments_twice(at: _CallAt, seen: Seen) -> Fix | None:
    text = at.call.function.arguments if at.call.function is not None else None
    if not text or text[0] != '"' or text[-1] != '"':
        return None
    said = seen.arguments(at.choice, at.key, len(text))
    if not said or not _is_object(said) or _json(text) != said:
        return None
    return _set(at.call.function, "arguments", "")


def _is_object(text: str) -> bool:
    return isinstance(_json(text), dict)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# --- the end of a choice ---


def _finish_empty(at: _At, _seen: Seen) -> Fix | None:
    reason: str | None = at.choice.finish_reason
    return _set(at.choice, "finish_reason", None) if reason == "" else None


def _finish_unknown(at: _At, _seen: Seen) -> Fix | None:
    reason = at.choice.finish_reason
    return LEAVE if reason and reason not in FINISH_REASONS else None


def _finish_stop(at: _At, seen: Seen) -> Fix | None:
    """With a single tool demanded, `stop` is what the protocol itself says."""
    if at.choice.finish_reason != "stop" or at.key not in seen.calls or seen.asked.one_tool is not None:
        return None
    return _set(at.choice, "finish_reason", "tool_calls")


_HEAD: Mapping[str, Callable[[ChatCompletionChunk, Seen], Fix | None]] = {
    "id-changes": _changed("id"),
    "created-changes": _changed("created"),
    "identity-empty": _empty,
    "object-wrong": _object,
}
_BESIDE: Mapping[str, Callable[[ChatCompletionChunk, Seen], Fix | None]] = {
    "choices-empty-first": _no_choices_first,
    "choices-empty": _no_choices,
    "usage-beside-choices": _usage_beside,
    "usage-not-asked": _usage_unasked,
    "usage-repeated": _usage_again,
}
_BEGINNING: Mapping[str, Callable[[_At, Seen], Fix | None]] = {
    "index-missing": _no_index,
    "index-beyond-n": _beyond_n,
    "role-missing": _role_missing,
}
_ROLE: Mapping[str, Callable[[_At, Seen], Fix | None]] = {
    "role-empty": _role_empty,
    "role-repeated": _role_again,
}
_INDEX: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {
    "call-index-missing": _call_unnumbered,
    "call-index-shared": _call_shared,
}
_ID: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {"call-id-repeated": _id_again}
_NAME: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {
    "call-name-empty": _name_empty,
    "call-name-repeated": _name_again,
}
_ARGUMENTS: Mapping[str, Callable[[_CallAt, Seen], Fix | None]] = {
    "arguments-repeated": _arguments_again,
    "arguments-encoded-twice": _arguments_twice,
}
_FINISH: Mapping[str, Callable[[_At, Seen], Fix | None]] = {
    "finish-empty": _finish_empty,
    "finish-unknown": _finish_unknown,
    "finish-stop-with-calls": _finish_stop,
}
