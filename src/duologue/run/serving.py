"""`serve`, which runs until it is stopped, and `run_server`, which runs beside the caller's code."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack

from .._options import check_names
from ..protocol.errors import DuologueError
from ..server import App, ServerOptions, ServerSettings
from ..server.admission import is_loopback
from ..server.app import server_options
from .target import resolve

if TYPE_CHECKING:
    import uvicorn

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "NEEDS_EXTRA",
    "checked_options",
    "listen",
    "make_app",
    "run_app",
    "run_server",
    "serve",
    "use_colors",
]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000

# How long a server that is told to stop lets running answers go on, in seconds; and one whose block ended,
# so that nobody is going to read them.
GRACE = 10
BLOCK_GRACE = 1

# How long `run_server` waits for its server to come up, in seconds.
START_TIMEOUT = 30

NEEDS_EXTRA = "Serving needs more packages: pip install 'duologue[serve]'"


def serve(
    target: Any = None,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    **options: Unpack[ServerSettings],
) -> None:
    """Serve until stopped: `target` is an engine, a function of the request, or what the command line takes.

    A mapping serves several as the models of one endpoint: `{"small": "model.gguf", "agent": function}`. Port 0
    means a free one. `options` are those of `create_app`. Raises `DuologueError` for a target that cannot be
    served, an engine that does not start, an option that cannot be, an address in use, or an address that others
    can reach without a key to keep them out; `TypeError` for what is no option, engine or function.
    """
    if _in_event_loop():
        raise DuologueError(
            "serve() runs until it is stopped, which it cannot do inside of a running event loop. There, as in a "
            "notebook, write: with run_server(...) as url:"
        )
    settings = checked_options(host, options)
    app = make_app(target, settings)
    with listen(host, port) as listener:
        run_app(app, listener)


@contextlib.contextmanager
def run_server(target: Any = None, **options: Unpack[ServerSettings]) -> Iterator[str]:
    """Serve `target` on a free loopback port while the block runs; gives the base URL.

    For tests and notebooks: the server has a thread and an event loop of its own, so it may be used inside of a
    running loop, and several at once. `target` is what `serve` takes, `options` are those of `create_app`.
    Raises `DuologueError` where an engine does not start, with what the engine raised as its cause.
    """
    settings = server_options(options)
    app = App(resolve(target), settings)
    server = _server(app, log_level="critical", grace=BLOCK_GRACE)
    listener = listen(DEFAULT_HOST, 0)
    thread = threading.Thread(target=_run, args=(server, listener), name="duologue-server", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread, app)
        yield _url(listener)
    finally:
        server.should_exit = True
        thread.join(BLOCK_GRACE + 5)
        listener.close()


def checked_options(host: str, given: ServerSettings) -> ServerOptions:
    """The options in `given` of a server at `host`. Raises as `serve` does."""
    check_names(given, ("host", "port", *ServerSettings.__annotations__), "a server")
    _check_address(host, given.get("api_key"))
    try:
        return server_options(given)
    except ValueError as error:
        raise DuologueError(f"Cannot serve: {error}.") from None


def make_app(target: Any, options: ServerOptions) -> App:
    """The app for what `serve` is given. Raises `DuologueError` for what cannot be served."""
    try:
        return App(resolve(target), options)
    except ValueError as error:
        raise DuologueError(f"Cannot serve: {error}.") from None


def run_app(app: App, listener: socket.socket) -> None:
    """Say where `app` is served, and serve it until stopped. Raises `DuologueError` if it does not start."""
    server = _server(app, log_level="warning", grace=GRACE)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    names = ", ".join(app.models).encode(encoding, "replace").decode(encoding)
    print(f"Serving {names} at {_url(listener)}", flush=True)
    _run(server, listener)
    if not server.started:
        raise _not_started(app)


def _check_address(host: str, api_key: str | None) -> None:
    """Raise `DuologueError` for a host that is none, or that others can reach without a key."""
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and ":" not in name:
        raise DuologueError(
            f"{host!r} is a host and a port. Give the port on its own: --host {name} --port {port}"
        )
    if api_key is None and not is_loopback(host):
        raise DuologueError(
            f"{host or 'All addresses'} can be reached by others, and there is no key to keep them out. Give one "
            "with --api-key (or DUOLOGUE_API_KEY), or serve on 127.0.0.1."
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `DuologueError` where it cannot."""
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        foreign = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        remedy = (
            "--host takes an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
            if foreign
            else "Try another one with --port, or --port 0 for a free one"
        )
        raise DuologueError(f"Cannot listen on {host}:{port}: {why}. {remedy}.") from None
    return listener


def use_colors() -> bool | None:
    """Whether lines of the log have colours; None where it depends on the terminal (no-color.org)."""
    return False if os.environ.get("NO_COLOR") or sys.stdout is None else None


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread, app: App) -> None:
    for _ in range(START_TIMEOUT * 100):
        if server.started:
            return
        thread.join(0.01)
        if not thread.is_alive():
            raise _not_started(app)
    raise DuologueError(f"The server did not start within {START_TIMEOUT} s.")


def _not_started(app: App) -> DuologueError:
    cause = app.failure
    if cause is None:
        return DuologueError("The server did not start; what went wrong stands in its log.")
    error = DuologueError(f"The server did not start: {type(cause).__name__}: {cause}")
    error.__cause__ = cause
    return error


def _server(app: App, *, log_level: str, grace: int) -> uvicorn.Server:
    try:
        import uvicorn

        from .http import HttpProtocol
        from .stopping import Server
    except ImportError:
        raise DuologueError(NEEDS_EXTRA) from None
    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,
        http=HttpProtocol,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=grace,
        use_colors=use_colors(),
    )
    return Server(config)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run until told to stop. What uvicorn raises then, or when it cannot start, comes after it has cleaned up."""
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.run(sockets=[listener])


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
