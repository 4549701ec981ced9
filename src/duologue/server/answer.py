"""One answer of an engine: streamed or whole, ended when nobody reads it or when it takes too long.

The engine's generator runs in the task of the request, from its first step to its last, so that it may hold
timeouts and task groups across its yields. Beside it stand a watcher, for the client's leaving, and an
attendant, for what is due at a time: the head when the engine's first event is late, a comment after a
silence, and the end of an engine that gives nothing or of a reader that takes nothing. Both end an engine in
the same way: its task is cancelled, and the generator closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from operator import itemgetter

from ..engine import Engine, Event, closing
from ..protocol.codec import encode
from ..protocol.errors import InternalServerError
from ..protocol.sse import encode_comment
from ..protocol.write import ChunkWriter, Together, collector, invalid
from ..types.chat.request import ChatRequest
from .asgi import Disconnected, Message, send_body, send_head
from .breath import Breath
from .emulate import Emulator
from .exchange import Exchange

__all__ = ["FAREWELL_S", "Answer"]

_log = logging.getLogger("duologue.server")

_STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_KEEP_ALIVE = encode_comment("keep-alive")

# How long the last words of a stream that is ended from outside may take to be sent.
FAREWELL_S = 0.5

_Events = AsyncIterator[Event | str] | AsyncIterator[Event | str | Together]
# What is due, and when.
_Due = tuple[float, Callable[[], Awaitable[None]]]


class Answer:
    """Runs `engine` for one request and sends what it makes."""

    def __init__(
        self,
        exchange: Exchange,
        engine: Engine | Emulator,
        request: ChatRequest,
        writer: ChunkWriter,
        headers: Mapping[str, str],
        breath: Breath,
    ) -> None:
        self._exchange = exchange
        self._engine = engine
        self._request = request
        self._writer = writer
        self._headers = headers
        self._options = exchange.options
        self._why: Exception | None = None  # the engine is to stop
        self._cancels = 0
        self._stopped_at = 0.0
        self._head_sent = False
        self._sending = False  # the request's own task is inside send()
        self._begun = self._sent_at = self._given_at = time.monotonic()
        self._turn = asyncio.Lock()
        self._clear = False  # the head is sent, and the attendant is not inside send()
        self._breath = breath

    async def run(self) -> None:
        """Answer. Raises what the engine raised, as long as it can still become a status, and `Disconnected`."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        helpers = [asyncio.ensure_future(self._watch()), asyncio.ensure_future(self._attend())]
        try:
            await (self._stream() if self._request.stream else self._whole())
        except asyncio.CancelledError:
            if self._why is None:
                raise
            raise Disconnected from None  # in the middle of the last words
        finally:
            self._breath.end()
            for helper in helpers:
                helper.cancel()
            for _ in range(self._cancels):
                task.uncancel()

    # --- beside the engine ---

    async def _watch(self) -> None:
        """Stop the engine once its client has gone."""
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        await self._stop(Disconnected())

    async def _attend(self) -> None:
        """Do what is due, and look again at least every `keep_alive` seconds: what is due changes."""
        while True:
            at, act = min(self._due(), key=itemgetter(0))
            wait = at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(min(wait, self._options.keep_alive))
            else:
                await act()

    def _due(self) -> Iterator[_Due]:
        options = self._options
        if self._why is not None:
            yield self._stopped_at + options.cleanup_timeout, partial(self._stop, self._why)
            return
        yield self._begun + options.answer_timeout, self._out_of_time
        if self._sending:
            self._given_at = time.monotonic()  # the engine cannot give anything now
            yield self._sent_at + options.reader_idle, partial(self._stop, Disconnected())
            return
        yield self._given_at + options.engine_idle, self._idle
        if self._request.stream and self._head_sent:
            yield self._sent_at + options.keep_alive, self._comment
        elif self._request.stream:
            yield self._begun + options.first_event_hold, self._begin

    async def _begin(self) -> None:
        await self._beside(self._send_head)

    async def _comment(self) -> None:
        await self._beside(partial(send_body, self._exchange.send, _KEEP_ALIVE, more=True))
        self._sent_at = time.monotonic()

    async def _beside(self, send: Callable[[], Awaitable[None]]) -> None:
        """Send something while the engine is silent; should it speak meanwhile, that waits."""
        self._clear = False
        try:
            async with self._turn, asyncio.timeout(self._options.reader_idle):
                await send()
        except (TimeoutError, Disconnected):
            await self._stop(Disconnected())

    async def _idle(self) -> None:
        limit = f"{self._options.engine_idle:g} s, which is this server's engine_idle"
        await self._stop(_timeout("engine_timeout", f"The engine gave nothing for {limit}."))

    async def _out_of_time(self) -> None:
        limit = f"{self._options.answer_timeout:g} s, which is this server's answer_timeout"
        await self._stop(_timeout("answer_timeout", f"The answer took longer than {limit}."))

    async def _stop(self, why: Exception) -> None:
        """Stop the engine. One that does not heed it is told again every `cleanup_timeout` seconds."""
        if why is self._why:
            _log.warning("request %s: the engine does not stop", self._exchange.request_id)
        self._why = why
        self._stopped_at = time.monotonic()
        self._cancels += 1
        self._task.cancel()

    # --- the engine ---

    async def _whole(self) -> None:
        whole = collector(self._request)
        room = self._options.max_answer_bytes

        async def keep(frames: bytes) -> None:
            nonlocal room
            room -= len(frames)
            if room < 0:
                raise invalid("more than this server's max_answer_bytes")
            whole.feed(frames)

        try:
            await self._drive(keep)
            whole.feed(self._writer.finish())
        except (Exception, asyncio.CancelledError) as error:
            self._last_words(error)  # raises, since there is no head
        else:
            self._sent_at, self._sending = time.monotonic(), True
            await self._exchange.send_json(encode(whole.result()), headers=self._headers)

    async def _stream(self) -> None:
        limit: float | None = None
        try:
            await self._drive(self._put)
            last = self._writer.finish()
        except (Exception, asyncio.CancelledError) as error:
            last = self._last_words(error)
            if isinstance(error, asyncio.CancelledError) and self._why is None:
                limit = FAREWELL_S
        try:
            async with asyncio.timeout(limit):
                self._sent_at, self._sending = time.monotonic(), True
                await self._put(last, more=False)
        except OSError:  # or its TimeoutError
            raise Disconnected from None

    async def _drive(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Run the engine to its end, and give what it makes to `take`."""
        write, clock = self._writer.write, time.monotonic
        breath, loop = self._breath, self._breath.loop
        async with _guarded(self._engine, self._request) as events:
            async for event in events:
                if self._why is not None:
                    raise self._why
                frames = write(event)
                self._given_at = now = clock()
                if frames:
                    self._sent_at, self._sending = now, True
                    try:
                        await take(frames)
                    except OSError:
                        raise Disconnected from None
                    self._sending = False
                # As `Breath.due`, without a call for each chunk.
                if loop.last is not breath:
                    loop.last = breath
                    breath.at = now + breath.every
                elif now > breath.at:
                    await breath.take()
                    if self._why is not None:
                        raise self._why

    def _last_words(self, error: BaseException) -> bytes:
        """The end of a stream whose engine ended with `error`, which is raised where it can still be a status."""
        why = self._reason(error)
        if not self._head_sent or isinstance(why, Disconnected):
            raise why
        return self._writer.fail(self._exchange.as_status(why))

    def _reason(self, error: BaseException) -> BaseException:
        if self._why is not None:
            return self._why
        if isinstance(error, asyncio.CancelledError):  # by the server, or by what the app is mounted in
            return InternalServerError(
                "The server has ended this answer, because it is being stopped. Ask again.",
                status_code=503,
                code="server_stopping",
                headers={"retry-after": "1"},
            )
        return error

    # --- the wire ---

    def _put(self, frames: bytes, *, more: bool = True) -> Awaitable[None]:
        """What sends a piece of the stream: the server's own `send`, without a coroutine more for each chunk."""
        body = {"type": "http.response.body", "body": frames, "more_body": more}
        return self._exchange.send(body) if self._clear else self._put_after_head(body)

    async def _put_after_head(self, body: Message) -> None:
        async with self._turn:
            if not self._head_sent:
                await self._send_head()
        self._clear = True
        await self._exchange.send(body)

    async def _send_head(self) -> None:
        self._head_sent = True
        headers = {**_STREAM_HEADERS, **self._headers}
        await send_head(
            self._exchange.send, 200, self._exchange.head("text/event-stream; charset=utf-8", headers)
        )


def _timeout(code: str, message: str) -> InternalServerError:
    return InternalServerError(message, status_code=504, code=code)


@asynccontextmanager
async def _guarded(engine: Engine | Emulator, request: ChatRequest) -> AsyncIterator[_Events]:
    """Close the engine's iterator at the end, and let nothing out of it that would end more than this answer."""
    task = asyncio.current_task()
    assert task is not None
    try:
        async with closing(engine.generate(request)) as events:
            yield events
    except asyncio.CancelledError as error:
        if task.cancelling():
            raise
        # Nobody cancelled the request: the engine did that to itself.
        raise RuntimeError("the engine cancelled itself") from error
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit() in an engine must not end the server
        if asyncio.current_task(task.get_loop()) is not task:  # its coroutine is closed, after its loop's end
            raise
        raise RuntimeError(f"the engine raised {type(error).__name__}") from error
