"""Making the virtual environment, with the Pythons people have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap.py"


def bootstrap(*arguments: str | Path, python: str = sys.executable, **environ: str):
    return subprocess.run(
        [python, BOOTSTRAP, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=100,
    )


def pip_of(folder: Path) -> str:
    return subprocess.run(
        [folder / "bin/python", "-m", "pip", "--version"], capture_output=True, text=True, check=True
    ).stdout


def old_pythons() -> Iterator[str]:
    """The Pythons of this machine that are too old: on the PATH, and those of pyenv."""
    for version in ("2.7", *(f"3.{minor}" for minor in range(6, 11))):
        installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
        for python in filter(None, [shutil.which(f"python{version}"), *map(str, installed)]):
            if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
                yield python


def test_an_old_python_says_so_in_one_line(tmp_path):
    """Python 3.10 stops before it does anything, and names its version and the remedy."""
    pretend = f"import runpy, sys; sys.version_info = (3, 10, 13); runpy.run_path({str(BOOTSTRAP)!r})"
    answer = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == (
        f"Duologue needs Python 3.11 or newer; {sys.executable} is 3.10.13."
        " Install one, or name it: make demo PYTHON=python3.12\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_real_old_pythons_can_read_the_script(tmp_path):
    """None of them fails at the syntax: each says the line."""
    pythons = list(old_pythons())
    if not pythons:
        pytest.skip("no Python before 3.11 is installed here")
    for python in pythons:
        answer = bootstrap(tmp_path / "env", python=python)
        assert answer.returncode == 1
        assert answer.stderr.startswith("Duologue needs Python 3.11 or newer; ")
        assert answer.stderr.count("\n") == 1


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    """A folder that is no virtual environment is not emptied."""
    (tmp_path / "thesis.txt").write_text("chapter 1")
    answer = bootstrap(tmp_path)
    assert answer.returncode == 1
    assert "VENV=" in answer.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_without_ensurepip(tmp_path):
    """A Python without `ensurepip` gets its pip from the configured index; a second run changes nothing."""
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "ensurepip.py").write_text("raise ImportError('No module named ensurepip')\n")
    folder = tmp_path / "env"
    first = bootstrap(folder, PYTHONPATH=str(missing))
    assert first.returncode == 0, first.stderr
    assert "no ensurepip" in first.stdout
    assert str(folder) in pip_of(folder)
    second = bootstrap(folder, PYTHONPATH=str(missing))
    assert (second.returncode, second.stdout) == (0, "")
