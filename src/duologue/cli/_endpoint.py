"""The client that a command talks through."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..client import Client

__all__ = ["endpoint"]


def endpoint(base_url: str | None) -> Client:
    """A client of `base_url`, or of the default engine in this process."""
    from ..client import Client

    if base_url:
        return Client(base_url=base_url)
    from ..run import load_target
    from ..server import create_app

    return Client(app=create_app(load_target(None)), api_key="in-process")
