"""The server: an ASGI app that answers Chat Completions over any engine."""

from __future__ import annotations

from .app import App, create_app
from .options import Profile, ServerOptions

__all__ = ["App", "Profile", "ServerOptions", "create_app"]
