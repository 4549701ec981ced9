"""Model files on the Hugging Face Hub: `hf:owner/repo:file.gguf`.

A file is downloaded once, into the folder that all programs of this user share for that (`HF_HOME` says
where), and is found there from then on, offline, too.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from ...protocol.errors import DuologueError

__all__ = ["PREFIX", "download"]

PREFIX = "hf:"
EXAMPLE = "hf:owner/repository:folder/model.Q8_0.gguf"
SPEC = re.compile(
    r"hf:(?P<repository>[\w.-]{1,96}/[\w.-]{1,96}):(?P<file>[^:\\\x00-\x1f]{1,500}\.gguf)", re.ASCII
)
# A model in several files: their number, and how many there are.
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
MAX_PARTS = 999

# What is said of an error, by the name of its class; the more special ones stand first.
OFFLINE = (
    "The Hugging Face Hub does not answer, and {repository}:{file} has not been downloaded before: connect to the "
    "internet, or get the file elsewhere and give its path."
)
REMEDIES = (
    (
        "GatedRepoError",
        "{repository} is for those who accept its terms: do so at huggingface.co/{repository}, and set HF_TOKEN.",
    ),
    (
        "RepositoryNotFoundError",
        "The Hub has no {repository}, or it is private: check the name, or set HF_TOKEN.",
    ),
    (
        "RemoteEntryNotFoundError",
        "There is no {file} in huggingface.co/{repository}/tree/main; take one of those.",
    ),
    ("LocalEntryNotFoundError", OFFLINE),
    ("OfflineModeIsEnabled", OFFLINE),
    ("TransportError", OFFLINE),
    ("Exception", "Cannot download {repository}:{file}: {reason}. Try again; what has come is kept."),
)


def download(spec: str) -> Path:
    """The file that a spec names, downloaded where it is not there yet; progress is shown on standard error.

    Of a model in several files, all are fetched, and the first is returned. Raises `DuologueError` with what
    to do.
    """
    repository, file = _parse(spec)
    try:
        hub = import_module("huggingface_hub")
    except ImportError:
        raise DuologueError(
            f"Downloading {spec} needs one more package: pip install 'duologue[serve,gguf]'"
        ) from None
    first, *_ = [_fetch(hub, repository, part) for part in _parts(file)]
    return first


def _parse(spec: str) -> tuple[str, str]:
    """The repository, and the file in it."""
    match = SPEC.fullmatch(spec)
    if match is None or any(part in ("", ".", "..") for part in re.split("[/:]", spec)):
        raise DuologueError(f"{spec!r} does not name a model file on the Hub; write it as {EXAMPLE}.")
    return match["repository"], match["file"]


def _parts(file: str) -> list[str]:
    match = PART.search(file)
    if match is None:
        return [file]
    count = int(match[2])
    if not 1 <= count <= MAX_PARTS:
        raise DuologueError(f"{file} would be one of {count} parts; a model has 1 to {MAX_PARTS}.")
    stem = file[: match.start()]
    return [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def _fetch(hub: Any, repository: str, file: str) -> Path:
    cached = hub.try_to_load_from_cache(repository, file)
    if isinstance(cached, str):
        return Path(cached)
    try:
        # Asked first, because the download itself tries for half a minute where there is no network.
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, file))
        return Path(hub.hf_hub_download(repository, file))
    except Exception as error:  # whatever its libraries raise
        kinds = {kind.__name__ for kind in type(error).__mro__}
        remedy = next(text for kind, text in REMEDIES if kind in kinds)
        raise DuologueError(remedy.format(repository=repository, file=file, reason=_reason(error))) from error


def _reason(error: Exception) -> str:
    words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return str(words)[:200].rstrip(".")
