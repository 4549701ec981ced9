"""One call from its request to its answer, without any I/O: a generator that yields what shall be done.

The drivers of `Client` and `AsyncClient` carry out its steps and send back what came of them:

| step      | is sent back                                |
|-----------|---------------------------------------------|
| `Ask`     | the transport's response                    |
| `Read`    | the next bytes of its body                  |
| `Release` | None; nothing more is wanted of the response |
| `Sleep`   | None                                        |

A `TransportError` is thrown in where the step raised it. What the generator returns is the result of the
call: an object, or for a stream an `Opened`. A stream that fails before its first chunk may go on with the
attempts that are left: `Attempts.another`.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from ..protocol.dialect import Asked
from ..protocol.errors import APIError
from ..protocol.read import Outcome
from ..protocol.response import APIResponse, RequestInfo, Timings
from ..protocol.retry import Failure, Send, Sleep, attempts
from ..protocol.transport import AsyncResponse, Deadlines, Head, Kind, Request, Response, TransportError
from ..types._wire import WireObject
from .answer import ERROR_BODY_BYTES, ERROR_BODY_S, media_of, no_answer, not_events, over_limit, status_error
from .observe import Ending, Observer, leave, observers_of
from .options import Options, Timeout, public_url

__all__ = [
    "Ask",
    "Attempts",
    "Call",
    "Opened",
    "Plan",
    "Read",
    "Release",
    "Step",
    "perform",
    "some_bytes",
    "whole_body",
]

R = TypeVar("R", Response, AsyncResponse)
E = TypeVar("E", bound=APIError)


# What a server that is asked again would fail at again.
_FINAL: frozenset[Kind] = frozenset({"certificate", "invalid", "app"})


class Ask(NamedTuple):
    """Send a request."""

    request: Request
    deadlines: Deadlines


class Read(NamedTuple):
    """Read what comes next of a body, and give it up at `by` on the monotonic clock."""

    response: Any
    by: float | None = None


class Release(NamedTuple):
    """Give a response back."""

    response: Any


Step = Ask | Read | Release | Sleep
Plan = Generator[Step, Any, Any]


class Call(NamedTuple):
    """What to ask, of each server in turn, and what a good body becomes; None for a stream.

    `params` are the fields of a chat completion request. With `opened`, a good answer is handed over with its
    head, whatever its body is to become.
    """

    requests: Sequence[Request]
    options: Options
    timeout: Timeout
    answer: Callable[[APIResponse, bytes], Any] | None
    asked: Asked = Asked()
    params: Mapping[str, Any] | None = None
    opened: bool = False


class Opened(NamedTuple, Generic[R]):
    """A stream whose head has come, and the bytes of its body that had to be looked at.

    `run` is the driver, for the steps of another attempt.
    """

    transport: R
    start: bytes
    response: APIResponse
    timings: Timings
    began: float
    call: Call
    attempts: Attempts
    run: Callable[[Plan], Any]


def perform(call: Call, run: Callable[[Plan], Any]) -> Plan:
    """The steps of `call`, for the driver `run`. Raises what became of it when no answer could be had."""
    attempts = Attempts(call, run)
    try:
        answer = yield from attempts.answer()
    except BaseException as error:
        attempts.failed(error)
        raise
    if not isinstance(answer, Opened):
        attempts.succeeded(answer)
    return answer


class Attempts:
    """The attempts of one call: what is left of its time and of its retries."""

    def __init__(self, call: Call, run: Callable[[Plan], Any]) -> None:
        timeout = call.timeout
        self.observers: Sequence[Observer] = observers_of(call)
        self._call = call
        self._run = run
        self._began = began = time.monotonic()
        self._until = until = None if timeout.total is None else began + timeout.total
        self._deadlines = Deadlines(
            timeout.connect, timeout.headers, timeout.idle, timeout.total, until, timeout.idle_content
        )
        self._tries = attempts(
            call.options.max_retries,
            servers=len(call.requests),
            left=lambda: math.inf if until is None else until - time.monotonic(),
            wall=time.time,
            uniform=random.random,
        )

    def answer(self) -> Plan:
        """The steps to an answer, by as many attempts as are left. Raises why there is none."""
        call = self._call
        failed: Opened[Any] | APIError
        while True:
            send = cast("Send", next(self._tries))
            request = call.requests[send.server]
            info = RequestInfo(request.method, public_url(request.url))
            for observer in self.observers:
                observer.sends(request, send.retry)
            try:
                transport = yield Ask(request, self._deadlines)
            except TransportError as error:
                failed = _caused(no_answer(error, info), error)
                failure = Failure(final=error.kind in _FINAL or error.phase == "total")
            else:
                head: Head = transport.head
                now = time.monotonic()
                timings = Timings(connect=head.connected - self._began, headers=now - self._began)
                response = APIResponse(
                    *(head.status, head.headers, info, timings, time.time(), head.http_version, send.retry)
                )
                for observer in self.observers:
                    observer.answered(response)
                failed = Opened(transport, b"", response, timings, self._began, call, self, self._run)
                if 200 <= head.status < 300:
                    return (yield from _success(failed))
                failure = Failure(head.status, head.headers)
            pause = self._pause(failure)
            if pause is None:
                break
            if isinstance(failed, Opened):
                yield Release(failed.transport)
            self._retries(failed.response if isinstance(failed, Opened) else failed, pause)
            yield pause
        if isinstance(failed, Opened):
            raise status_error(failed.response, (yield from _error_body(failed)))
        raise failed

    def another(self, failure: Failure, why: APIError) -> Plan | None:
        """The steps after a stream that failed before its first chunk; None for no more attempts."""
        pause = self._pause(failure)
        if pause is None:
            return None
        self._retries(why, pause)
        return self._after(pause)

    def seconds(self) -> float:
        """How long the call has taken so far."""
        return time.monotonic() - self._began

    def received(self, data: bytes | bytearray, chunks: int, now: float) -> None:
        """Tell the observers of what was read."""
        for observer in self.observers:
            observer.receives(bytes(data), chunks, now)

    def succeeded(self, answer: Any) -> None:
        """Tell the observers of the answer that the call ends with."""
        if self.observers:
            known = answer if isinstance(answer, WireObject) else None
            response, usage = getattr(answer, "_response", None), getattr(known, "usage", None)
            self.over(Ending("complete", self.seconds(), None, response, usage, lambda: known))

    def failed(self, error: BaseException) -> None:
        """Tell the observers why the call ends without an answer."""
        if self.observers:
            outcome: Outcome = "failed" if isinstance(error, Exception) else "cancelled"
            response, usage = getattr(error, "response", None), getattr(error, "usage", None)
            answer = getattr(error, "completion", None)
            self.over(Ending(outcome, self.seconds(), error, response, usage, lambda: answer))

    def over(self, ending: Ending) -> None:
        """Tell the observers that the call is over, and of nothing any more."""
        observers, self.observers = self.observers, ()
        for observer in observers:
            observer.ends(ending)

    def drop(self) -> None:
        """The stream of the call was dropped without being closed. May be called at any moment, by any thread."""
        if self.observers:
            leave(self.observers, Ending("cancelled", self.seconds()))
            self.observers = ()

    def _retries(self, why: APIResponse | APIError, pause: Sleep) -> None:
        for observer in self.observers:
            observer.retries(why, pause.seconds)

    def _after(self, pause: Sleep) -> Plan:
        yield pause
        return (yield from self.answer())

    def _pause(self, failure: Failure) -> Sleep | None:
        try:
            return cast("Sleep", self._tries.send(failure))
        except StopIteration:
            return None


def _success(opened: Opened[Any]) -> Plan:
    call, response = opened.call, opened.response
    if call.opened:
        return opened
    if call.answer is not None:
        return call.answer(response, (yield from whole_body(opened)))
    content_type = response.headers.get("content-type", "").lower()
    if "event-stream" in content_type:
        return opened
    # It is called something else, and may be a stream all the same: its first bytes tell.
    start = yield from whole_body(opened, enough=lambda data: media_of("", data) != "empty")
    media = media_of(content_type, start)
    if media == "events":
        return opened._replace(start=start)
    raise not_events(response, start if media == "empty" else (yield from whole_body(opened, start)))


def whole_body(
    opened: Opened[Any], start: bytes = b"", *, enough: Callable[[bytes], bool] | None = None
) -> Generator[Step, Any, bytes]:
    """The body of a success, whole; or up to a part that is `enough`, and then more may be read."""
    body, limit, keep = bytearray(start), opened.call.options.max_response_bytes, False
    timings, attempts = opened.timings, opened.attempts
    try:
        while data := (yield Read(opened.transport)):
            if timings.first_byte is None:
                timings.first_byte = attempts.seconds()
            body += data
            if len(body) > limit:
                raise over_limit(opened.response, body, limit)
            if enough is not None and enough(data):
                keep = True
                break
    except TransportError as error:
        problem = _cut(opened, error, bytes(body))
        raise problem from problem.__cause__
    finally:
        if not keep:
            opened.transport.close()
            timings.duration = attempts.seconds()
            attempts.received(body, 0, timings.duration)
    return bytes(body)


def some_bytes(opened: Opened[Any]) -> Generator[Step, Any, bytes]:
    """What comes next of a body, `b""` at its end."""
    try:
        data: bytes = yield Read(opened.transport)
    except TransportError as error:
        problem = _cut(opened, error, b"")
        raise problem from problem.__cause__
    if opened.timings.first_byte is None:
        opened.timings.first_byte = opened.attempts.seconds()
    return data


def _cut(opened: Opened[Any], failure: TransportError, body: bytes) -> APIError:
    """The exception for a body that broke off."""
    problem = _caused(no_answer(failure, opened.response.request), failure)
    problem.raw, problem.request_id, problem.response = body, opened.response.request_id, opened.response
    return problem


def _error_body(opened: Opened[Any]) -> Generator[Step, Any, bytes]:
    """The body of a failure, or its beginning: what cannot be had of it is not missed."""
    body, attempts = bytearray(), opened.attempts
    by = time.monotonic() + ERROR_BODY_S
    try:
        while len(body) < ERROR_BODY_BYTES and (data := (yield Read(opened.transport, by))):
            body += data
    except TransportError:
        pass
    finally:
        opened.transport.close()
        opened.timings.duration = attempts.seconds()
        attempts.received(body, 0, opened.timings.duration)
    return bytes(body[:ERROR_BODY_BYTES])


def _caused(problem: E, failure: TransportError) -> E:
    """`problem` with what is behind it: the system's error, or the application's exception."""
    problem.__cause__ = failure.__cause__
    return problem
