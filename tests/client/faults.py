"""What can go wrong with an answer, and what the client makes of it: one table, for the tests and for a page.

`python tests/client/faults.py` writes the page, docs/reference/what-happens-when.md, anew.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

__all__ = ["FAULTS", "PAGE", "Does", "Fault", "page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "what-happens-when.md"

# Where a server stops doing the right thing, and what it does then. `close` is orderly, `reset` is not; `stall`
# is to say nothing more and stay; `garbage` is what nobody can read; `end` is the right end after all; `raise`
# is an exception of an application in this process.
Place = Literal["listen", "accept", "tls", "request", "head", "body"]
Manner = Literal["close", "reset", "stall", "garbage", "end", "raise"]


class Does(NamedTuple):
    """What the server does."""

    at: Place
    how: Manner
    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    framing: Literal["chunked", "close", "length"] = "chunked"
    early: bytes = b""  # what comes before the head
    first: float = 0.0  # seconds before the head


class Fault(NamedTuple):
    """One row: when, what, and what becomes of it, with `max_retries=1`.

    `detail` is the error's reason, phase or status; `deadline` what passes in each attempt, or only in the
    last; `asked` the wait that the server asks for. `outcome` is the stream's, "" where none was returned.
    """

    when: str
    what: str
    does: Does
    outcome: str = ""
    error: str = ""
    detail: str = ""
    attempts: int = 1
    deadline: str = ""
    last_only: bool = False
    asked: float | None = None
    stream: bool = True
    options: dict[str, Any] = {}
    only: str = ""  # "sockets" or "app", where the other cannot do it

    @property
    def id(self) -> str:
        return f"{self.when}: {self.what}"


ONE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"Hello"},"logprobs":null,"finish_reason":null}]}\n\n'
)
FINISH = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
)
DONE = b"data: [DONE]\n\n"
HALF = ONE[: len(ONE) // 2]
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello","refusal":null},"logprobs":null,"finish_reason":"stop"}]}'
)
BUSY = b'{"error":{"message":"busy","type":"x","param":null,"code":null}}'
PLAIN = (("content-type", "application/json"),)
GZIP = (("content-encoding", "gzip"), ("content-type", "text/event-stream"))
DATE = "(a date)"  # the server puts one in, `asked` from now


def error_event(status: int) -> bytes:
    return b'data: {"error":{"message":"No","code":%d}}\n\n' % status


def refused(
    status: int, what: str, error: str, attempts: int, *headers: tuple[str, str], **more: Any
) -> Fault:
    """An answer that is an error."""
    does = Does("body", "end", BUSY, status, (*PLAIN, *headers), "length")
    return Fault("status", f"{status}{what}", does, "", error, str(status), attempts, **more)


def ends(when: str, sent: bytes, attempts: int, outcome: str = "truncated", **more: Any) -> Iterator[Fault]:
    """The four ways in which the bytes can stop, after `sent`."""
    cut = "StreamTruncatedError" if outcome == "truncated" else ""
    late = "StreamTimeoutError" if outcome == "truncated" else ""
    for how, what, error, detail in (
        ("close", "the server closes the connection", cut, "reset"),
        ("reset", "the connection is reset", cut, "reset"),
        ("garbage", "the framing of the body breaks", cut, "reset"),
        ("stall", "nothing more comes", late, "idle"),
    ):
        yield Fault(
            when,
            what,
            Does("body", how, sent),
            outcome,
            error,
            detail if error else "",
            attempts,
            deadline="idle" if how == "stall" and when != "after [DONE]" else "",
            only="sockets" if how in ("reset", "garbage") else "",
            **more,
        )


CONNECTION = "APIConnectionError"
LATE = "APITimeoutError"
UNREADABLE = "APIResponseValidationError"
CUT = "StreamTruncatedError"

FAULTS: list[Fault] = [
    Fault("connecting", "nobody listens there", Does("listen", "reset"), "", CONNECTION, "", 2),
    Fault(
        "connecting",
        "nobody takes the connection",
        Does("listen", "stall"),
        "",
        LATE,
        "connect",
        2,
        "connect",
    ),
    Fault("connecting", "the server closes the connection", Does("accept", "close"), "", CONNECTION, "", 2),
    Fault("connecting", "the connection is reset", Does("accept", "reset"), "", CONNECTION, "", 2),
    Fault("connecting", "it speaks another protocol", Does("accept", "garbage"), "", CONNECTION, "", 1),
    Fault("TLS handshake", "the server closes the connection", Does("tls", "close"), "", CONNECTION, "", 2),
    Fault("TLS handshake", "the connection is reset", Does("tls", "reset"), "", CONNECTION, "", 2),
    Fault("TLS handshake", "it does not speak TLS", Does("tls", "garbage"), "", CONNECTION, "", 2),
    Fault("TLS handshake", "nothing comes", Does("tls", "stall"), "", LATE, "connect", 2, "connect"),
    Fault("TLS handshake", "the certificate is not trusted", Does("tls", "end"), "", CONNECTION, "", 1),
    Fault(
        "waiting for the head",
        "the server closes the connection",
        Does("request", "close"),
        "",
        CONNECTION,
        "",
        2,
    ),
    Fault(
        "waiting for the head",
        "the connection is reset",
        Does("request", "reset"),
        "",
        CONNECTION,
        "",
        2,
        only="sockets",
    ),
    Fault(
        "waiting for the head", "it does not speak HTTP", Does("request", "garbage"), "", CONNECTION, "", 1
    ),
    Fault(
        "waiting for the head", "nothing comes", Does("request", "stall"), "", LATE, "headers", 2, "headers"
    ),
    Fault(
        "waiting for the head",
        "the application raises",
        Does("request", "raise"),
        "",
        CONNECTION,
        "",
        1,
        only="app",
    ),
    Fault("in the head", "the server closes the connection", Does("head", "close"), "", CONNECTION, "", 2),
    Fault("in the head", "the connection is reset", Does("head", "reset"), "", CONNECTION, "", 2),
    Fault("in the head", "it turns into garbage", Does("head", "garbage"), "", CONNECTION, "", 1),
    Fault("in the head", "nothing more comes", Does("head", "stall"), "", LATE, "headers", 2, "headers"),
    Fault("in the head", "it comes late", Does("body", "end", ONE + FINISH + DONE, first=0.2), "complete"),
    Fault(
        "in the head",
        "100 and 103 come first",
        Does(
            "body",
            "end",
            ONE + FINISH + DONE,
            early=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n",
        ),
        "complete",
        only="sockets",
    ),
    refused(302, ", a redirect", "APIStatusError", 1, ("location", "http://h/")),
    refused(307, ", a redirect", "APIStatusError", 1, ("location", "http://h/")),
    refused(400, "", "BadRequestError", 1),
    refused(400, " with `x-should-retry: true`", "BadRequestError", 2, ("x-should-retry", "true")),
    refused(401, "", "AuthenticationError", 1),
    refused(403, "", "PermissionDeniedError", 1),
    refused(404, "", "NotFoundError", 1),
    refused(408, "", "APIStatusError", 2),
    refused(409, "", "ConflictError", 2),
    refused(422, "", "UnprocessableEntityError", 1),
    refused(429, "", "RateLimitError", 2),
    refused(429, " with `retry-after-ms: 100`", "RateLimitError", 2, ("retry-after-ms", "100"), asked=0.1),
    refused(429, " with `retry-after: 0.2`", "RateLimitError", 2, ("retry-after", "0.2"), asked=0.2),
    refused(
        429, " with both", "RateLimitError", 2, ("retry-after", "9"), ("retry-after-ms", "100"), asked=0.1
    ),
    refused(429, " with a date in `retry-after`", "RateLimitError", 2, ("retry-after", DATE), asked=1.0),
    refused(429, " with nonsense in `retry-after`", "RateLimitError", 2, ("retry-after", "soon")),
    refused(429, " with `retry-after: 121`", "RateLimitError", 1, ("retry-after", "121")),
    refused(429, " with `x-should-retry: false`", "RateLimitError", 1, ("x-should-retry", "false")),
    refused(500, "", "InternalServerError", 2),
    refused(500, " with `x-should-retry: false`", "InternalServerError", 1, ("x-should-retry", "false")),
    refused(503, " with `retry-after: 0.1`", "InternalServerError", 2, ("retry-after", "0.1"), asked=0.1),
    refused(529, "", "InternalServerError", 2),
    Fault(
        "status",
        "500, and its body is cut",
        Does("body", "close", BUSY[:9], 500, PLAIN),
        "",
        "InternalServerError",
        "500",
        2,
    ),
    Fault(
        "status",
        "500, and its body stalls",
        Does("body", "stall", BUSY[:9], 500, PLAIN),
        "",
        "InternalServerError",
        "500",
        2,
        "idle",
        last_only=True,
    ),
    Fault("before the first chunk", "the body ends", Does("body", "end"), "truncated", CUT, "eof", 2),
    *ends("before the first chunk", b"", 2),
    Fault(
        "before the first chunk",
        "comments come, and nothing else",
        Does("body", "stall", b": wait\n\n"),
        "truncated",
        "StreamTimeoutError",
        "idle_content",
        2,
        "idle_content",
    ),
    Fault(
        "before the first chunk",
        "an event that is no JSON",
        Does("body", "end", b"data: {No\n\n"),
        "failed",
        UNREADABLE,
    ),
    Fault(
        "before the first chunk",
        "an error event of a status that is tried again",
        Does("body", "end", error_event(503) + DONE),
        "failed",
        "InternalServerError",
        "503",
        2,
    ),
    Fault(
        "before the first chunk",
        "another error event",
        Does("body", "end", error_event(400) + DONE),
        "failed",
        "BadRequestError",
        "400",
    ),
    Fault("before the first chunk", "`[DONE]`", Does("body", "end", DONE), "truncated", CUT, "unfinished"),
    Fault(
        "before the first chunk",
        "an HTML page",
        Does("body", "end", b"<html>No</html>"),
        "failed",
        UNREADABLE,
    ),
    Fault(
        "before the first chunk",
        "the whole completion as JSON",
        Does("body", "end", ANSWER),
        "failed",
        UNREADABLE,
    ),
    Fault(
        "before the first chunk",
        "malformed gzip",
        Does("body", "end", b"No gzip", headers=GZIP),
        "truncated",
        CUT,
        "reset",
        2,
        only="sockets",
    ),
    *ends("between two events", ONE, 1),
    Fault("between two events", "the body ends", Does("body", "end", ONE), "truncated", CUT, "eof"),
    Fault(
        "between two events",
        "the body ends with the connection",
        Does("body", "close", ONE, framing="close"),
        "truncated",
        CUT,
        "eof",
        only="sockets",
    ),
    Fault(
        "between two events",
        "the same, by a reset",
        Does("body", "reset", ONE, framing="close"),
        "truncated",
        CUT,
        "eof or reset",
        only="sockets",
    ),
    Fault(
        "between two events",
        "the body is shorter than its `content-length`",
        Does("body", "close", ONE, framing="length"),
        "truncated",
        CUT,
        "reset",
        only="sockets",
    ),
    Fault(
        "between two events",
        "gzip is cut",
        Does("body", "end", gzip.compress(ONE * 400)[:-9], headers=GZIP),
        "truncated",
        CUT,
        "eof or reset",
        only="sockets",
    ),
    Fault(
        "between two events",
        "an error event",
        Does("body", "end", ONE + error_event(503) + DONE),
        "failed",
        "InternalServerError",
        "503",
    ),
    Fault(
        "between two events",
        "an event that is no JSON",
        Does("body", "end", ONE + b"data: {No\n\n"),
        "failed",
        UNREADABLE,
    ),
    Fault(
        "between two events",
        "an event over `max_event_bytes`",
        Does("body", "end", ONE + b"data: " + b"x" * 9000),
        "failed",
        UNREADABLE,
        options={"max_event_bytes": 5000},
    ),
    Fault("between two events", "`[DONE]`", Does("body", "end", ONE + DONE), "truncated", CUT, "unfinished"),
    Fault(
        "between two events",
        "comments come, and nothing else",
        Does("body", "stall", ONE + b": wait\n\n"),
        "truncated",
        "StreamTimeoutError",
        "idle_content",
        1,
        "idle_content",
    ),
    Fault(
        "between two events",
        "the application raises",
        Does("body", "raise", ONE),
        "truncated",
        CUT,
        "reset",
        only="app",
    ),
    *ends("in an event", ONE + HALF, 1),
    Fault("in an event", "the body ends", Does("body", "end", ONE + HALF), "truncated", CUT, "eof"),
    *ends("after the finish", ONE + FINISH, 1, "complete"),
    Fault("after the finish", "the body ends", Does("body", "end", ONE + FINISH), "complete"),
    Fault(
        "after the finish",
        "an error event",
        Does("body", "end", ONE + FINISH + error_event(500)),
        "failed",
        "InternalServerError",
        "500",
    ),
    *ends("after [DONE]", ONE + FINISH + DONE, 1, "complete"),
    Fault(
        "after [DONE]",
        "the server half-closes",
        Does("body", "end", ONE + FINISH + DONE, framing="close"),
        "complete",
        only="sockets",
    ),
    Fault(
        "not streamed",
        "the server closes the connection in the body",
        Does("body", "close", ANSWER[:40], headers=PLAIN),
        "",
        CONNECTION,
        stream=False,
    ),
    Fault(
        "not streamed",
        "the connection is reset in the body",
        Does("body", "reset", ANSWER[:40], headers=PLAIN),
        "",
        CONNECTION,
        stream=False,
        only="sockets",
    ),
    Fault(
        "not streamed",
        "the body stalls",
        Does("body", "stall", ANSWER[:40], headers=PLAIN),
        "",
        LATE,
        "idle",
        deadline="idle",
        stream=False,
    ),
    Fault(
        "not streamed",
        "the framing of the body breaks",
        Does("body", "garbage", ANSWER[:40], headers=PLAIN),
        "",
        CONNECTION,
        stream=False,
        only="sockets",
    ),
    Fault(
        "not streamed",
        "malformed gzip",
        Does("body", "end", b"No gzip", headers=(*PLAIN, GZIP[0])),
        "",
        CONNECTION,
        stream=False,
        only="sockets",
    ),
    Fault(
        "not streamed",
        "the body is no JSON",
        Does("body", "end", b"{No", headers=PLAIN),
        "",
        UNREADABLE,
        stream=False,
    ),
    Fault(
        "not streamed", "the body is empty", Does("body", "end", headers=PLAIN), "", UNREADABLE, stream=False
    ),
    Fault(
        "not streamed",
        "an event stream comes",
        Does("body", "end", ONE + FINISH + DONE),
        "",
        UNREADABLE,
        stream=False,
    ),
    Fault(
        "not streamed",
        "the body is larger than `max_response_bytes`",
        Does("body", "end", ANSWER, headers=PLAIN),
        "",
        UNREADABLE,
        stream=False,
        options={"max_response_bytes": 50},
    ),
    Fault(
        "not streamed",
        "gzip that stands for more than `max_response_bytes`",
        Does("body", "end", gzip.compress(b" " * 1_000_000 + ANSWER), headers=(*PLAIN, GZIP[0])),
        "",
        UNREADABLE,
        stream=False,
        only="sockets",
        options={"max_response_bytes": 5000},
    ),
]

# --- the page -------------------------------------------------------------------------------------------

_HEADINGS = {
    "connecting": "While connecting",
    "TLS handshake": "In the TLS handshake",
    "waiting for the head": "While the head of the answer is waited for",
    "in the head": "In the head",
    "status": "An answer that is no success",
    "before the first chunk": "In a stream, before its first chunk",
    "between two events": "In a stream, between two events",
    "in an event": "In a stream, inside an event",
    "after the finish": "After the last choice has finished, before `[DONE]`",
    "after [DONE]": "After `[DONE]`",
    "not streamed": "In an answer that is not streamed",
}
_INTRODUCTION = """\
# What happens when …

This page is made from the table that the tests run, over real sockets, through every transport: the standard
library's HTTP client and aiohttp, `httpx2.Client` and `httpx2.AsyncClient`, and for an application in this
process what an application can do. Blocking and asynchronous code get the same.

*Raises* is the class of the exception, and in brackets its `reason`, `phase` or `status_code`. *Asked* is how
often the server is asked with `max_retries=1`; the page of [outcomes](outcomes.md) says what a stream that failed
still holds. *After* is when the exception comes, or the end: at once, when a deadline passes, after the wait
that the server asked for. Between two attempts there is a wait of about half a second where nothing else is said.

What holds everywhere:

- A request is sent again only while nothing of its answer was delivered: never after the first chunk of a
  stream, and never after the head of a good answer that is not streamed. All attempts carry the same
  `Idempotency-Key`.
- With `fallback_base_urls` the next attempt goes to the next server at once. What is wrong with the request
  itself (a status that is not tried again) goes to no other.
- `timeout.total` is for all attempts and the stream together. No wait is begun that would outlast it.
- The chunks that came are delivered before anything is raised.
- The body of an answer that is no success is read for 5 s at most. What has come by then is told.
"""
_AFTER = "| what happens | outcome | raises | asked | after |\n|---|---|---|---|---|\n"


def page() -> str:
    """The page, whole."""
    parts = [_INTRODUCTION]
    for when, heading in _HEADINGS.items():
        rows = "".join(map(_row, (fault for fault in FAULTS if fault.when == when)))
        parts.append(f"## {heading}\n\n{_AFTER}{rows}")
    return "\n".join(parts)


def _row(fault: Fault) -> str:
    what = fault.what + (" (in this process)" if fault.only == "app" else "")
    outcome = f"`{fault.outcome}`" if fault.outcome else ""
    error = f"`{fault.error}`" if fault.error else "nothing"
    if fault.error and fault.detail:
        error += f" ({fault.detail})"
    times = {1: "once", 2: "twice"}[fault.attempts]
    return f"| {what} | {outcome} | {error} | {times} | {_time(fault)} |\n"


def _time(fault: Fault) -> str:
    if fault.deadline:
        each = " each time" if fault.attempts > 1 and not fault.last_only else ""
        return f"`timeout.{fault.deadline}`{each}"
    if fault.does.first:
        return "when it comes"
    if fault.asked is not None:
        return "the wait asked for"
    return "at once"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
