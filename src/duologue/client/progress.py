"""A bar on the terminal for what takes long: how much is done, and how much of it has failed."""

from __future__ import annotations

import sys
from itertools import repeat
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from click._termui_impl import ProgressBar

__all__ = ["Progress"]


class Progress:
    """Shown on standard error while it is entered, where that is a terminal; else nothing is shown.

    `total` is how many there are, None where nobody knows; `done` how many of them are done already.
    """

    def __init__(self, total: int | None, *, done: int = 0, shown: bool = True) -> None:
        self._total = total
        self._done = done
        self._failed = 0
        self._bar: ProgressBar[None] | None = None
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()

    def step(self, *, failed: bool) -> None:
        """One more is done."""
        self._failed += failed
        if self._bar is not None:
            self._bar.update(1)

    def __enter__(self) -> Self:
        if self._shown:
            import click

            self._bar = click.progressbar(
                repeat(None) if self._total is None else None,
                length=self._total,
                label="requests",
                show_pos=True,
                item_show_func=lambda _: f"{self._failed} failed" if self._failed else None,
                file=sys.stderr,
            )
            self._bar.__enter__()
            if self._done:
                self._bar.update(self._done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
