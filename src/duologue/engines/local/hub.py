"""Model files on the Hugging Face Hub: `hf:owner/repo:file.gguf`.

A file is downloaded once, into the folder that all programs of this user share for that (`HF_HOME` says
where), and is found there from then on, offline, too.
"""

from __future__ import annotations

import errno
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
# The most files of a repository that an error names.
MAX_LISTED = 12

# What is said of an error, by what is known of it: its classes, the status of the Hub's answer, the system's name
# for it. The more special ones stand first.
OFFLINE = (
    "{repository}:{file} has not been downloaded before: {remedy}, or give the path of a file that is there."
)
REMEDIES = (
    (
        "GatedRepoError",
        "{repository} is for those who accept its terms: do so at {hub}/{repository}, and set HF_TOKEN.",
    ),
    ("DisabledRepoError", "The Hub has closed {repository}; take another repository."),
    (
        "RepositoryNotFoundError",
        "The Hub has no {repository}, or it is private: check the name, or set HF_TOKEN to one that may read it.",
    ),
    ("RemoteEntryNotFoundError", "{repository} has no {file}; {others}."),
    ("401", "The Hub does not take the token that it got: set HF_TOKEN to one from {hub}/settings/tokens."),
    ("403", "The token may not read {repository}: give it the right to, at {hub}/settings/tokens."),
    ("429", "The Hub takes no more requests from here for now: wait some minutes, or set HF_TOKEN."),
    ("500 502 503 504", "The Hub is out of order (status {status}): try again later."),
    ("OfflineModeIsEnabled", "HF_HUB_OFFLINE is set, and " + OFFLINE.replace("{remedy}", "unset it")),
    (
        "Interrupted",
        "The connection to {hub} broke off while {file} was downloaded: try again on a better one.",
    ),
    (
        "LocalEntryNotFoundError TransportError",
        "{hub} does not answer, and " + OFFLINE.replace("{remedy}", "connect to the internet"),
    ),
    (
        "ENOSPC EDQUOT EFBIG",
        "There is no room for {file} in {folder}: make some, or set HF_HOME to a folder elsewhere.",
    ),
    (
        "EACCES EPERM EROFS ENOENT ENOTDIR",
        "{folder} cannot be written to ({reason}): set HF_HOME to a folder that can.",
    ),
    ("Exception", "Cannot download {repository}:{file}: {reason}. Try again."),
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
    # Asked first, because the download itself tries for half a minute where there is no network.
    with _explained(hub, repository, file):
        size = hub.get_hf_file_metadata(hub.hf_hub_url(repository, file)).size
    with _explained(hub, repository, file, begun=True):
        _check_room(Path(hub.constants.HF_HUB_CACHE), size or 0)
        return Path(hub.hf_hub_download(repository, file))


def _check_room(folder: Path, size: int) -> None:
    """Raise where the disk has less room; the library would warn, and try."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if shutil.disk_usage(there).free < size:
        raise OSError(errno.ENOSPC, "no room")


@contextmanager
def _explained(hub: Any, repository: str, file: str, *, begun: bool = False) -> Iterator[None]:
    """Where any error becomes one line that says what to do; `begun` once the Hub has answered."""
    # The library says each attempt to go on, and each thing that is missing, in lines of its own.
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:  # whatever its libraries raise
        known = _known(error)
        if begun and "TransportError" in known:
            known.add("Interrupted")
        remedy = next(text for words, text in REMEDIES if known.intersection(words.split()))
        facts = {
            "repository": repository,
            "file": file,
            "hub": hub.constants.ENDPOINT,
            "folder": hub.constants.HF_HUB_CACHE,
            "status": _status(error),
            "reason": _reason(error),
            "others": _others(hub, repository) if "{others}" in remedy else "",
        }
        raise DuologueError(remedy.format(**facts)) from error
    finally:
        logger.setLevel(level)


def _known(error: Exception) -> set[str]:
    """What is known of an error, in the words of the table."""
    system = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    return {*(kind.__name__ for kind in type(error).__mro__), str(_status(error)), system}


def _status(error: Exception) -> Any:
    return getattr(getattr(error, "response", None), "status_code", None)


def _others(hub: Any, repository: str) -> str:
    """What GGUF files a repository has, in words."""
    try:
        files = [name for name in hub.list_repo_files(repository) if name.isprintable()]
    except Exception:  # there is an error to tell already
        return f"look for its name at {hub.constants.ENDPOINT}/{repository}/tree/main"
    wanted = [name for name in files if name.endswith(".gguf") and _parts(name)[0] == name]
    if not wanted:
        return "nor any other GGUF file: take a repository that has some"
    more = f", and {len(wanted) - MAX_LISTED} more" if len(wanted) > MAX_LISTED else ""
    return f"it has {', '.join(wanted[:MAX_LISTED])}{more}"


def _reason(error: Exception) -> str:
    words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return str(words)[:200].rstrip(".")
