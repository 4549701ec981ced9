"""One answer of an engine: streamed or whole, cancelled when its reader has gone.

The engine's generator runs in the task of the request, from its first step to its last, so that it may hold
timeouts and task groups across its yields. Beside it stands one attendant per request, which watches for the
client's leaving, sends the head when the engine takes long, and comments when it is silent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ..engine import Engine, Event
from ..protocol.codec import encode
from ..protocol.sse import encode_comment
from ..protocol.write import ChunkWriter, collector
from ..types.chat.request import ChatRequest
from .asgi import Disconnected, send_body, send_head
from .exchange import Exchange

__all__ = ["Answer"]

_STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_KEEP_ALIVE = encode_comment("keep-alive")


class Answer:
    """Runs `engine` for one request and sends what it makes."""

    def __init__(
        self,
        exchange: Exchange,
        engine: Engine,
        request: ChatRequest,
        writer: ChunkWriter,
        headers: Mapping[str, str],
    ) -> None:
        self._exchange = exchange
        self._engine = engine
        self._request = request
        self._writer = writer
        self._headers = headers
        self._options = exchange.options
        self._gone = False
        self._head_sent = False
        self._sending = False  # the request's own task is inside send()
        self._sent_at = time.monotonic()
        self._turn = asyncio.Lock()  # the attendant is inside send()
        self._breath_at = 0.0

    async def run(self) -> None:
        """Answer. Raises what the engine raised, as long as it can still become a status."""
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.ensure_future(self._watch(task))
        attendant = asyncio.ensure_future(self._attend()) if self._request.stream else None
        try:
            await (self._stream() if self._request.stream else self._whole())
        except BaseException:
            if self._gone:
                raise Disconnected from None
            raise
        finally:
            if self._gone:
                task.uncancel()
            watcher.cancel()
            if attendant is not None:
                attendant.cancel()

    async def _watch(self, task: asyncio.Task[object]) -> None:
        """Cancel the request's task once its client has gone."""
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        task.cancel()

    async def _attend(self) -> None:
        """Send the head when the first event is late, then a comment after every silence."""
        await asyncio.sleep(self._options.first_event_hold)
        while True:
            silence = time.monotonic() - self._sent_at
            if not self._head_sent:
                async with self._turn:
                    await self._send_head()
            elif silence >= self._options.keep_alive and not self._sending:
                async with self._turn:
                    await send_body(self._exchange.send, _KEEP_ALIVE, more=True)
                self._sent_at = time.monotonic()
                silence = 0.0
            await asyncio.sleep(max(self._options.keep_alive - silence, 0.01))

    async def _whole(self) -> None:
        whole = collector(self._request)
        async with _closing(self._engine.generate(self._request)) as events:
            async for event in events:
                whole.feed(self._writer.write(event))
                if self._gone or time.monotonic() > self._breath_at:
                    await self._breathe()
        whole.feed(self._writer.finish())
        await self._exchange.send_json(encode(whole.result()), headers=self._headers)

    async def _stream(self) -> None:
        try:
            async with _closing(self._engine.generate(self._request)) as events:
                async for event in events:
                    frames = self._writer.write(event)
                    if frames:
                        await self._send(frames)
                    if self._gone or time.monotonic() > self._breath_at:
                        await self._breathe()
            last = self._writer.finish()
        except Exception as error:
            if self._gone or not self._head_sent:
                raise
            last = self._writer.fail(self._exchange.as_status(error))
        await self._send(last, more=False)

    async def _breathe(self) -> None:
        """Give the event loop its turn.

        An engine that never waits would otherwise starve every other request, and its own cancellation.
        """
        await asyncio.sleep(0)
        if self._gone:
            raise Disconnected
        self._breath_at = time.monotonic() + self._options.breath

    async def _send(self, frames: bytes, *, more: bool = True) -> None:
        if self._turn.locked():
            async with self._turn:
                pass
        self._sending = True
        if not self._head_sent:
            await self._send_head()
        await send_body(self._exchange.send, frames, more=more)
        self._sent_at = time.monotonic()
        self._sending = False

    async def _send_head(self) -> None:
        self._head_sent = True
        headers = {**_STREAM_HEADERS, **self._headers}
        await send_head(
            self._exchange.send, 200, self._exchange.head("text/event-stream; charset=utf-8", headers)
        )


@asynccontextmanager
async def _closing(events: AsyncIterator[Event | str]) -> AsyncIterator[AsyncIterator[Event | str]]:
    """Close the engine's iterator at the end, if it can be closed: that is what stops its work."""
    try:
        try:
            yield events
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled the request: the engine did that to itself.
        raise RuntimeError("the engine cancelled itself") from error
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # sys.exit() in an engine must not end the server
        raise RuntimeError(f"the engine raised {type(error).__name__}") from error
