"""The client's state machine: bytes in, chunks and one known outcome out.

The outcome rests on the events alone; how the transport ended only chooses the words, because a transport
cannot be trusted to know (a close-delimited body looks whole wherever it is cut).

| what happened                                     | outcome     | error                        |
|---------------------------------------------------|-------------|------------------------------|
| every expected choice finished, then `[DONE]` or  | `complete`  | none                         |
| any end of the body                               |             |                              |
| `[DONE]` or end of body with an unfinished choice | `truncated` | `StreamTruncatedError`       |
| a deadline passed with an unfinished choice       | `truncated` | `StreamTimeoutError`         |
| an error event, whenever it comes                 | `failed`    | the class its status has     |
| an event over the limit, or that cannot be read   | `failed`    | `APIResponseValidationError` |
| the caller left                                   | `cancelled` | none                         |

A choice has finished once it has a finish reason (`""` is none), or for audio its closing `expires_at`.
Expected are the indexes 0 … n-1 of the request, and every index that came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from ..types._wire import unknown_fields
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk, Choice
from ..types.completion_usage import CompletionUsage
from .accumulate import Accumulator, choice_index
from .codec import fast_chunk, load, loads, typed
from .dialect import Deviation
from .errors import (
    APIError,
    APIResponseValidationError,
    DuologueError,
    StreamCancelledError,
    StreamTimeoutError,
    StreamTruncatedError,
    error_from_body,
)
from .sse import MAX_EVENT_BYTES, Event, EventDecoder

__all__ = ["Ending", "Outcome", "StreamReader"]

Outcome = Literal["complete", "truncated", "failed", "cancelled"]
# How a body can end: as the transport sees it, or because a deadline of the client passed.
Ending = Literal["eof", "reset", "timeout"]

# How much is kept of a body that holds no event, to show what came instead of a stream.
MAX_TAIL_BYTES = 64 * 1024

# How many unfinished choices an error names; a server may begin any number.
MAX_NAMED = 8

# How an error begins whose text a server has not escaped, so that it is no JSON.
_ERROR_LIKE = re.compile(rb'\s*\{\s*"error"\s*:')

_TRUNCATED: Mapping[str, str] = {
    "unfinished": "The server said [DONE] before {missing} had finished.",
    "eof": "The stream ended before {missing} had finished.",
    "reset": "The connection broke before {missing} had finished.",
    "timeout": "The stream was given up before {missing} had finished: {why}.",
}


class StreamReader:
    """Reads one stream. Nothing is raised here: look at `outcome` and `error` after each call.

    `n` is what the request asked for, `usage_asked` its `stream_options.include_usage`. Without
    `accumulate`, memory stays flat and `completion` is None.
    """

    def __init__(
        self,
        *,
        n: int = 1,
        usage_asked: bool = False,
        accumulate: bool = True,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self.outcome: Outcome | None = None
        self.error: APIError | None = None
        self.deviations: list[Deviation] = []
        self.last_chunk: ChatCompletionChunk | None = None
        self.request_id: str | None = None
        self._sse = EventDecoder(max_event_bytes=max_event_bytes)
        self._accumulator = Accumulator() if accumulate else None
        self._open = set(range(n))
        self._finished: set[int] = set()
        self._usage: CompletionUsage | None = None
        self._usage_asked = usage_asked
        self._events = 0
        self._beginning = bytearray()  # of the body, until there is an event

    @property
    def completion(self) -> ChatCompletion | None:
        """What has come so far; None before the first chunk, and always without `accumulate`."""
        return self._accumulator.completion if self._accumulator is not None else None

    @property
    def usage(self) -> CompletionUsage | None:
        """The last token counts that came."""
        return self._usage

    def feed(self, data: bytes) -> list[ChatCompletionChunk]:
        """The chunks that `data` completes. Nothing follows once there is an outcome."""
        if self.outcome is not None:
            return []
        chunks: list[ChatCompletionChunk] = []
        for event in self._sse.feed(data):
            chunk, plain = fast_chunk(event.data)
            if plain is not None and plain.index in self._open and event.event != "error":
                # The usual chunk: nothing begins or ends with it.
                self.last_chunk = chunk = cast("ChatCompletionChunk", chunk)
                if self._accumulator is not None:
                    self._accumulator.add_plain(chunk, plain)
                chunks.append(chunk)
            else:
                chunk = self._read(event, chunk)
                if chunk is not None:
                    chunks.append(chunk)
                if self.outcome is not None:
                    return chunks
            self._events += 1
        if not self._events:
            self._beginning += data[: MAX_TAIL_BYTES - len(self._beginning)]
        if self._sse.overflow:
            self._fail(
                APIResponseValidationError(
                    f"An event of the stream is larger than max_event_bytes, {self._sse.max_event_bytes} "
                    "bytes. Raise the limit if the server is to be trusted with it."
                )
            )
        return chunks

    def close(self, ending: Ending = "eof", why: str = "a deadline passed") -> None:
        """The body has ended, or the client gave it up; `why` says which deadline passed."""
        if self.outcome is not None:
            return
        tail = self._sse.tail()
        if not self._events and not (tail and tail.data):
            tail = Event(bytes(self._beginning))
        if tail is not None and not tail.data:
            tail = None
        if tail is not None and self._read_tail(tail):
            return
        if self._open:
            self._truncate(ending, why, tail)
        else:
            self._met("no-done")
            self._complete()

    def cancel(self) -> None:
        """The caller left before the end."""
        if self.outcome is None:
            self.outcome = "cancelled"

    def result(self) -> ChatCompletion:
        """The whole completion. Raises what went wrong; `StreamCancelledError` for a stream left early."""
        if self.error is not None:
            raise self.error
        if self.outcome != "complete":
            raise self._inform(StreamCancelledError("The stream was left before its end."))
        completion = self.completion
        if completion is None:
            why = "The stream was read with accumulate=False, so there is no whole completion."
            raise self._inform(DuologueError(why))
        return completion

    def _read(self, event: Event, chunk: ChatCompletionChunk | None) -> ChatCompletionChunk | None:
        """An event that may begin or end something; `chunk` is what the fast path made of it."""
        if chunk is None or event.event == "error":
            chunk = self._read_oddity(event)
        if chunk is not None:
            self._take(chunk)
        return chunk

    def _take(self, chunk: ChatCompletionChunk) -> None:
        for position, choice in enumerate(chunk.choices):
            index = choice_index(choice, position)
            if choice.finish_reason or _audio_ended(choice):
                self._finished.add(index)
                self._open.discard(index)
            elif index not in self._finished:
                self._open.add(index)
            if unknown_fields(choice).get("message") is not None:
                self._met("message-in-chunk")
        if chunk.usage is not None:
            self._usage = chunk.usage
        self.last_chunk = chunk
        if self._accumulator is not None:
            self._accumulator.add(chunk)

    def _read_oddity(self, event: Event) -> ChatCompletionChunk | None:
        """An event that the fast path could not read: the end, an error, a keep-alive, or a loose chunk."""
        data = event.data
        if data.strip() == b"[DONE]":
            self._done()
            return None
        if not data.strip() or data.lstrip().startswith(b":"):
            self._met("comment-as-data" if data.strip() else "empty-data")
            return None
        try:
            value, strict = load(data)
            if self._is_error(value, event):
                return None
            chunk = typed(ChatCompletionChunk, value, data)
        except APIResponseValidationError as error:
            if event.event == "error" or _ERROR_LIKE.match(data):  # whatever it says, it is an error
                self._fail(error_from_body(event.text), data)
            else:
                self._fail(error, data)
            return None
        if not strict:
            self._met("odd-json")
        return chunk

    def _is_error(self, value: Any, event: Event) -> bool:
        """Whether an event says that something went wrong; then the outcome is set."""
        fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
        if event.event == "error" or fields.get("error") or fields.get("object") == "error":
            self._fail(error_from_body(value), event.data)
            return True
        return False

    def _read_tail(self, tail: Event) -> bool:
        """Whether what follows the last whole event decided the outcome: `[DONE]` and an error do."""
        if tail.data.strip() == b"[DONE]":
            self._met("done-unterminated")
            self._done()
            return True
        try:
            if self._is_error(loads(tail.data), tail):
                return True
        except APIResponseValidationError:
            pass
        self._met("trailing-bytes")
        return False

    def _done(self) -> None:
        if self._open:
            self._truncate("unfinished", "", None)
        else:
            self._complete()

    def _complete(self) -> None:
        self.outcome = "complete"
        if self._usage_asked and self._usage is None:
            self._met("no-usage")

    def _truncate(self, reason: str, why: str, tail: Event | None) -> None:
        self.outcome = "truncated"
        missing = ", ".join(f"choice {index}" for index in sorted(self._open)[:MAX_NAMED])
        if len(self._open) > MAX_NAMED:
            missing += f" and {len(self._open) - MAX_NAMED} more"
        message = _TRUNCATED[reason].format(missing=missing, why=why)
        if tail is not None and not self._events:
            message += f" No event came; the body begins with {tail.data[:80]!r}."
        error = StreamTimeoutError(message) if reason == "timeout" else StreamTruncatedError(message)
        error.reason = reason
        error.tail = tail.data if tail is not None else None
        self.error = self._inform(error)

    def _fail(self, error: APIError, raw: bytes | None = None) -> None:
        self.outcome = "failed"
        error.raw = raw
        self.error = self._inform(error)

    def _inform(self, error: Any) -> Any:
        """Nothing is lost: the exception carries what had arrived."""
        error.completion = self.completion
        error.last_chunk = self.last_chunk
        error.usage = self._usage
        error.request_id = self.request_id
        return error

    def _met(self, rule: str) -> None:
        if all(deviation.rule != rule for deviation in self.deviations):
            self.deviations.append(Deviation(rule, self._events))


def _audio_ended(choice: Choice) -> bool:
    audio = choice.delta.audio
    return audio is not None and audio.expires_at is not None
