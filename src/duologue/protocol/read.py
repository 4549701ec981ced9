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
| to a strict reader: what the protocol forbids     | `failed`    | `APIResponseValidationError` |
| the caller left                                   | `cancelled` | none                         |

A choice has finished once it has a finish reason (`""` is none), or for audio its closing `expires_at`. One that
goes on after that has not: its finish reasons end nothing, so it needs another one, and `[DONE]`.
Expected are the indexes 0 … n-1 of the request, and every index that came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk, Choice
from ..types.completion_usage import CompletionUsage
from .accumulate import CompletionBuilder, Take, choice_index, is_over, says_something
from .codec import load, loads, typed
from .dialect import Asked, Deviation, Dialect, Watch, in_error, says_error
from .errors import (
    APIError,
    APIResponseValidationError,
    DuologueError,
    StreamCancelledError,
    StreamTimeoutError,
    StreamTruncatedError,
    error_from_body,
)
from .sse import MAX_EVENT_BYTES, UNFRAMED, Event, EventDecoder
from .usual import FORGET, Usual

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

# The names of events that are errors whatever they say.
_ERROR_EVENTS = ("error", UNFRAMED)

_TRUNCATED: Mapping[str, str] = {
    "unfinished": "The server said [DONE] before {missing} had finished.",
    "eof": "The stream ended before {missing} had finished.",
    "reset": "The connection broke before {missing} had finished.",
    "timeout": "The stream was given up before {missing} had finished: {why}.",
}


class StreamReader:
    """Reads one stream. Nothing is raised here: look at `outcome` and `error` after each call.

    `asked` is what the request says that the answer is held to; `n` alone is the same as `Asked(n)`.
    `dialect` says what is done about deviations, which are listed in `deviations`. Without `accumulate`,
    memory stays flat, `completion` is None, and what only shows in the whole is not looked for.
    """

    def __init__(
        self,
        *,
        n: int = 1,
        asked: Asked | None = None,
        dialect: Dialect = "repair",
        accumulate: bool = True,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self.outcome: Outcome | None = None
        self.error: APIError | None = None
        self.last_chunk: ChatCompletionChunk | None = None
        self.request_id: str | None = None
        self._sse = EventDecoder(max_event_bytes=max_event_bytes)
        self._builder = CompletionBuilder() if accumulate else None
        self._asked = asked if asked is not None else Asked(n)
        self._watch = Watch(self._asked, dialect, self._builder)
        self._open = set(range(self._asked.n))
        self._finished: set[int] = set()
        self._restless: set[int] = set()  # the choices that went on after they had finished
        self._usual = Usual(self._watch, self._builder)
        self._events = 0
        self._beginning = bytearray()  # of the body, until there is an event
        self._whole: ChatCompletion | None = None

    @property
    def completion(self) -> ChatCompletion | None:
        """What has come so far; None before the first chunk, and always without `accumulate`."""
        if self._whole is not None:
            return self._whole
        return self._builder.completion if self._builder is not None else None

    @property
    def deviations(self) -> list[Deviation]:
        """What the server does otherwise than the protocol says, in the order in which it was met."""
        return self._watch.deviations

    @property
    def usage(self) -> CompletionUsage | None:
        """The last token counts that came."""
        return self._usual.usage

    def feed(self, data: bytes) -> list[ChatCompletionChunk]:
        """The chunks that `data` completes. Nothing follows once there is an outcome."""
        if self.outcome is not None:
            return []
        usual = self._usual
        only = self._sse.only(data)
        if only is not None:
            chunk, taken = usual.read(only)
            if taken:  # nothing begins or ends with it
                self.last_chunk = chunk
            else:
                chunk = self._read(Event(only), chunk)
            self._events += 1
            return [chunk] if chunk is not None else []
        chunks: list[ChatCompletionChunk] = []
        for event in self._sse.feed(data):
            chunk, taken = usual.read(event.data) if event.event not in _ERROR_EVENTS else (None, False)
            if taken:
                self.last_chunk = chunk
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
        self._watch.event = self._events
        tail = self._sse.tail()
        if not self._events and not (tail and tail.data):
            tail = Event(bytes(self._beginning))
        if tail is not None and not tail.data and tail.event not in _ERROR_EVENTS:
            tail = None
        if tail is not None and self._read_tail(tail):
            return
        self._open |= self._restless
        if self._open:
            self._truncate(ending, why, tail)
        if tail is not None:
            self.met("trailing-bytes", tail.data)
        if self.outcome is None:
            self.met("no-done")
            self._complete()

    def met(self, rule: str, raw: bytes | None = None) -> None:
        """The server deviates by a rule; `raw` is what shows it. A strict reader fails."""
        self._watch.met(rule)
        self._fail_if_strict(raw)

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
        """An event that may begin or end something; `chunk` is what the strict decoder made of it."""
        self._watch.event = self._events
        if chunk is None:
            chunk = self._read_oddity(event)
            if chunk is None:
                return None
            if self._usual.takes(chunk):
                self.last_chunk = chunk
                return chunk
        new_head = self._usual.is_new(chunk)
        self._watch.chunk(chunk, new_head=new_head)
        if self._watch.broken is not None and self._fail_if_strict(event.data):
            return None
        if new_head:
            self._usual.learn(chunk)
        self._take(chunk)
        return chunk

    def _take(self, chunk: ChatCompletionChunk) -> None:
        if chunk.usage is not None:
            self._usual.usage = chunk.usage
        self._add(chunk)
        self._usual.forget()
        for position, choice in enumerate(chunk.choices):
            index = choice_index(choice, position)
            if index in self._finished and says_something(choice.delta):
                self._restless.add(index)
                self._finished.discard(index)
            if is_over(choice):
                self._finished.add(index)
                self._open.discard(index)
                self._usual.expect(index, None)
            elif index not in self._finished:
                self._open.add(index)
                if index not in self._usual.takers:
                    into = self._builder
                    self._usual.expect(index, FORGET if into is None else into.text_of(index, "content"))
                if len(chunk.choices) == 1:
                    self._follow(chunk, choice, index)

    def _follow(self, chunk: ChatCompletionChunk, choice: Choice, index: int) -> None:
        """Where a choice has thoughts or the arguments of a call, more of them are expected."""
        delta, into = choice.delta, self._builder
        calls = delta.tool_calls
        if not calls:
            for name in ("reasoning_content", "reasoning"):
                if getattr(delta, name):
                    take = FORGET if into is None else into.text_of(index, name)
                    self._usual.follow(chunk, name, take)
        elif len(calls) == 1 and calls[0].function is not None:
            call: int | None = calls[0].index
            if call is not None and (heard := self._watch.arguments_of(index, call)) is not None:
                take = FORGET if into is None else into.arguments_of(index, call)
                self._usual.follow(chunk, "arguments", None if take is None else _both(heard, take))

    def _add(self, chunk: ChatCompletionChunk) -> None:
        self.last_chunk = chunk
        if self._builder is not None:
            self._builder.add(chunk)

    def _read_oddity(self, event: Event) -> ChatCompletionChunk | None:
        """An event that the strict decoder could not read: the end, an error, a keep-alive, or a loose chunk."""
        data = event.data
        is_error = event.event in _ERROR_EVENTS
        if data.strip() == b"[DONE]" and not is_error:
            self._done()
            return None
        if not is_error and (not data.strip() or data.lstrip().startswith(b":")):
            self.met("comment-as-data" if data.strip() else "empty-data", data)
            return None
        try:
            value, strict = load(data)
            if self._is_error(value, event):
                return None
            if not strict:
                self._watch.met("odd-json")
            self._watch.value(value)
            return None if self._fail_if_strict(data) else typed(ChatCompletionChunk, value, data)
        except APIResponseValidationError as error:
            if not self._is_error_text(event):
                self._fail(error, data)
            return None

    def _is_error(self, value: Any, event: Event) -> bool:
        """Whether an event says that something went wrong; then the outcome is set."""
        if event.event not in _ERROR_EVENTS and not says_error(value):
            return False
        self._fail(error_from_body(value), event.data)
        if event.event == UNFRAMED and self._events:  # else it is the whole body
            self._watch.met("error-unframed")
        for rule in in_error(value):
            self._watch.met(rule)
        return True

    def _is_error_text(self, event: Event) -> bool:
        """The same for an event that is no JSON."""
        if event.event != "error" and not _ERROR_LIKE.match(event.data):
            return False  # else it is an error, whatever it says
        self._fail(error_from_body(event.text), event.data)
        if event.event == UNFRAMED and self._events:  # else it is the whole body
            self._watch.met("error-unframed")
        self._watch.met("error-string" if event.event == "error" else "error-not-escaped")
        return True

    def _read_tail(self, tail: Event) -> bool:
        """Whether what follows the last whole event decided the outcome: `[DONE]` and an error do."""
        if tail.data.strip() == b"[DONE]" and tail.event not in _ERROR_EVENTS:
            self.met("done-unterminated", tail.data)
            self._done()
            return True
        try:
            failed = self._is_error(loads(tail.data), tail)
        except APIResponseValidationError:
            failed = tail.event == "error" and self._is_error_text(tail)
        if failed and self._events:
            self.met("error-unterminated")
        return failed

    def _done(self) -> None:
        if self._open:
            self._truncate("unfinished", "", None)
            begun = self._open & self._watch.begun
            if begun:
                self.met("finish-missing")
            if self._watch.begun and self._open - begun:
                self.met("choices-missing")
        else:
            self._complete()

    def _complete(self) -> None:
        if self._asked.include_usage and self._usual.usage is None:
            self.met("no-usage")
        self._whole = self.completion
        if self._whole is not None:
            self._watch.content(self._whole)
        if not self._fail_if_strict():
            self.outcome = "complete"

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
        error.usage = self._usual.usage
        error.request_id = self.request_id
        return error

    def _fail_if_strict(self, raw: bytes | None = None) -> bool:
        """Whether the stream has failed because its reader is strict."""
        error = self._watch.error()
        if error is not None and self.outcome is None:
            self._fail(error, raw)
        return error is not None


def _both(first: Take, second: Take) -> Take:
    def take(text: str) -> None:
        first(text)
        second(text)

    return take
