"""`duologue serve`: an engine as an endpoint."""

from __future__ import annotations

from typing import cast

import click

from ..run import DEFAULT_HOST, DEFAULT_PORT
from ..run import serve as run_until_stopped
from ..server import PROFILES, Profile

__all__ = ["serve"]


@click.command(
    epilog="""\b
Examples:
  duologue serve                            the built-in model, offline
  duologue serve my_agent:answer            the function `answer` in my_agent.py
  duologue serve echo --port 0              repeats what it is told, on a free port
  duologue serve --host 0.0.0.0 --api-key "$KEY"
"""
)
@click.argument("target", required=False)
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="Port to listen on; 0 for a free one.")
@click.option(
    "--api-key",
    envvar="DUOLOGUE_API_KEY",
    show_envvar=True,
    help="The key that clients must send. Required on an address that others can reach.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="strict",
    show_default=True,
    help="strict: refuse what cannot be honoured. lenient: drop it and name it in a header. "
    "mock: lenient, for test suites, with the target echo only.",
)
def serve(target: str | None, host: str, port: int, api_key: str | None, profile: str) -> None:
    """Serve TARGET as a Chat Completions endpoint, until stopped.

    TARGET is nothing (the built-in model), `echo`, or `module:attribute`: an engine, or a function of the
    request that yields or returns text.
    """
    run_until_stopped(target, host=host, port=port, api_key=api_key, profile=cast("Profile", profile))
