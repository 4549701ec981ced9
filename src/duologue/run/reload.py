"""`--reload`: the server runs in a process of its own, which is started again when a file changes."""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Unpack

from ..protocol.errors import DuologueError
from ..server import ServerOptions, ServerSettings
from .serving import NEEDS_EXTRA, checked_options, listen, make_app, run_app, use_colors
from .target import is_module_target, load_targets, own_traceback

__all__ = ["serve_reloading"]


def serve_reloading(
    targets: Sequence[str],
    settings: Mapping[str, Any],
    *,
    host: str,
    port: int,
    **options: Unpack[ServerSettings],
) -> None:
    """Serve `targets` until stopped, anew whenever a Python file below the current folder changes.

    The listening socket stays open in between, so nobody is refused: a request waits until the new process is
    there. The old one first finishes its answers, as any server that is told to stop does.
    """
    if not any(is_module_target(target.rpartition("=")[2]) for target in targets):
        raise DuologueError(
            "--reload is for code of yours: duologue serve my_agent:answer --reload. Nothing else here can change."
        )
    server_options = checked_options(host, options)
    try:
        import uvicorn

        from .watch import Watch
    except ImportError:
        raise DuologueError(NEEDS_EXTRA) from None

    # A name, not an app: uvicorn watches files only for what can be loaded again.
    config = uvicorn.Config("duologue.run:serve", reload=True, log_level="warning", use_colors=use_colors())
    run = functools.partial(_serve_again, tuple(targets), dict(settings), server_options)
    with listen(host, port) as listener:
        Watch(config, target=run, sockets=[listener]).run()


def _serve_again(
    targets: Sequence[str],
    settings: Mapping[str, Any],
    options: ServerOptions,
    sockets: list[socket.socket] | None,
) -> None:
    """Serve, in the process that is started again; what is wrong is told, and the next change waited for."""
    assert sockets
    try:
        app = make_app(load_targets(targets, **settings), options)
        run_app(app, sockets[0])
    except DuologueError as error:
        _wait(f"Error: {error}")
    except Exception as error:  # of the code that is being written
        _wait(own_traceback(error))


def _wait(why: str) -> NoReturn:
    print(f"{why}\nWaiting for a change.", file=sys.stderr, flush=True)
    sys.exit(1)
