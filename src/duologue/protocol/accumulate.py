"""Chunks to a completion, and a completion to chunks.

What each field of a chunk does to the whole is a table, `CHUNK` and those below it:

- JOIN    texts are put together;
- NAME    the name of a call: put together, but the same one again adds nothing;
- ONCE    identity: the first value that says something stays, whatever a server repeats later;
- LAST    the last value that says something stays, so a finish reason or usage is never cleared;
- EXTEND  lists grow;
- DROP    what is no part of a completion;
- a table  the same for an object inside;
- `Indexed`  a list of objects that are found by their `index`, in whatever order and however sparse.

What says something is neither null nor `""`. A field that is in no table is unknown: lists append,
anything else keeps its last value. The cost of a chunk does not depend on how many came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple, cast

from ..types._build import Unreadable, build
from ..types._wire import WireObject, dump, unknown_fields
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion import Choice as WholeChoice
from ..types.chat.chat_completion_chunk import ChatCompletionChunk, Choice, ChoiceDelta, ChoiceDeltaToolCall
from ..types.chat.chat_completion_message import ChatCompletionMessage
from ..types.completion_usage import CompletionUsage
from .codec import typed

__all__ = [
    "CallFinder",
    "CompletionBuilder",
    "Take",
    "accumulate",
    "choice_index",
    "is_over",
    "joined_name",
    "says_something",
    "split",
    "value_of",
]


class Rule(Enum):
    """What a later value does to an earlier one."""

    JOIN = "join"
    NAME = "name"
    ONCE = "once"
    LAST = "last"
    EXTEND = "extend"
    DROP = "drop"


JOIN, NAME, ONCE, LAST, EXTEND, DROP = Rule

# A name that is longer grows no more.
MAX_NAME_CHARACTERS = 1024


# Takes some more of a text.
Take = Callable[[str], object]

_NOTHING: Mapping[str, Any] = {}


class _Object(dict[str, Any]):
    """An object in the making."""


class _Objects(dict[int, _Object]):
    """Objects in the making, by their index: choices."""

    def find(self, item: Any, position: int, count: int) -> int:
        """The key of the object that an item of a chunk, at `position` of `count`, is a part of."""
        del count
        return choice_index(item, position)


class CallFinder:
    """Finds the tool call of a choice that each part belongs to: the number it has in their order.

    A part without an index belongs to the call with its id, else to the call that came last; the parts of
    several calls in one chunk stand in their order. Some servers number every parallel call 0, or none: so
    under an index that is taken, a part with an id and a name of its own begins another call, unless the name
    is the same and the arguments so far are half an object; and so does one with another name alone, once the call
    has arguments.
    """

    def __init__(self) -> None:
        self._last = -1
        self._by_id: dict[str, int] = {}
        self._named: set[int] = set()  # the calls that have an id
        self._moved: dict[int, int] = {}  # from an index that was taken to its latest call
        self._names: dict[int, str] = {}
        self._ends: dict[int, str] = {}  # the first and the last character of arguments, where there are some

    def find(self, call: ChoiceDeltaToolCall, position: int, count: int) -> int:
        """The number of the call that a part, at `position` of `count` in its chunk, belongs to."""
        index: int | None = call.index
        if not call.id:
            key = self._moved.get(index, index) if index is not None else None
            if key is None:
                key = position if count > 1 else max(self._last, 0)
            if self._is_renamed(call, key):
                key = self._last + 1
                if index is not None:
                    self._moved[index] = key
        else:
            key = self._by_id.get(call.id) if index is None or index in self._moved else None
            if key is None:
                key = self._last + 1 if index is None else self._moved.get(index, index)
                if index is not None and self._is_another(call, key):
                    key = self._moved[index] = self._last + 1
            self._by_id[call.id] = key
            self._named.add(key)
        if key > self._last:
            self._last = key
        self._learn(call, key)
        return key

    def is_at(self, index: int) -> bool:
        """Whether a part with this index and nothing but arguments belongs to the call of that number."""
        return index not in self._moved

    def goes_on(self, key: int, text: str) -> None:
        """The arguments of a call go on with `text`."""
        if text := text.strip():
            self._ends[key] = self._ends.get(key, text)[0] + text[-1]

    def _learn(self, call: ChoiceDeltaToolCall, key: int) -> None:
        if name := _name_of(call):
            self._names[key] = joined_name(self._names.get(key), name)
        function, custom = call.function, call.custom
        text = function.arguments if function is not None else custom.input if custom is not None else None
        if text:
            self.goes_on(key, text)

    def _is_another(self, call: ChoiceDeltaToolCall, key: int) -> bool:
        name = _name_of(call)
        if not name or not call.id or call.id in self._by_id or key not in self._named:
            return False
        ends = self._ends.get(key, "")
        return name != self._names.get(key) or not ends.startswith("{") or ends.endswith("}")

    def _is_renamed(self, call: ChoiceDeltaToolCall, key: int) -> bool:
        name = _name_of(call)
        return bool(name) and key in self._ends and self._names.get(key, name) != name


def _name_of(call: ChoiceDeltaToolCall) -> str | None:
    body = call.function if call.function is not None else call.custom
    return body.name if body is not None else None


def joined_name(said: str | None, more: str) -> str:
    """The name of a call with one more part of it; the same name again adds nothing, nor does a giant's."""
    if not said:
        return more
    return said if more == said or len(said) > MAX_NAME_CHARACTERS else said + more


class _ToolCalls(_Objects):
    """Tool calls in the making, in their order; `found` are those that the last chunk went on with."""

    def __init__(self) -> None:
        self.found: list[int] = []
        self.finder = CallFinder()

    def find(self, item: Any, position: int, count: int) -> int:
        if not position:
            self.found = []
        key = self.finder.find(cast("ChoiceDeltaToolCall", item), position, count)
        self.found.append(key)
        return key


def choice_index(choice: Choice, position: int) -> int:
    """The index of a choice of a chunk: its position there where the index is missing or negative."""
    index: int | None = choice.index
    return position if index is None or index < 0 else index


def is_over(choice: Choice) -> bool:
    """Whether a choice has finished with what a chunk brings of it: by a reason, or for audio its closing."""
    audio = choice.delta.audio
    return bool(choice.finish_reason) or (audio is not None and audio.expires_at is not None)


def says_something(delta: ChoiceDelta) -> bool:
    """Whether a delta brings something that the model has made."""
    if delta.content or delta.refusal or delta.reasoning_text or (delta.audio and delta.audio.data):
        return True
    call = delta.function_call
    return bool(call and (call.name or call.arguments)) or any(map(_is_call, delta.tool_calls or ()))


def _is_call(part: ChoiceDeltaToolCall) -> bool:
    function, custom = part.function, part.custom
    return bool(
        (function and (function.name or function.arguments)) or (custom and (custom.name or custom.input))
    )


class Indexed(NamedTuple):
    """A list of objects: `table` says how each grows, `kind` finds the one that goes on."""

    table: Table
    kind: type[_Objects]


Table = Mapping[str, "Rule | Table | Indexed"]

FUNCTION: Table = {"name": NAME, "arguments": JOIN}
CUSTOM: Table = {"name": NAME, "input": JOIN}
TOOL_CALL: Table = {"index": DROP, "id": ONCE, "type": ONCE, "function": FUNCTION, "custom": CUSTOM}
AUDIO: Table = {"id": ONCE, "data": JOIN, "transcript": JOIN, "expires_at": LAST}
DELTA: Table = {
    "role": ONCE,
    "content": JOIN,
    "refusal": JOIN,
    "reasoning_content": JOIN,
    "reasoning": JOIN,
    "tool_calls": Indexed(TOOL_CALL, _ToolCalls),
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
    "choices": Indexed(CHOICE, _Objects),
    "service_tier": LAST,
    "system_fingerprint": LAST,
    "usage": LAST,
    "moderation": LAST,
    "obfuscation": DROP,  # padding against traffic analysis, no part of the answer
}


class _Texts(list[str]):
    """The pieces of a text."""

    def first(self, length: int | None = None) -> str:
        """The text, or its first `length` characters."""
        self[:] = ["".join(self)]  # so that the next one asking joins only what is new
        return _join_surrogates(self[0][:length])


class _List(list[Any]):
    """A list in the making."""

    def first(self, length: int | None = None) -> list[Any]:
        """A copy of the list, or of its first `length` items."""
        return self[:length]


class CompletionBuilder:
    """Chunks in, the completion so far out, at any moment."""

    def __init__(self) -> None:
        self._state = _Object()

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take one more chunk."""
        _merge(self._state, chunk, CHUNK)

    def add_unknown(self, chunk: ChatCompletionChunk) -> None:
        """Take the unknown fields of a chunk whose one choice goes on, and nothing else of it."""
        (choice,) = chunk.choices
        state = self._state["choices"][choice_index(choice, 0)]
        for into, obj in ((self._state, chunk), (state, choice), (state["delta"], choice.delta)):
            for name, value in unknown_fields(obj).items():
                _apply_unknown(into, name, value)

    def set_usage(self, usage: CompletionUsage) -> None:
        """Take the usage of a chunk, and nothing else of it."""
        self._state["usage"] = usage

    def text_of(self, index: int, name: str) -> Take | None:
        """What takes more of a text of a choice, for chunks that bring nothing else; None before its first.

        `name` is the text's in the delta.
        """
        texts = self._state["choices"][index].get("delta", _NOTHING).get(name)
        return None if texts is None else texts.append

    def arguments_of(self, index: int, call: int) -> Take | None:
        """The same for the arguments of a tool call, by the index that its parts have."""
        calls = self._state["choices"][index]["delta"]["tool_calls"]
        texts = calls.get(call, _NOTHING).get("function", _NOTHING).get("arguments")
        if texts is None or not calls.finder.is_at(call):
            return None

        def take(text: str) -> None:
            texts.append(text)
            calls.finder.goes_on(call, text)

        return take

    def arguments(self, choice: int, call: int, at_most: int) -> str | None:
        """The arguments so far of a tool call; None where there are none, or more than `at_most` characters.

        Whoever asks with the size of what has come takes linear time, since a long text is put together once.
        """
        calls = self._state.get("choices", _NOTHING).get(choice, _NOTHING).get("delta", _NOTHING)
        texts = (
            calls.get("tool_calls", _NOTHING).get(call, _NOTHING).get("function", _NOTHING).get("arguments")
        )
        if texts is None or len(texts[0]) > at_most:
            return None
        text = cast("str", value_of(texts))
        return text if len(text) <= at_most else None

    @property
    def completion(self) -> ChatCompletion | None:
        """What has come so far as a completion; None before the first chunk."""
        if not self._state:
            return None
        values = {**value_of(self._state), "object": "chat.completion"}
        values["choices"] = [
            _choice(index, choice) for index, choice in sorted(self._state.get("choices", {}).items())
        ]
        _check(ChatCompletion, values, "metadata")
        return typed(ChatCompletion, values)


def accumulate(chunks: Iterable[ChatCompletionChunk]) -> ChatCompletion | None:
    """The completion that `chunks` make up; None for none."""
    builder = CompletionBuilder()
    for chunk in chunks:
        builder.add(chunk)
    return builder.completion


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
    pieces = [piece for at, choice in enumerate(choices) for piece in _pieces(choice, at)]
    parts: list[dict[str, Any]] = [{"choices": [piece]} for piece in pieces]
    if usage is not None or not parts:
        parts.append({"choices": [], "usage": usage})
    values.pop("object", None)
    parts[0] |= values  # what is said once and stands beside the choices
    return [typed(ChatCompletionChunk, {**head, **part}) for part in parts]


_HEAD = ("id", "created", "model", "service_tier", "system_fingerprint")


def _pieces(choice: dict[str, Any], position: int) -> Iterator[dict[str, Any]]:
    """The choices of the chunks that make up one choice of a completion."""
    rest = dict(choice)
    index = rest.pop("index", position)
    message, logprobs = rest.pop("message", {}), rest.pop("logprobs", None)

    def piece(delta: dict[str, Any], more: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
        return {"finish_reason": None, **more, "index": index, "delta": delta}

    apart = [name for name in message if name in DELTA and name not in ("role", "tool_calls")]
    yield piece({name: item for name, item in message.items() if name not in (*apart, "tool_calls")})
    for name in apart:
        if message[name] is not None:
            yield piece({name: message[name]}, {"logprobs": logprobs})
            logprobs = None
    for at, call in enumerate(message.get("tool_calls") or ()):
        yield piece({"tool_calls": [{**call, "index": at}]})
    if message.get("tool_calls") == []:
        yield piece({"tool_calls": []})
    yield piece({}, {**rest, "logprobs": logprobs})


def _merge(state: _Object, obj: WireObject, table: Table) -> None:
    for name in obj.__struct_fields__:
        value = getattr(obj, name)
        if value is not None:
            _apply(state, name, value, table.get(name))
    for name, value in unknown_fields(obj).items():
        _apply_unknown(state, name, value)


def _apply(state: _Object, name: str, value: Any, rule: Rule | Table | Indexed | None) -> None:
    if rule is None:
        _apply_unknown(state, name, value)
    elif rule is JOIN:
        state.setdefault(name, _Texts()).append(value)
    elif rule is NAME:
        state[name] = joined_name(state.get(name), value)
    elif rule is ONCE:
        if not state.get(name):
            state[name] = value
    elif rule is LAST:
        if value != "" or not state.get(name):
            state[name] = value
    elif rule is EXTEND:
        state.setdefault(name, _List()).extend(value)
    elif isinstance(rule, Indexed):
        states = state.setdefault(name, rule.kind())
        for position, item in enumerate(value):
            key = states.find(item, position, len(value))
            _merge(states.setdefault(key, _Object()), item, rule.table)
    elif rule is not DROP:
        _merge(state.setdefault(name, _Object()), value, cast("Table", rule))


def _apply_unknown(state: _Object, name: str, value: Any) -> None:
    if isinstance(value, list):
        if not isinstance(state.get(name), _List):
            state[name] = _List()
        state[name].extend(value)
    elif value is not None or name not in state:
        state[name] = value


def _choice(index: int, state: _Object) -> dict[str, Any]:
    values = value_of(state)
    # Some servers send a whole `message` where the delta belongs: what no delta says is taken from it.
    _check(WholeChoice, values, "message")
    whole, delta = values.pop("message", None) or {}, values.pop("delta", {})
    message = {"role": "assistant", "content": None, "refusal": None, **whole, **delta}
    _check(ChatCompletionMessage, message, "annotations")
    logprobs = values.pop("logprobs", None)
    if logprobs is not None:
        logprobs = {"content": None, "refusal": None, **logprobs}
    return {"finish_reason": None, "index": index, "logprobs": logprobs, **values, "message": message}


def _check(cls: type[WireObject], values: dict[str, Any], name: str) -> None:
    """Leave out a field that a completion has and a chunk has not, so that nobody has checked it before."""
    try:
        build(cls, {name: values.get(name)})
    except Unreadable:
        del values[name]


def value_of(held: Any) -> Any:
    """What is in the making as a JSON value; what never was stays as it came."""
    if isinstance(held, (_Texts, _List)):
        return held.first()
    if isinstance(held, _Object):
        return {name: value_of(item) for name, item in held.items()}
    if isinstance(held, _Objects):
        return [value_of(held[index]) for index in sorted(held)]
    return held


def _join_surrogates(text: str) -> str:
    """Halves of a surrogate pair that came in two chunks make one character; a lone one stays."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text
