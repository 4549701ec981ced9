"""uvicorn's server, which also says what it waits for when Ctrl-C has told it to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn

__all__ = ["Server"]


class Server(uvicorn.Server):
    """Lets running answers go on for `timeout_graceful_shutdown` seconds."""

    _interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._interrupted |= sig == signal.SIGINT
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and end once the running answers have."""
        if self._interrupted and self.server_state.tasks and not self.force_exit:
            grace = self.config.timeout_graceful_shutdown
            print(
                f"Running answers have {grace} s to end. Ctrl-C again ends them now.",
                file=sys.stderr,
                flush=True,
            )
        forced = asyncio.create_task(self._end_when_forced())
        try:
            await super().shutdown(sockets)
        finally:
            forced.cancel()

    async def _end_when_forced(self) -> None:
        """At the second Ctrl-C end the running answers, for which uvicorn waits from Python 3.12 on."""
        while not self.force_exit:  # noqa: ASYNC110 - a flag of uvicorn's, which a signal sets
            await asyncio.sleep(0.1)
        for task in self.server_state.tasks:
            task.cancel()
