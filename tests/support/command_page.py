"""The page docs/reference/command-line.md: `PYTHONPATH=tests python -m support.command_page` writes it."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from duologue.cli import main

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "command-line.md"

HEAD = """\
# The command line

What `duologue COMMAND --help` says, on one page, which is made from it. `python -m duologue` is the same command.

What goes wrong is one line on standard error, and exit status 1; wrong usage is status 2, and Ctrl-C 130. A server
that Ctrl-C stops has done what it should: 0. An error in the module of a `module:attribute` is shown by its
traceback.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(name, main.commands[name]) for name in sorted(main.commands))])


def section(name: str, command: click.Command) -> str:
    """What there is to say of one command."""
    usage = " ".join(["duologue", name, *command.collect_usage_pieces(click.Context(command))])
    options = [row(each) for each in command.params if isinstance(each, click.Option)]
    examples = (command.epilog or "").replace("\b\n", "").strip()
    parts = [
        f"## duologue {name}",
        f"`{usage}`",
        inspect.cleandoc(command.help or ""),
        "\n".join(["| option | meaning |", "|---|---|", *options]),
        f"```text\n{examples}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def row(option: click.Option) -> str:
    """An option's line: its name, its text, and what holds without it."""
    told = option.help or ""
    if isinstance(option.type, click.Choice):
        told += f" One of {', '.join(f'`{choice}`' for choice in option.type.choices)}."
    if option.show_default:
        told += f" Default: `{option.default}`."
    if option.envvar:
        told += f" May be set as `{option.envvar}`."
    return f"| `{option.opts[0]}` | {told} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
