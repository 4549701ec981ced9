"""Running a server: what a TARGET means, `serve`, a server beside the caller's code, and `--reload`."""

from __future__ import annotations

from .reload import serve_reloading
from .serving import DEFAULT_HOST, DEFAULT_PORT, run_server, serve
from .target import load_target, load_targets, own_traceback

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "load_target",
    "load_targets",
    "own_traceback",
    "run_server",
    "serve",
    "serve_reloading",
]
