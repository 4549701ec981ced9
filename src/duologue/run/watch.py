"""The process that watches the files for `--reload`."""

from __future__ import annotations

from pathlib import Path

from uvicorn.supervisors.basereload import BaseReload
from uvicorn.supervisors.statreload import StatReload

__all__ = ["Watch"]


class Watch(StatReload):
    """uvicorn's own, but for when the files are noted: before they are loaded, so that no change is missed."""

    def startup(self) -> None:
        """Start the process for the first time."""
        self.mtimes = self._noted()
        super().startup()

    def restart(self) -> None:
        """End the process, which finishes its answers, and start another one."""
        self.mtimes = self._noted()
        BaseReload.restart(self)

    def _noted(self) -> dict[Path, float]:
        found = {}
        for file in self.iter_py_files():
            try:
                found[file] = file.stat().st_mtime
            except OSError:  # it is gone again
                continue
        return found
