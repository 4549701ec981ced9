"""What people install: the sdist and the wheel built from it, in environments that have nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

import duologue

ROOT = Path(__file__).resolve().parents[2]

# They install from the package index.
pytestmark = pytest.mark.timeout(400)

# The Python that this one's environment was made with.
BASE_PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"

# What a program sees of its environment: no trace of this one.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=CLEAN)


def succeed(*command: str | Path, cwd: Path) -> str:
    answer = run(*command, cwd=cwd)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


class Environment:
    """An empty virtual environment."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.duologue = folder / "bin" / "duologue"

    def install(self, *requirements: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python)
        succeed(*pip, "install", "--quiet", "--disable-pip-version-check", *requirements, cwd=self.folder)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> Path:
    """A folder with the sdist of this tree and the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("distributions")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions) -> Path:
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def sdist(distributions) -> Path:
    (sdist,) = distributions.glob("*.tar.gz")
    return sdist


def files(folder: Path) -> set[str]:
    """The paths of the files in a folder of the project, from its root, without what tools leave there."""
    paths = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        path.as_posix() for path in paths if not any(part.startswith((".", "__py")) for part in path.parts)
    }


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """Every file of the package with `py.typed`, the metadata, and no test, script or model."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name for name in names if ".dist-info/" not in name}
    assert package == {name.removeprefix("src/") for name in files(ROOT / "src")}
    assert "duologue/py.typed" in package


def test_the_sdist_builds_and_tests_itself(sdist):
    """The sdist holds the tests and all that `make test` needs."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
    assert needed | files(ROOT / "src") | files(ROOT / "tests") | files(ROOT / "scripts") <= names
    assert "models/pocket/pyproject.toml" in names
    assert not [name for name in names if "__pycache__" in name]


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_the_metadata(wheel):
    """Name, version, Python, licence and the extras are what an index shows and an installer obeys."""
    found = metadata(wheel)
    assert (found["Name"], found["Version"]) == ("duologue", duologue.__version__)
    assert found["Requires-Python"] == ">=3.11"
    assert found["License-Expression"] == "Apache-2.0"
    assert sorted(found.get_all("Provides-Extra")) == ["gguf", "otel", "serve", "tokenizer"]
    assert "Chat Completions" in found["Summary"]
    assert found.get_payload()


def test_the_wheel_installed(wheel, tmp_path):
    """The base install runs and says what serving needs; with the extra it serves the built-in model."""
    environment = Environment(tmp_path / "env")
    environment.install(wheel)
    assert succeed(environment.duologue, "--version", cwd=tmp_path).split()[-1] == duologue.__version__
    imported = succeed(environment.python, "-c", "import duologue; print(duologue.__file__)", cwd=tmp_path)
    assert imported.startswith(str(environment.folder))

    for command in (["serve", "--port", "0"], ["serve", "echo", "--port", "0"], ["chat", "Hello"]):
        refused = run(environment.duologue, *command, cwd=tmp_path)
        assert refused.returncode != 0
        assert refused.stdout == ""
        assert "pip install 'duologue[serve]'" in refused.stderr
        assert refused.stderr.count("\n") == 1

    environment.install(ROOT / "models" / "pocket", f"{wheel}[serve]")
    answer = succeed(environment.python, ROOT / "scripts" / "demo.py", cwd=tmp_path)
    assert "chunks per second" in answer
    assert "The server is stopped." in answer


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_the_sdist_unpacked(sdist, tmp_path):
    """On a fresh machine, even without `ensurepip`, `make demo` is all it takes: an empty home, no environment."""
    succeed("tar", "-xzf", sdist, cwd=tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / "ensurepip.py").write_text("raise ImportError('No module named ensurepip')\n")
    kept = {
        name: value for name, value in CLEAN.items() if name.startswith(("PIP_", "SSL_")) or name == "PATH"
    }
    fresh = {**kept, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path / "missing")}
    answer = subprocess.run(
        ["make", "demo", f"PYTHON={BASE_PYTHON}"],
        capture_output=True,
        text=True,
        cwd=tmp_path / sdist.name.removesuffix(".tar.gz"),
        env=fresh,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "fetching pip" in answer.stdout
    assert answer.stdout.endswith("chunks per second\nThe server is stopped.\n")


def test_the_sdist_installed(sdist, tmp_path):
    """An installer that has only the sdist builds and installs it."""
    environment = Environment(tmp_path / "env")
    environment.install(sdist)
    assert succeed(environment.duologue, "--version", cwd=tmp_path).split()[-1] == duologue.__version__
    succeed(environment.python, "-c", "from duologue import AsyncClient, Client", cwd=tmp_path)
