"""`duologue serve`: engines as an endpoint."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..engines.local import BACKENDS
from ..protocol.errors import DuologueError
from ..run import DEFAULT_HOST, DEFAULT_PORT, load_targets, own_traceback, serve_reloading
from ..run import serve as run_until_stopped
from ..server import PROFILES

__all__ = ["serve"]

AT_LEAST_0, AT_LEAST_1 = click.IntRange(min=0), click.IntRange(min=1)


def _key(_context: click.Context, _option: click.Parameter, key: str | None) -> str | None:
    if key is not None and (not key or key != key.strip()):
        raise click.BadParameter(
            "it is empty or has white space around it. Leave it out for a server without a key."
        )
    return key


@click.command(
    short_help="Serve models and functions as an endpoint.",
    epilog="""\b
Examples:
  duologue serve                            the built-in model, offline
  duologue serve model.gguf                 a model file of yours
  duologue serve hf:owner/repo:file.gguf    one from the Hugging Face Hub, downloaded once
  duologue serve my_agent:answer            the function `answer` in my_agent.py
  duologue serve my_agent:answer --reload   the same, again after each change of the code
  duologue serve small=model.gguf agent=my_agent:answer
                                            several models on one endpoint
  duologue serve echo --port 0              repeats what it is told, on a free port
  duologue serve --host 0.0.0.0 --api-key "$KEY"
""",
)
@click.argument("targets", metavar="[[NAME=]TARGET]...", nargs=-1)
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@click.option(
    "--api-key",
    envvar="DUOLOGUE_API_KEY",
    show_envvar=True,
    callback=_key,
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
    "--reload",
    is_flag=True,
    help="For module:attribute: start again when a Python file below this folder changes. Requests wait "
    "meanwhile; answers under way have 10 s to finish, and a client sees when its answer was cut.",
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
    targets: tuple[str, ...],
    host: str,
    port: int,
    api_key: str | None,
    profile: Any,
    reload: bool,
    **settings: Any,
) -> None:
    """Serve each TARGET as a model of one Chat Completions endpoint, until stopped.

    A TARGET is `echo`, a model file (a path that ends with .gguf, or hf:owner/repository:file.gguf), or
    `module:attribute`: an engine, or a function of the request that yields or returns text. Without one, the
    built-in model is served. NAME is the model that clients ask for; a target has a name of its own, too.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    where: dict[str, Any] = {"host": host, "port": port, "api_key": api_key, "profile": profile}
    if reload:
        serve_reloading(targets, given, **where)
    else:
        run_until_stopped(_loaded(targets, given), **where)


def _loaded(targets: tuple[str, ...], settings: dict[str, Any]) -> Any:
    """The engines of `targets`. What is wrong in a module of the user's is shown without this program's part."""
    try:
        return load_targets(targets, **settings)
    except DuologueError:
        raise
    except Exception as error:
        click.echo(own_traceback(error), err=True)
        sys.exit(1)
