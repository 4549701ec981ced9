"""Deviations in a JSON value, looked for before it is typed: some could not be typed at all.

A check is given an object of the JSON and returns None where there is nothing to say, else what repairs it, which
goes to `act` with the name of the rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, TypeAlias

__all__ = ["LEAVE", "Act", "Fix", "in_error", "in_value", "says_error"]

Fix: TypeAlias = Callable[[], object]
Act: TypeAlias = Callable[[str, Fix], None]
Check: TypeAlias = Callable[[dict[str, Any]], Fix | None]


def LEAVE() -> None:  # noqa: N802 - a constant
    """Repairs nothing."""


def in_value(value: Any, act: Act, *, chunk: bool) -> None:
    """What deviates in the JSON of a chunk or of a completion."""
    for choice in _objects(value, "choices"):
        if chunk and choice.get("message") is not None:
            act("message-in-chunk", LEAVE)
        if choice.get("logprobs") is not None:
            _apply(_LOGPROBS, choice, act)
        part = choice.get("delta" if chunk else "message")
        if isinstance(part, dict) and ("tool_calls" in part or "function_call" in part):
            for call in (*_objects(part, "tool_calls"), {"function": part.get("function_call")}):
                _apply(_CALL, call, act)


def says_error(value: Any) -> bool:
    """Whether the JSON of an event is an error: what has no choices is one in each of the shapes of errors."""
    if not isinstance(value, dict):
        return False
    if value.get("error") or value.get("object") == "error":
        return True
    if value.get("choices") is not None:
        return False
    if value.get("error") not in (None, False) or value.get("detail"):
        return True
    kind = value.get("type")
    of_error = value.get("code") is not None or (isinstance(kind, str) and "error" in kind.lower())
    return bool(value.get("message")) and of_error  # a message alone may be a server's small talk


def in_error(value: Any) -> Iterator[str]:
    """What deviates in the JSON of an error."""
    error = value.get("error") if isinstance(value, Mapping) else value
    if isinstance(error, Mapping):
        texts = ("message", "type", "param", "code")
        if any(name not in error or not isinstance(error[name], (str, type(None))) for name in texts):
            yield "error-fields"
    elif error:
        yield "error-string"
    elif isinstance(value, Mapping):
        yield "error-detail" if value.get("detail") else "error-flat"


def _apply(checks: Mapping[str, Check], value: dict[str, Any], act: Act) -> None:
    for rule, check in checks.items():
        fix = check(value)
        if fix is not None:
            act(rule, fix)


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    """The objects in a list of the JSON, where it is one."""
    items = value.get(name) if isinstance(value, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _legacy(choice: dict[str, Any]) -> Fix | None:
    """Lists side by side, from which the entries of `content` are made; what was there stays."""
    logprobs = choice["logprobs"]
    if not isinstance(logprobs, dict) or logprobs.get("content") is not None:
        return None
    tokens, numbers = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(numbers, list) or len(tokens) != len(numbers):
        return None
    if not all(map(_is_entry, tokens, numbers)):
        return None
    given = logprobs.get("top_logprobs")
    tops: list[Any] = given if isinstance(given, list) else []

    def fix() -> None:
        logprobs["content"] = [
            _entry(token, number)
            | {"top_logprobs": [_entry(*pair) for pair in _pairs(top) if _is_entry(*pair)]}
            for token, number, top in zip_longest(tokens, numbers, tops[: len(tokens)])
        ]
        if isinstance(given, list):
            del logprobs["top_logprobs"]  # a name that means something else in the new shape

    return fix


def _is_entry(token: Any, logprob: Any) -> bool:
    number = isinstance(logprob, (int, float)) and not isinstance(logprob, bool)
    return isinstance(token, str) and (number or logprob is None)


def _pairs(top: Any) -> list[tuple[str, Any]]:
    return list(top.items()) if isinstance(top, dict) else []


def _entry(token: Any, logprob: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": None}


def _no_logprob(choice: dict[str, Any]) -> Fix | None:
    entries = [entry for name in ("content", "refusal") for entry in _objects(choice["logprobs"], name)]
    bare = [entry for entry in entries if entry.get("top_logprobs") is None]
    if not bare and all(entry.get("logprob") is not None for entry in entries):
        return None
    return lambda: [entry.update(top_logprobs=[]) for entry in bare]


def _id_in_function(call: dict[str, Any]) -> Fix | None:
    function = call.get("function")
    if call.get("id") or not isinstance(function, dict):
        return None
    inner = function.get("id")
    return (lambda: call.update(id=inner)) if inner and isinstance(inner, str) else None


def _arguments(call: dict[str, Any]) -> Fix | None:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), (dict, list)):
        return None
    try:
        text = json.dumps(function["arguments"], ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return None
    return lambda: function.update(arguments=text)


_LOGPROBS: Mapping[str, Check] = {"logprobs-legacy": _legacy, "logprob-null": _no_logprob}
_CALL: Mapping[str, Check] = {"call-id-in-function": _id_in_function, "arguments-object": _arguments}
