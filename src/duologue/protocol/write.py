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
from typing import Any

import msgspec

from ..engine import Audio, Event, Finish, Head, Reasoning, Refusal, Text, ToolArguments, ToolCall, Usage
from ..types.chat.request import ChatRequest
from .errors import APIStatusError, InternalServerError, error_body
from .read import StreamReader
from .sse import DONE, encode_event

__all__ = [
    "ChunkWriter",
    "collector",
    "estimate_prompt_tokens",
    "estimate_tokens",
    "invalid",
    "sound",
    "text_size",
]


class _Choice:
    """What has been said of one choice."""

    __slots__ = ("calls", "estimated_bytes", "finished", "index", "open", "tokens")

    def __init__(self, index: int) -> None:
        self.index = index
        self.open = False
        self.finished = False
        self.calls: dict[int, str] = {}  # the type of each tool call, by its index
        self.tokens = 0
        self.estimated_bytes = 0  # of texts whose engine did not say how many tokens they took


class ChunkWriter:
    """Writes one answer as the bytes of server-sent events.

    `request` says how many choices there are and whether usage was asked for; `usage_always` adds it all the
    same. `call_id` makes ids for tool calls. Nothing may be written after `finish` or `fail`.
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
        self._call_id = call_id
        self._usage_asked = usage_always or request.include_usage
        # Who offers `functions`, the old form of tools, is answered in the old form.
        self._legacy = bool(request.functions)
        self._choices = [_Choice(index) for index in range(request.n or 1)]
        self._usage: Usage | None = None
        self._started = False
        self._reasoning_tokens = 0
        self._openings: list[bytes] = []
        self._closing = b""

    def write(self, event: Event | str) -> bytes:
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
        choice = self._choice(index)
        self._tally(choice, text, tokens)
        if not text:  # tokens that made no whole character yet
            return b""
        frames = b"" if choice.open else self._open(choice)
        return b'%b%b{"content":%b},"logprobs":null,"finish_reason":null}]%b' % (
            frames,
            self._openings[index],
            _encode(text),
            self._closing,
        )

    def _say(self, event: Text | Refusal) -> bytes:
        choice = self._choice(event.choice)
        name = "content" if isinstance(event, Text) else "refusal"
        frames = self._open(choice, content=name == "content")
        self._tally(choice, event.text, event.tokens)
        if not event.text and not event.logprobs:
            return frames
        logprobs = None
        if event.logprobs is not None:
            logprobs = {"content": None, "refusal": None, name: [entry.to_dict() for entry in event.logprobs]}
        return frames + self._chunk(choice, {name: event.text}, logprobs)

    def _reasoning(self, event: Reasoning) -> bytes:
        choice = self._choice(event.choice)
        self._tally(choice, event.text, event.tokens)
        self._reasoning_tokens += event.tokens or 0
        if not event.text:
            return b""
        return self._open(choice, content=False) + self._chunk(choice, {"reasoning_content": event.text})

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
        kind = choice.calls.get(event.index)
        if kind is None:
            raise invalid(f"arguments of tool call {event.index}, which has not begun")
        self._tally(choice, event.text, event.tokens)
        if not event.text:
            return b""
        if self._legacy:
            return self._chunk(choice, {"function_call": {"arguments": event.text}})
        body = {("input" if kind == "custom" else "arguments"): event.text}
        return self._chunk(choice, {"tool_calls": [{"index": event.index, kind: body}]})

    def _audio(self, event: Audio) -> bytes:
        choice = self._choice(event.choice)
        frames = self._open(choice, content=False)
        fields = ("id", "data", "transcript", "expires_at")
        audio = {name: value for name in fields if (value := getattr(event, name)) is not None}
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
        return self._chunk(choice, {"role": "assistant", "content": "" if content else None, "refusal": None})

    def _finish(self, choice: _Choice, reason: str) -> bytes:
        choice.finished = True
        if self._legacy and reason == "tool_calls":
            reason = "function_call"
        return self._chunk(choice, {}, None, reason)

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
            return _usage(prompt, answer, {}, {"reasoning_tokens": self._reasoning_tokens}) | {
                "estimated": True
            }
        answer_details = {
            "reasoning_tokens": usage.reasoning_tokens or self._reasoning_tokens,
            "audio_tokens": usage.audio_tokens,
            "accepted_prediction_tokens": usage.accepted_prediction_tokens,
            "rejected_prediction_tokens": usage.rejected_prediction_tokens,
        }
        prompt_details = {"cached_tokens": usage.cached_tokens}
        count = _usage(usage.prompt_tokens, usage.completion_tokens, prompt_details, answer_details)
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


def estimate_tokens(size: int) -> int:
    """How many tokens a text of `size` UTF-8 bytes may have: about four bytes make one."""
    return -(-size // 4)


def estimate_prompt_tokens(request: ChatRequest) -> int:
    """How many tokens the messages of a request may have."""
    return estimate_tokens(sum(text_size(message.text) for message in request.messages))


def text_size(text: str) -> int:
    """The UTF-8 bytes of a text; half a surrogate pair counts as one."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _usage(
    prompt: int,
    answer: int,
    prompt_details: Mapping[str, int | None],
    answer_details: Mapping[str, int | None],
) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }
    for name, details in (
        ("prompt_tokens_details", prompt_details),
        ("completion_tokens_details", answer_details),
    ):
        known = {key: value for key, value in details.items() if value is not None}
        if known:
            usage[name] = known
    return usage


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


def _encode(value: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate, which UTF-8 cannot hold, is replaced."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(value))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, Mapping):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, (list, tuple)) else value
