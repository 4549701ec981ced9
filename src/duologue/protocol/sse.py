"""Server-sent events: bytes to events and back, to the letter of the WHATWG standard.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

The decoder works on bytes, so that a character cut by a read boundary needs no care: a line is cut at
ASCII line ends only, and its text is decoded when somebody asks. However the bytes are split over calls of
`feed`, the events are the same.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["DONE", "MAX_EVENT_BYTES", "UNFRAMED", "Event", "EventDecoder", "encode_comment", "encode_event"]

# Images travel as data URLs inside one delta, so an event may be large;
# 32 MiB is openai-go's limit for a line.
MAX_EVENT_BYTES = 32 * 1024 * 1024

# What ends a stream of chat completion chunks.
DONE = b"data: [DONE]\n\n"

# The name of an event that is none: a bare line with an error. No stream can give an event this name.
UNFRAMED = "\n"

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_ERROR_LINE = re.compile(rb'\s*\{\s*"error"\s*:\s*[{"]')


class Event(msgspec.Struct, gc=False, frozen=True):
    """One event. `id` is the last one the stream has set, as the standard has it."""

    data: bytes
    event: str = "message"
    id: str = ""

    @property
    def text(self) -> str:
        """The data as text; invalid UTF-8 is replaced."""
        return self.data.decode("utf-8", "replace")


class EventDecoder:
    """Bytes in, events out.

    One thing the standard ignores comes out, too: a line with an error that stands bare, as an event named
    `UNFRAMED`.

    `max_event_bytes` bounds each line and the data of each event, and so the memory of the decoder. Over
    it, `overflow` is true and nothing more comes out.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.max_event_bytes = max_event_bytes
        self.overflow = False
        self.retry: int | None = None  # milliseconds, as the stream last set it
        self._id = ""
        self._buffer = bytearray()  # the unfinished line
        self._scanned = 0  # how much of it holds no line end
        self._skip_newline = False  # the last line ended in \r: a \n now belongs to it
        self._started = False  # past the place of a byte order mark
        self._fresh = True  # between two events, with nothing buffered: the fast path may run
        self._data = bytearray()  # of the unfinished event, a \n after each line
        self._event = ""

    def only(self, data: bytes) -> bytes | None:
        """The data of the one event that `data` is, if it is a usual one; None, and nothing is read, if not.

        Most reads are one event of one `data:` line.
        """
        # `in` with a number is a single memchr; with bytes it costs five times as much.
        if self._fresh and data[:6] == b"data: " and data[-2:] == b"\n\n" and _CR not in data:
            body = data[6:-2]
            if _LF not in body and len(data) <= self.max_event_bytes:
                self._started = True
                return body
        return None

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        if self._fresh and data[:6] == b"data: " and data[-2:] == b"\n\n" and _CR not in data:
            return self._feed_blocks(data)
        return self._feed_lines(data)

    def _feed_blocks(self, data: bytes) -> list[Event]:
        self._started = True
        events: list[Event] = []
        for block in data[:-2].split(b"\n\n"):
            if block[:6] == b"data: " and _LF not in block and len(block) <= self.max_event_bytes:
                events.append(Event(block[6:], "message", self._id))
            else:
                events += self._feed_lines(block + b"\n\n")
                if self.overflow:
                    break
        return events

    def _feed_lines(self, data: bytes) -> list[Event]:
        if self.overflow:
            return []
        buffer = self._buffer
        buffer += data
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._fresh = not buffer
                return []
            self._started = True
            if buffer.startswith(_BOM):
                del buffer[: len(_BOM)]
        if self._skip_newline and buffer:
            self._skip_newline = False
            if buffer[0] == _LF:
                del buffer[0]
        events: list[Event] = []
        start = 0
        for end in _LINE_END.finditer(buffer, self._scanned):
            line = bytes(buffer[start : end.start()])
            start = end.end()
            event = self._line(line)
            if event is not None:
                events.append(event)
            if self.overflow:
                break
        if start and start == len(buffer) and buffer[-1] == _CR:
            self._skip_newline = True
        del buffer[:start]
        self._scanned = len(buffer)
        if len(buffer) > self.max_event_bytes:
            self.overflow = True
        if self.overflow:
            buffer.clear()
            self._data.clear()
        self._fresh = not (buffer or self._data or self._event or self._skip_newline or self.overflow)
        return events

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        if len(line) > self.max_event_bytes:
            self.overflow = True
            return None
        name, colon, value = line.partition(b":")
        if colon and value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data += value
            self._data += b"\n"
            if len(self._data) - 1 > self.max_event_bytes:
                self.overflow = True
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self.retry = int(value[:18])
        elif _ERROR_LINE.match(line):
            return Event(line, UNFRAMED, self._id)
        return None

    def _dispatch(self) -> Event | None:
        data, kind = self._data, self._event
        self._data, self._event = bytearray(), ""
        return Event(bytes(data[:-1]), kind or "message", self._id) if data else None

    def tail(self) -> Event | None:
        """What stands after the last whole event, read as if its blank line had come.

        Never an event by the standard; for a client that wants to know how a body ended.
        """
        if self._buffer:
            line = bytes(self._buffer)
            self._buffer.clear()
            event = self._line(line) or self._dispatch()
        else:
            event = self._dispatch()
        self._fresh = False
        return event


def encode_event(data: bytes, *, event: str | None = None) -> bytes:
    """The bytes of one event; data with line ends becomes several `data:` lines, `event` must be one."""
    head = f"event: {_one_line(event)}\n".encode() if event else b""
    if _LF not in data and _CR not in data:
        return b"%bdata: %b\n\n" % (head, data)
    lines = b"".join(b"data: %b\n" % line for line in _LINE_END.split(data))
    return b"%b%b\n" % (head, lines)


def encode_comment(text: str = "") -> bytes:
    """A comment, which keeps a connection busy and means nothing; `text` must be one line."""
    return f": {_one_line(text)}\n\n".encode()


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError(f"{text!r} is more than one line")
    return text
