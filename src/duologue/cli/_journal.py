"""A file of lines that only grows, and that keeps each of them whatever ends the process.

A line is handed to the system as it is added, so the end of the process at any moment loses none that was added.
At worst the last one is torn, which is seen by its missing line break, and cut when the file is opened again: if
it is the beginning of such a line, for nothing is taken from a file that was named by mistake. At least every
`SYNC_S` seconds, and at the end, the lines are brought to the disk: no more is lost with the power.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Self

from ..protocol.errors import DuologueError

__all__ = ["MAX_LINE_BYTES", "SYNC_S", "Journal", "lines_of"]

SYNC_S = 1.0
MAX_LINE_BYTES = 256 * 1024 * 1024  # images travel in lines
_BLOCK = 64 * 1024
_BOM = b"\xef\xbb\xbf"  # some editors begin a file with it


def lines_of(file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, but for empty ones, with their numbers from 1. Raises `DuologueError` for a giant."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise DuologueError(f"{file.name}: line {number} is longer than {MAX_LINE_BYTES} bytes.")
        if number == 1:
            line = line.removeprefix(_BOM)
        if line := line.strip():
            yield number, line


class Journal:
    """Open for this process alone. Raises `OSError` where it cannot be, `DuologueError` where another
    process has it open, and for what is no regular file.

    `is_whole` tells of a last line without a line break whether nothing else is missing: else it is cut. It raises
    `DuologueError` for what is no such line at all.
    """

    def __init__(self, path: Path, is_whole: Callable[[bytes], bool]) -> None:
        self._path = path
        self._is_whole = is_whole
        self._file = _open(path)
        self._synced = time.monotonic()
        try:
            self._end_last_line()
        except BaseException:
            os.close(self._file)
            raise

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines and their numbers."""
        with self._path.open("rb") as file:
            yield from lines_of(file)

    def add(self, line: bytes) -> None:
        """Add a line, which must hold no line break."""
        rest = line + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise self._unwritable(error) from None
        if time.monotonic() - self._synced >= SYNC_S:
            self._sync()

    def keep(self, wanted: Callable[[int, bytes], bool]) -> None:
        """Remove the lines that are not `wanted`, all at once or not at all."""
        path = self._path.resolve()  # where a link leads, so that it stays a link
        beside = path.with_name(f".{path.name}.rewritten")
        beside.unlink(missing_ok=True)
        with Journal(beside, self._is_whole) as new:
            beside.chmod(stat.S_IMODE(os.fstat(self._file).st_mode))
            for number, line in self.lines():
                if wanted(number, line):
                    new.add(line)
        os.close(self._file)
        beside.replace(path)
        self._file = _open(path)

    def close(self) -> None:
        """Bring what was added to the disk, and close the file."""
        try:
            self._sync()
        finally:
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritable(error) from None
        self._synced = time.monotonic()

    def _unwritable(self, error: OSError) -> DuologueError:
        return DuologueError(f"Cannot write to {self._path}: {error.strerror}.")

    def _end_last_line(self) -> None:
        """See to what stands behind the last line break."""
        size = end = os.fstat(self._file).st_size
        while end > 0:
            start = max(0, end - _BLOCK)
            os.lseek(self._file, start, os.SEEK_SET)
            found = os.read(self._file, end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end == size:
            return
        if size - end > MAX_LINE_BYTES:
            raise DuologueError(f"{self._path}: the last line is longer than {MAX_LINE_BYTES} bytes.")
        os.lseek(self._file, end, os.SEEK_SET)
        if self._is_whole(self._read(size - end)):
            os.write(self._file, b"\n")
        else:
            os.ftruncate(self._file, end)

    def _read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size and (more := os.read(self._file, size - len(found))):
            found += more
        return bytes(found)


def _open(path: Path) -> int:
    if (
        path.exists() and not path.is_file()
    ):  # looked at before it is opened: opening a pipe can wait for ever
        raise DuologueError(f"{path} is no regular file. Results are read again later: name a file.")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    file = os.open(path, flags, 0o666)
    try:
        import fcntl
    except ImportError:  # Windows, where nobody looks whether another process is at it
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise DuologueError(f"{path} is being written by another process. Wait for its end.") from None
    return file
