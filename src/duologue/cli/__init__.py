"""The command line: `duologue chat`, `duologue serve`, `duologue models`, `duologue batch`.

Commands parse and call; what they call lives elsewhere.
"""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper
from typing import Any

import click

from .._version import __version__
from ..protocol.errors import DuologueError
from ._terminal import INTERRUPTED, printable
from .batch import batch
from .chat import chat
from .models import models
from .serve import serve

__all__ = ["main"]


class _Group(click.Group):
    """Shows this package's errors, a full disk and Ctrl-C as one line, and anything else as the bug it is."""

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, TextIOWrapper):  # a name or an answer may have what a terminal cannot show
            sys.stdout.reconfigure(errors="replace")
        try:
            return super().invoke(ctx)
        except DuologueError as error:
            raise click.ClickException(printable(str(error))) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise click.ClickException("There is no space left for the output.") from None
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="duologue")
def main() -> None:
    """Chat Completions, both ends of the wire.

    \b
    Talk to the built-in model:      duologue chat "Hello"
    Serve it to other programs:      duologue serve
    Serve a function of yours:       duologue serve my_agent:answer
    Talk to any endpoint:            duologue chat --base-url http://127.0.0.1:8000/v1
    Ask for a file of requests:      duologue batch in.jsonl out.jsonl
    """


main.add_command(chat)
main.add_command(serve)
main.add_command(models)
main.add_command(batch)
