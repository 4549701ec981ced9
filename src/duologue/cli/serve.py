"""`duologue serve`: an engine as an endpoint."""

from __future__ import annotations

from typing import Any, cast

import click

from ..engines.local import BACKENDS
from ..run import DEFAULT_HOST, DEFAULT_PORT, load_target
from ..run import serve as run_until_stopped
from ..server import PROFILES, Profile

__all__ = ["serve"]

AT_LEAST_0, AT_LEAST_1 = click.IntRange(min=0), click.IntRange(min=1)


@click.command(
    epilog="""\b
Examples:
  duologue serve                            the built-in model, offline
  duologue serve model.gguf                 a model file of yours
  duologue serve hf:owner/repo:file.gguf    one from the Hugging Face Hub, downloaded once
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
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="What runs a model file; unless given, llama.cpp where it is installed, else numpy.",
)
@click.option("--context", type=AT_LEAST_1, help="llama.cpp: the most tokens of one conversation.")
@click.option("--slots", type=AT_LEAST_1, help="llama.cpp: how many answers are made at once.")
@click.option("--threads", type=AT_LEAST_1, help="llama.cpp: how many threads compute.")
@click.option("--gpu-layers", type=AT_LEAST_0, help="llama.cpp: how many layers are put on the GPU.")
def serve(
    target: str | None, host: str, port: int, api_key: str | None, profile: str, **settings: Any
) -> None:
    """Serve TARGET as a Chat Completions endpoint, until stopped.

    TARGET is nothing (the built-in model), `echo`, a model file (a path that ends with .gguf, or
    hf:owner/repository:file.gguf), or `module:attribute`: an engine, or a function of the request that yields
    or returns text.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    engine = load_target(target, **given)
    run_until_stopped(engine, host=host, port=port, api_key=api_key, profile=cast("Profile", profile))
