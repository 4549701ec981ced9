"""A virtual environment with a pip that knows dependency groups.

Python's own `venv` and `ensurepip` make it. Where `ensurepip` is missing (Debian keeps it in `python3-venv`,
apart from `python3`), pip's wheel comes from the index that pip itself would use.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from os import PathLike
from pathlib import Path

from pip_wheel import fetch_pip_wheel

__all__ = ["main", "make_environment"]

# The first pip with `--group`.
MIN_PIP = (25, 1)

_INSTALL = ("install", "--quiet", "--disable-pip-version-check")
_CHECK_PYTHON = "import sys; sys.exit(sys.version_info < (3, 11))"
_PRINT_PIP = "import pip; print(pip.__version__)"


def main(arguments: list[str]) -> None:
    """`bootstrap.py FOLDER`: the environment in `FOLDER`; what is there already is kept."""
    if len(arguments) != 1:
        sys.exit("usage: bootstrap.py FOLDER")
    make_environment(Path(arguments[0]))


def make_environment(folder: Path) -> None:
    """Make, or complete, the environment in `folder`. Raises `SystemExit` with a line that says why not."""
    python = folder / "bin" / "python"
    if _output(python, "-c", _CHECK_PYTHON) is None:
        _make_without_pip(folder)
    if not _pip_version(python) and _output(python, "-m", "ensurepip", "--default-pip") is None:
        _install_fetched_pip(python)
    if _pip_version(python) < MIN_PIP:
        print("Updating pip", flush=True)
        _run(python, "-m", "pip", *_INSTALL, "--upgrade", f"pip>={MIN_PIP[0]}.{MIN_PIP[1]}")


def _make_without_pip(folder: Path) -> None:
    if folder.exists() and not (folder / "pyvenv.cfg").exists() and any(folder.iterdir()):
        sys.exit(
            f"{folder} is no virtual environment and is not empty; name another: make demo VENV=.venv-new"
        )
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Making the virtual environment {folder} with Python {version}", flush=True)
    _run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)


def _install_fetched_pip(python: Path) -> None:
    print("This Python has no ensurepip; fetching pip from the package index", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = fetch_pip_wheel(Path(scratch))
        _run(python, wheel / "pip", *_INSTALL, "--no-index", wheel)


def _pip_version(python: Path) -> tuple[int, ...]:
    """The first two numbers of pip's version, none where there is no pip."""
    version = _output(python, "-c", _PRINT_PIP) or ""
    return tuple(int(number) for number in version.split(".")[:2] if number.isdecimal())


def _output(*command: str | PathLike[str]) -> str | None:
    """What a command printed, None where it failed or does not exist."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def _run(*command: str | PathLike[str]) -> None:
    try:
        subprocess.run(command, check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"This command failed, see above: {' '.join(map(str, command))} (exit status {error.returncode})"
        )
