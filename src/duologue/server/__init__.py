"""The server: an ASGI app that answers Chat Completions over any engine."""

from __future__ import annotations

from .app import App, create_app
from .options import PROFILES, Profile, ServerOptions, ServerSettings

__all__ = ["PROFILES", "App", "Profile", "ServerOptions", "ServerSettings", "create_app"]
