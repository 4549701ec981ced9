"""What things were measured on and with: nothing that tells whose machine it is."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from . import peers

__all__ = ["commit", "machine", "python", "versions"]

# Those that take part in the process of the bench, or under ours in a worker's.
PACKAGES = (
    "aiohttp",
    "httptools",
    "llguidance",
    "msgspec",
    "numpy",
    "openai",
    "orjson",
    "uvicorn",
    "uvloop",
    "xllamacpp",
)
# What changes figures when it changes.
MEASURED = ("bench", "models", "pyproject.toml", "src")


def machine() -> str:
    """The class of the machine."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def python() -> str:
    """The interpreter and its version."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def versions() -> dict[str, str]:
    """What each environment holds: ours, and each peer's as it is pinned."""
    own = [f"duologue {metadata.version('duologue')}"]
    for name in PACKAGES:
        try:
            own.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return {"duologue": ", ".join(own), **peers.versions()}


def commit() -> str:
    """The commit that is measured, and whether there are changes to it; nothing where there is no repository."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return f"{name} with changes" if _git("status", "--porcelain", "--", *MEASURED) else name
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*command: str) -> str:
    done = subprocess.run(("git", *command), cwd=peers.ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
