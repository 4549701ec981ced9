"""The server's state machine: what an engine yields in, a legal stream out.

Whatever an engine does, what comes out obeys the protocol: one id and one created time; per choice the role
first and once, then what it says, then one finish reason; the usage last, in a chunk of its own; `[DONE]`. After
an error: an error event, `[DONE]`, the end. What an engine may not do (text after a finish, arguments of a call
that has not begun, a choice that was not asked for) is an error of the engine, never an illegal stream.

A completion that is not streamed is the same stream, read by the client's own state machine (`collect`), so the
two modes cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..engine import Audio, Event, Finish, Head, Reasoning, Refusal, Text, ToolArguments, ToolCall, Usage
from ..types.chat.request import ChatRequest
from .characters import WholeCharacters, whole_characters
from .errors import APIStatusError, InternalServerError, error_body
from .read import StreamReader
from .sse import DONE, encode_event
from .usage import estimate_prompt_tokens, estimate_tokens, text_size, usage_fields

__all__ = [
    "ChunkWriter",
    "Together",
    "collector",
    "invalid",
    "sound",
]


class _Key(NamedTuple):
    """One of the texts of a choice: the field of its delta, and the tool call it belongs to."""

    name: str
    call: int = 0


_CONTENT, _REFUSAL, _REASONING = _Key("content"), _Key("refusal"), _Key("reasoning_content")
_TRANSCRIPT = _Key("transcript")


class Together(tuple[Event | str, ...]):
    """Events that came at once, of which none is to wait for another: what they make goes out in one piece."""

    __slots__ = ()


class _Choice:
    """What has been said of one choice."""

    __slots__ = ("calls", "characters", "estimated_bytes", "finished", "index", "open", "tokens")

    def __init__(self, index: int) -> None:
        self.index = index
        self.open = False
        self.characters: WholeCharacters[_Key] = WholeCharacters()
        self.finished = False
        self.calls: dict[int, str] = {}  # the type of each tool call, by its index
        self.tokens = 0
        self.estimated_bytes = 0  # of texts whose engine did not say how many tokens they took


class ChunkWriter:
    """Writes one answer as the bytes of server-sent events.

    `request` says how many choices there are and whether usage was asked for; `usage_always` adds it all the
    same. `call_id` makes ids for tool calls. Nothing may be written after `finish` or `fail`.

    A request with a service tier is answered with one, as the protocol has it: the tier that was used. That is the
    only one there is, unless the engine's head names another.
    """

    def __init__(
        self,
        request: ChatRequest,
        *,
        id: str,  # noqa: A002 - the protocol's word
        created: int,
        model: str,
        call_id: Callable[[], str],
        usage_always: bool = False,
    ) -> None:
        self._request = request
        self._head: dict[str, Any] = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        if request.service_tier is not None:
            self._head["service_tier"] = "default"
        self._call_id = call_id
        self._usage_asked = usage_always or request.include_usage
        # Who offers `functions`, the old form of tools, is answered in the old form.
        self._legacy = bool(request.functions)
        self._choices = [_Choice(index) for index in range(request.n or 1)]
        # By index, those that are open and of whose content no half of a character waits.
        self._plain: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._started = False
        self._reasoning_tokens = 0
        self._openings: list[bytes] = []
        self._closing = b""

    def write(self, event: Event | str | Together) -> bytes:
        """The frames that `event` makes, often one, sometimes none.

        Raises `InternalServerError` for what an engine may not yield here.
        """
        if type(event) is str:
            return self._text(event, 0)
        if (
            type(event) is Text
            and type(event.text) is str
            and type(event.choice) is int
            and (event.tokens is None or (type(event.tokens) is int and event.tokens >= 0))
            and event.logprobs is None
        ):
            return self._text(event.text, event.choice, event.tokens)
        if type(event) is Together:
            return b"".join([ChunkWriter.write(self, each) for each in event])
        return _WRITERS.get(type(event), ChunkWriter._other)(self, sound(event))

    def finish(self) -> bytes:
        """The rest of the stream: what choices still lack, the usage if asked for, and `[DONE]`."""
        frames = b"".join(
            self._open(choice) + self._finish(choice, "tool_calls" if choice.calls else "stop")
            for choice in self._choices
            if not choice.finished
        )
        if self._usage_asked:
            usage = {**self._head, "choices": [], "usage": self._count()}
            frames += encode_event(_encode(usage))
        return frames + DONE

    def fail(self, error: APIStatusError) -> bytes:
        """The rest of a stream that went wrong: an error event and `[DONE]`."""
        return encode_event(_encode(error_body(error))) + DONE

    # Each of these makes the frames of one kind of event.

    def _text(self, text: str, index: int, tokens: int | None = None) -> bytes:
        if not text and not tokens:
            return b""
        choice = self._plain.get(index)
        if choice is None:
            return self._any_text(self._choice(index), text, tokens)
        try:
            encoded = _json(text)
        except UnicodeEncodeError:
            return self._any_text(choice, text, tokens)
        if tokens is None and text.isascii():  # as `_tally`, without a call for each piece
            choice.estimated_bytes += len(text)
        else:
            self._tally(choice, text, tokens)
        if not text:  # tokens that made no whole character yet
            return b""
        return b'%b{"content":%b},"logprobs":null,"finish_reason":null}]%b' % (
            self._openings[index],
            encoded,
            self._closing,
        )

    def _any_text(self, choice: _Choice, text: str, tokens: int | None) -> bytes:
        """Text that opens its choice, or that has half a character at an end of it."""
        text = choice.characters.push(_CONTENT, text)
        self._tally(choice, text, tokens)
        frames = b""
        if text:
            frames = self._open(choice) + self._chunk(choice, {"content": text})
        if choice.open:
            self._look(choice)
        return frames

    def _say(self, event: Text | Refusal) -> bytes:
        choice = self._choice(event.choice)
        key = _CONTENT if isinstance(event, Text) else _REFUSAL
        frames = self._open(choice, content=key == _CONTENT)
        text = choice.characters.push(key, event.text)
        if key == _CONTENT:
            self._look(choice)
        self._tally(choice, text, event.tokens)
        if not text and not event.logprobs:
            return frames
        logprobs = None
        if event.logprobs is not None:
            logprobs = {
                "content": None,
                "refusal": None,
                key.name: [entry.to_dict() for entry in event.logprobs],
            }
        return frames + self._chunk(choice, self._delta(choice, key, text), logprobs)

    def _reasoning(self, event: Reasoning) -> bytes:
        choice = self._choice(event.choice)
        text = choice.characters.push(_REASONING, event.text)
        self._tally(choice, text, event.tokens)
        self._reasoning_tokens += event.tokens or 0
        if not text:
            return b""
        return self._open(choice, content=False) + self._chunk(choice, self._delta(choice, _REASONING, text))

    def _tool_call(self, event: ToolCall) -> bytes:
        choice = self._choice(event.choice)
        if event.index != len(choice.calls):
            raise invalid(f"tool call {event.index} where call {len(choice.calls)} was due")
        frames = self._open(choice, content=False)
        choice.calls[event.index] = event.type
        if self._legacy:
            if event.index:
                raise invalid("a second call, where 'functions' allow only one")
            return frames + self._chunk(choice, {"function_call": {"name": event.name, "arguments": ""}})
        body = {"name": event.name, ("input" if event.type == "custom" else "arguments"): ""}
        call = {
            "index": event.index,
            "id": event.id or self._call_id(),
            "type": event.type,
            event.type: body,
        }
        return frames + self._chunk(choice, {"tool_calls": [call]})

    def _tool_arguments(self, event: ToolArguments) -> bytes:
        choice = self._choice(event.choice)
        if event.index not in choice.calls:
            raise invalid(f"arguments of tool call {event.index}, which has not begun")
        key = _Key("arguments", event.index)
        text = choice.characters.push(key, event.text)
        self._tally(choice, text, event.tokens)
        return self._chunk(choice, self._delta(choice, key, text)) if text else b""

    def _audio(self, event: Audio) -> bytes:
        choice = self._choice(event.choice)
        frames = self._open(choice, content=False)
        fields = ("id", "data", "transcript", "expires_at")
        audio = {name: value for name in fields if (value := getattr(event, name)) is not None}
        if event.transcript:
            audio["transcript"] = choice.characters.push(_TRANSCRIPT, event.transcript)
        return frames + (self._chunk(choice, {"audio": audio}) if audio else b"")

    def _take_usage(self, event: Usage) -> bytes:
        self._usage = event
        return b""

    def _take_finish(self, event: Finish) -> bytes:
        choice = self._choice(event.choice)
        return self._open(choice) + self._finish(choice, event.reason)

    def _take_head(self, event: Head) -> bytes:
        if self._started:
            raise invalid("a Head after the answer had begun")
        fields = ("id", "created", "model", "system_fingerprint", "service_tier")
        self._head |= {name: value for name in fields if (value := getattr(event, name)) is not None}
        self._head |= {name: value for name, value in (event.extra or {}).items() if name not in _OWN}
        return b""

    def _other(self, event: object) -> bytes:
        if isinstance(event, str):  # of a class of its own
            return self._text(str.__str__(event), 0)
        raise invalid(f"{type(event).__name__}, which is neither text nor an event")

    # What they are made of.

    def _choice(self, index: int) -> _Choice:
        """The choice at `index`, which must be one that was asked for and has not finished."""
        if not 0 <= index < len(self._choices):
            raise invalid(f"something for choice {index} of {len(self._choices)}, counted from 0")
        choice = self._choices[index]
        if choice.finished:
            raise invalid(f"something for choice {index} after its finish")
        return choice

    def _look(self, choice: _Choice) -> None:
        """Whether an open choice is plain."""
        if _CONTENT in choice.characters.waiting:
            self._plain.pop(choice.index, None)
        else:
            self._plain[choice.index] = choice

    def _start(self) -> None:
        """Fix the head: from here on every chunk begins and ends with the same bytes."""
        self._started = True
        head = b"data: " + _encode(self._head)[:-1]
        self._openings = [
            b'%b,"choices":[{"index":%d,"delta":' % (head, choice.index) for choice in self._choices
        ]
        self._closing = b',"usage":null}\n\n' if self._usage_asked else b"}\n\n"

    def _open(self, choice: _Choice, *, content: bool = True) -> bytes:
        """The first chunk of a choice: its role. Content is "" where text is to come, else null."""
        if choice.open:
            return b""
        if not self._started:
            self._start()
        choice.open = True
        self._look(choice)
        return self._chunk(choice, {"role": "assistant", "content": "" if content else None, "refusal": None})

    def _finish(self, choice: _Choice, reason: str) -> bytes:
        frames = b""
        for key in tuple(choice.characters.waiting):
            text = choice.characters.flush(key)
            self._tally(choice, text, None)
            frames += self._chunk(choice, self._delta(choice, key, text))
        choice.finished = True
        self._plain.pop(choice.index, None)
        if self._legacy and reason == "tool_calls":
            reason = "function_call"
        return frames + self._chunk(choice, {}, None, reason)

    def _delta(self, choice: _Choice, key: _Key, text: str) -> dict[str, Any]:
        """The delta that adds `text` to the text of a choice that `key` names."""
        if key == _TRANSCRIPT:
            return {"audio": {"transcript": text}}
        if key.name != "arguments":
            return {key.name: text}
        if self._legacy:
            return {"function_call": {"arguments": text}}
        kind = choice.calls[key.call]
        return {
            "tool_calls": [{"index": key.call, kind: {("input" if kind == "custom" else "arguments"): text}}]
        }

    def _chunk(
        self, choice: _Choice, delta: Mapping[str, Any], logprobs: Any = None, reason: str | None = None
    ) -> bytes:
        return b'%b%b,"logprobs":%b,"finish_reason":%b}]%b' % (
            self._openings[choice.index],
            _encode(delta),
            _encode(logprobs),
            _encode(reason),
            self._closing,
        )

    def _tally(self, choice: _Choice, text: str, tokens: int | None) -> None:
        if tokens is None:
            choice.estimated_bytes += len(text) if text.isascii() else text_size(text)
        else:
            choice.tokens += tokens

    def _count(self) -> dict[str, Any]:
        """The usage: the engine's own count, else what its events said, else an estimate, marked as one."""
        usage = self._usage
        if usage is None:
            prompt = estimate_prompt_tokens(self._request)
            answer = sum(choice.tokens + estimate_tokens(choice.estimated_bytes) for choice in self._choices)
            return usage_fields(prompt, answer, {}, {"reasoning_tokens": self._reasoning_tokens}) | {
                "estimated": True
            }
        answer_details = {
            "reasoning_tokens": usage.reasoning_tokens or self._reasoning_tokens,
            "audio_tokens": usage.audio_tokens,
            "accepted_prediction_tokens": usage.accepted_prediction_tokens,
            "rejected_prediction_tokens": usage.rejected_prediction_tokens,
        }
        prompt_details = {"cached_tokens": usage.cached_tokens}
        count = usage_fields(usage.prompt_tokens, usage.completion_tokens, prompt_details, answer_details)
        return count | {"estimated": True} if usage.estimated else count


# What an engine's Head may not add under another name.
_OWN = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "error")
)

_WRITERS: Mapping[type, Callable[[ChunkWriter, Any], bytes]] = {
    Text: ChunkWriter._say,
    Refusal: ChunkWriter._say,
    Reasoning: ChunkWriter._reasoning,
    ToolCall: ChunkWriter._tool_call,
    ToolArguments: ChunkWriter._tool_arguments,
    Audio: ChunkWriter._audio,
    Usage: ChunkWriter._take_usage,
    Finish: ChunkWriter._take_finish,
    Head: ChunkWriter._take_head,
}


def collector(request: ChatRequest) -> StreamReader:
    """What turns the frames of a writer into one completion: feed it all of them, then ask for `result()`."""
    return StreamReader(n=request.n or 1, dialect="off")


def sound(event: Any) -> Any:
    """`event`, if its fields are of their types: nothing checked that when the engine made it."""
    if type(event) not in _WRITERS:
        return event
    try:
        return msgspec.convert(msgspec.structs.asdict(event), type(event))
    except msgspec.ValidationError as error:
        raise invalid(f"{type(event).__name__} with a wrong field: {error}") from None


def invalid(what: str) -> InternalServerError:
    """The error of an engine that yielded `what`, which the protocol has no place for."""
    return InternalServerError(f"The engine yielded {what}.", status_code=502, code="engine_output_invalid")


_json = msgspec.json.Encoder().encode


def _encode(value: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate, which UTF-8 cannot hold, is replaced."""
    try:
        return _json(value)
    except UnicodeEncodeError:
        return _json(_without_surrogates(value))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, Mapping):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, (list, tuple)) else value
