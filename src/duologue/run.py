"""Running a server: what TARGET means on the command line, `serve`, and a server beside the caller's code."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine import Engine, as_engine
from .protocol.errors import DuologueError
from .server import Profile, create_app
from .server.admission import is_loopback

if TYPE_CHECKING:
    import uvicorn

__all__ = ["load_target", "run_server", "serve"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000

# How long a server that is told to stop lets running answers go on, in seconds.
GRACE = 10

# How long `run_server` waits for its server to come up, in seconds.
START_TIMEOUT = 30


def load_target(target: str | None, **settings: Any) -> Engine:
    """The engine that a TARGET names: nothing (the default engine), `echo`, a model file, or `module:attribute`.

    A model file is a path that ends with .gguf, or `hf:owner/repository:file.gguf`; `settings` are those of
    `engines.local.open_model`, for model files only. Raises `DuologueError` saying what is wrong with the target.
    """
    if target is not None and _names_model(target):
        from .engines.local import open_model

        return open_model(target, **settings)
    if settings:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in settings)
        raise DuologueError(f"{names} is for a model file: duologue serve model.gguf")
    if target is None:
        from .engines.local import default_engine

        return default_engine()
    if target == "echo":
        from .engines.echo import EchoEngine

        return EchoEngine()
    module_name, colon, attribute = target.partition(":")
    if not colon or module_name[:1] in ("", ".") or not attribute:
        raise DuologueError(
            f"Cannot serve {target!r}: give 'echo', or 'module:attribute' such as 'my_agent:answer', or a "
            "model file such as 'model.gguf'."
        )
    return _import_engine(module_name, attribute)


def _names_model(target: str) -> bool:
    return target.startswith("hf:") or target.lower().endswith(".gguf")


def _import_engine(module_name: str, attribute: str) -> Engine:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does, so that a file in this folder is found
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only if it is this module that is missing: what it imports is its own author's business.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise DuologueError(
            f"Cannot find the module {module_name!r}. Is its file in this folder ({here}), or installed?"
        ) from None
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise DuologueError(f"The module {module_name!r} has no {attribute!r}.") from None
    try:
        return as_engine(found)
    except TypeError as error:
        raise DuologueError(f"{module_name}:{attribute} cannot be served: {error}") from None


def serve(
    target: Any = None,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    api_key: str | None = None,
    profile: Profile = "strict",
) -> None:
    """Serve until stopped: `target` is an engine, a function of the request, or what the command line takes.

    Port 0 means a free one. Raises `DuologueError` for a target that cannot be served, an address in use, or
    an address that others can reach without a key to keep them out.
    """
    engine = load_target(target) if target is None or isinstance(target, str) else as_engine(target)
    if profile == "mock" and engine.models[0] != "echo":
        raise DuologueError("The profile 'mock' is for the target 'echo': duologue serve echo --profile mock")
    if api_key is None and not is_loopback(host):
        raise DuologueError(
            f"{host} can be reached by others, and there is no key to keep them out. Give one with --api-key (or "
            "DUOLOGUE_API_KEY), or serve on 127.0.0.1."
        )
    try:
        app = create_app(engine, api_key=api_key, profile=profile)
    except ValueError as error:
        raise DuologueError(f"Cannot serve: {error}.") from None
    server = _server(app, log_level="warning")
    with _listen(host, port) as listener:
        print(f"Serving {engine.models[0]} at {_url(listener)}", flush=True)
        _run(server, listener)
    if not server.started:
        raise DuologueError("The server did not start; what went wrong stands above.")


@contextlib.contextmanager
def run_server(target: Any, **options: Any) -> Iterator[str]:
    """Serve `target` on a free loopback port while the block runs; gives the base URL.

    For tests and notebooks. `options` are those of `server.create_app`.
    """
    server = _server(create_app(target, **options), log_level="critical")
    listener = _listen(DEFAULT_HOST, 0)
    thread = threading.Thread(target=_run, args=(server, listener), name="duologue-server", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield _url(listener)
    finally:
        server.should_exit = True
        thread.join(GRACE + 5)
        listener.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    for _ in range(START_TIMEOUT * 100):
        if server.started:
            return
        thread.join(0.01)
        if not thread.is_alive():
            break
    raise DuologueError("The server did not start; what went wrong stands in its log.")


def _server(app: Any, *, log_level: str) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError:
        raise DuologueError("Serving needs more packages: pip install 'duologue[serve]'") from None
    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    return uvicorn.Server(config)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run until told to stop. What uvicorn raises then, or when it cannot start, comes after it has cleaned up."""
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
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
        raise DuologueError(
            f"Cannot listen on {host}:{port}: {why}. Try another one with --port, or --port 0 for a free one."
        ) from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
