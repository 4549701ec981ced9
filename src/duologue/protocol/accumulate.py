"""Chunks to a completion, and a completion to chunks.

What each field of a chunk does to the whole is a table, `CHUNK` and those below it:

- JOIN    texts are put together;
- ONCE    identity: the first value that says something stays, whatever a server repeats later;
- LAST    the last value that is not null stays, so a finish reason or usage is never cleared;
- EXTEND  lists grow;
- a table  the same for an object inside;
- `Indexed`  a list of objects that are found by their `index`, in whatever order and however sparse.

A field that is in no table is unknown: lists append, anything else keeps its last value. The cost of a
chunk does not depend on how many came before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple, cast

from ..types._wire import Origin, WireObject, dump
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk, Choice
from ..types.completion_usage import CompletionUsage
from .codec import typed

__all__ = ["Accumulator", "accumulate", "split"]


class Rule(Enum):
    """What a later value does to an earlier one."""

    JOIN = "join"
    ONCE = "once"
    LAST = "last"
    EXTEND = "extend"
    DROP = "drop"


JOIN, ONCE, LAST, EXTEND, DROP = Rule


class Indexed(NamedTuple):
    """Objects that are found by their `index`; `table` says how each grows."""

    table: Table


Table = Mapping[str, "Rule | Table | Indexed"]

FUNCTION: Table = {"name": ONCE, "arguments": JOIN}
CUSTOM: Table = {"name": ONCE, "input": JOIN}
TOOL_CALL: Table = {"index": DROP, "id": ONCE, "type": ONCE, "function": FUNCTION, "custom": CUSTOM}
AUDIO: Table = {"id": ONCE, "data": JOIN, "transcript": JOIN, "expires_at": LAST}
DELTA: Table = {
    "role": ONCE,
    "content": JOIN,
    "refusal": JOIN,
    "reasoning_content": JOIN,
    "reasoning": JOIN,
    "tool_calls": Indexed(TOOL_CALL),
    "function_call": FUNCTION,
    "audio": AUDIO,
}
LOGPROBS: Table = {"content": EXTEND, "refusal": EXTEND}
CHOICE: Table = {"index": DROP, "delta": DELTA, "finish_reason": LAST, "logprobs": LOGPROBS}
CHUNK: Table = {
    "id": ONCE,
    "object": DROP,
    "created": ONCE,
    "model": ONCE,
    "choices": Indexed(CHOICE),
    "service_tier": LAST,
    "system_fingerprint": LAST,
    "usage": LAST,
    "moderation": LAST,
    "obfuscation": DROP,  # padding against traffic analysis, no part of the answer
}


class _Object(dict[str, Any]):
    """An object in the making."""


class _Objects(dict[int, _Object]):
    """Objects in the making, by their index."""


class _Texts(list[str]):
    """The pieces of a text."""


class _List(list[Any]):
    """A list in the making."""


class Accumulator:
    """Chunks in, the completion so far out, at any moment."""

    def __init__(self) -> None:
        self._state = _Object()
        # The pieces of each choice's content, for the usual chunk; filled once the identity is known.
        self._contents: dict[int, _Texts] = {}
        self._stamp: tuple[str | None, str | None] = (None, None)

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take one more chunk."""
        state = self._state
        _merge(state, chunk, CHUNK)
        self._stamp = (chunk.system_fingerprint, chunk.service_tier)
        if state.get("id") and state.get("created") and state.get("model"):
            for index, choice in state.get("choices", {}).items():
                if index not in self._contents and "content" in choice.get("delta", ()):
                    self._contents[index] = choice["delta"]["content"]

    def add_plain(self, chunk: ChatCompletionChunk, choice: Choice) -> None:
        """Take one more chunk that `fast_chunk` has found to hold nothing but content for `choice`."""
        texts = self._contents.get(choice.index)
        if texts is None or (chunk.system_fingerprint, chunk.service_tier) != self._stamp:
            self.add(chunk)
        else:
            texts.append(cast("str", choice.delta.content))

    @property
    def completion(self) -> ChatCompletion | None:
        """What has come so far as a completion; None before the first chunk."""
        if not self._state:
            return None
        values = {**_value(self._state), "object": "chat.completion"}
        values["choices"] = [
            _choice(index, choice) for index, choice in sorted(self._state.get("choices", {}).items())
        ]
        return typed(ChatCompletion, values)

    @property
    def usage(self) -> CompletionUsage | None:
        """The last token counts that came."""
        return cast("CompletionUsage | None", self._state.get("usage"))


def accumulate(chunks: Iterable[ChatCompletionChunk]) -> ChatCompletion | None:
    """The completion that `chunks` make up; None for none."""
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.completion


def split(completion: ChatCompletion) -> list[ChatCompletionChunk]:
    """Chunks that make up `completion`: the inverse of `accumulate`.

    Each choice has its role, then each of its texts and calls in a chunk of its own, then its finish reason;
    the usage comes last, alone.
    """
    values = dump(completion)
    usage = values.pop("usage", None)
    choices = values.pop("choices", [])
    head = {name: values.pop(name) for name in _HEAD if name in values}
    head["object"] = "chat.completion.chunk"
    pieces = [piece for choice in choices for piece in _pieces(choice)]
    parts: list[dict[str, Any]] = [{"choices": [piece]} for piece in pieces]
    if usage is not None or not parts:
        parts.append({"choices": [], "usage": usage})
    values.pop("object", None)
    parts[0] |= values  # what is said once and stands beside the choices
    return [typed(ChatCompletionChunk, {**head, **part}) for part in parts]


_HEAD = ("id", "created", "model", "service_tier", "system_fingerprint")


def _pieces(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The choices of the chunks that make up one choice of a completion."""
    rest = dict(choice)
    index, message, logprobs = rest.pop("index"), rest.pop("message"), rest.pop("logprobs", None)

    def piece(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"index": index, "delta": delta, "finish_reason": None, **more}

    apart = [name for name in message if name in DELTA and name not in ("role", "tool_calls")]
    yield piece({name: item for name, item in message.items() if name not in (*apart, "tool_calls")})
    for name in apart:
        if message[name] is not None:
            yield piece({name: message[name]}, logprobs=logprobs)
            logprobs = None
    for at, call in enumerate(message.get("tool_calls") or ()):
        yield piece({"tool_calls": [{"index": at, **call}]})
    if message.get("tool_calls") == []:
        yield piece({"tool_calls": []})
    yield piece({}, logprobs=logprobs, **rest)


def _merge(state: _Object, obj: WireObject, table: Table) -> None:
    for name in obj.__struct_fields__:
        value = getattr(obj, name)
        if value is not None:
            _apply(state, name, value, table.get(name))
    for name, value in _extra(obj).items():
        if value is not None:
            _apply(state, name, value, table.get(name))


def _apply(state: _Object, name: str, value: Any, rule: Rule | Table | Indexed | None) -> None:
    if rule is None:
        rule = EXTEND if isinstance(value, list) else LAST
    if rule is JOIN:
        state.setdefault(name, _Texts()).append(value)
    elif rule is ONCE:
        if not state.get(name):
            state[name] = value
    elif rule is LAST:
        state[name] = value
    elif rule is EXTEND:
        if not isinstance(state.get(name), _List):
            state[name] = _List()
        state[name].extend(value)
    elif isinstance(rule, Indexed):
        _merge_indexed(state.setdefault(name, _Objects()), value, rule.table)
    elif rule is not DROP:
        _merge(state.setdefault(name, _Object()), value, cast("Table", rule))


def _merge_indexed(states: _Objects, items: list[Any], table: Table) -> None:
    for position, item in enumerate(items):
        index = item.index if item.index is not None else _guess(states, item, position)
        _merge(states.setdefault(index, _Object()), item, table)


def _guess(states: _Objects, item: Any, position: int) -> int:
    """The index of an object that came without one: by its id, else the next one, else by position."""
    identity = getattr(item, "id", None)
    if identity:
        for index, state in states.items():
            if state.get("id") == identity:
                return index
        return max(states, default=-1) + 1
    return max(states, default=0) if position == 0 else position


def _choice(index: int, state: _Object) -> dict[str, Any]:
    values = _value(state)
    message = {"content": None, "refusal": None, **values.pop("delta", {})}
    return {"finish_reason": None, "index": index, "logprobs": None, **values, "message": message}


def _value(held: Any) -> Any:
    """What is in the making as a JSON value; what never was stays as it came."""
    if isinstance(held, _Texts):
        held[:] = ["".join(held)]  # so that the next one asking joins only what is new
        return _join_surrogates(held[0])
    if isinstance(held, _Object):
        return {name: _value(item) for name, item in held.items()}
    if isinstance(held, _Objects):
        return [_value(held[index]) for index in sorted(held)]
    return list(held) if isinstance(held, _List) else held


def _join_surrogates(text: str) -> str:
    """Halves of a surrogate pair that came in two chunks make one character; a lone one stays."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def _extra(obj: WireObject) -> Mapping[str, Any]:
    """Unknown fields; the decoder's fast path forbids them, so most objects have none to look for."""
    origin = getattr(obj, "_wire", None)
    return obj.wire.extra if isinstance(origin, Origin) and origin.fields is not None else {}
