"""Deviations in the chunks of a stream, looked for in the order in which they come.

A check is given a part of a chunk and what was `Seen` before, and returns None where there is nothing to
say, else what repairs it, which goes to `act` with the name of the rule. Checks run only where something is
that they could find: most chunks go on with what has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, get_args

from ...types.chat.chat_completion import FinishReason
from ...types.chat.chat_completion_chunk import ChatCompletionChunk, Choice
from ..accumulate import choice_index, says_something
from .calls import in_calls
from .context import Seen, apply, setting
from .values import LEAVE, Act, Fix

__all__ = ["FINISH_REASONS", "in_chunk", "in_head"]

FINISH_REASONS = frozenset(get_args(FinishReason))


def in_head(chunk: ChatCompletionChunk, seen: Seen, act: Act) -> None:
    """What deviates in the identity of a chunk."""
    apply(_HEAD, chunk, seen, act)
    for name in _IDENTITY:
        if value := getattr(chunk, name):
            seen.identity.setdefault(name, value)


def in_chunk(chunk: ChatCompletionChunk, seen: Seen, act: Act) -> None:
    """What deviates in the rest of it."""
    if chunk.usage is not None or not chunk.choices:
        apply(_BESIDE, chunk, seen, act)
        seen.usages += chunk.usage is not None and not chunk.choices
    for position, choice in enumerate(chunk.choices):
        delta = choice.delta
        known, finished = choice.index in seen.begun, choice.index in seen.finishes
        more = delta.role is None and delta.tool_calls is None and choice.finish_reason is None
        if known and more and not finished:
            continue
        at = _At(choice, choice_index(choice, position), position, len(chunk.choices))
        if finished:
            apply(_AFTER, at, seen, act)
        if not known:
            apply(_BEGINNING, at, seen, act)
            seen.begun.add(at.key)
        if delta.role is not None:
            said = bool(delta.role)
            apply(_ROLE, at, seen, act)
            if said:
                seen.roles.add(at.key)
        if delta.tool_calls is not None:
            in_calls(choice, at.key, seen, act)
        if choice.finish_reason is not None:
            apply(_FINISH, at, seen, act)
            if choice.finish_reason:
                seen.finishes[at.key] = choice.finish_reason


# --- the head of a chunk ---

_IDENTITY = ("id", "created", "model")


def _changed(name: str) -> Callable[[ChatCompletionChunk, Seen], Fix | None]:
    def check(chunk: ChatCompletionChunk, seen: Seen) -> Fix | None:
        first, value = seen.identity.get(name), getattr(chunk, name)
        return setting(chunk, name, first) if first and value and value != first else None

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
    return None if chunk.object == right else setting(chunk, "object", right)


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
    return setting(at.choice, "index", at.position) if sure else LEAVE


def _beyond_n(at: _At, seen: Seen) -> Fix | None:
    return LEAVE if at.key >= seen.asked.n else None


def _role_missing(at: _At, seen: Seen) -> Fix | None:
    """Not where the whole message stands beside the delta: it says the role."""
    if at.key in seen.begun or at.choice.delta.role or hasattr(at.choice, "message"):
        return None
    return setting(at.choice.delta, "role", "assistant")


def _role_empty(at: _At, _seen: Seen) -> Fix | None:
    role: str | None = at.choice.delta.role
    return setting(at.choice.delta, "role", None) if role == "" else None


def _role_again(at: _At, seen: Seen) -> Fix | None:
    role = at.choice.delta.role
    return setting(at.choice.delta, "role", None) if role and at.key in seen.roles else None


# --- the end of a choice ---


def _not_last(at: _At, _seen: Seen) -> Fix | None:
    return LEAVE if says_something(at.choice.delta) else None


def _finish_empty(at: _At, _seen: Seen) -> Fix | None:
    reason: str | None = at.choice.finish_reason
    return setting(at.choice, "finish_reason", None) if reason == "" else None


def _finish_unknown(at: _At, _seen: Seen) -> Fix | None:
    reason = at.choice.finish_reason
    return LEAVE if reason and reason not in FINISH_REASONS else None


def _finish_stop(at: _At, seen: Seen) -> Fix | None:
    if at.choice.finish_reason != "stop" or at.key not in seen.calls or seen.asked.a_call:
        return None
    return setting(at.choice, "finish_reason", "tool_calls")


def _finish_changes(at: _At, seen: Seen) -> Fix | None:
    reason, first = at.choice.finish_reason, seen.finishes.get(at.key)
    return LEAVE if reason and first and reason != first else None


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
_AFTER: Mapping[str, Callable[[_At, Seen], Fix | None]] = {"finish-not-last": _not_last}
_FINISH: Mapping[str, Callable[[_At, Seen], Fix | None]] = {
    "finish-empty": _finish_empty,
    "finish-unknown": _finish_unknown,
    "finish-stop-with-calls": _finish_stop,
    "finish-changes": _finish_changes,
}
