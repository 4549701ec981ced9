"""pip's own wheel, from the package index that pip is configured for, without pip.

It reads what pip reads: `PIP_INDEX_URL`, `PIP_EXTRA_INDEX_URL`, `PIP_FIND_LINKS`, `PIP_NO_INDEX`, `PIP_CERT`,
and the same options in pip's configuration files.
"""

from __future__ import annotations

import configparser
import hashlib
import operator
import os
import re
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPPasswordMgrWithPriorAuth,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
    url2pathname,
)

__all__ = ["PUBLIC_INDEX", "Settings", "fetch_pip_wheel", "read_settings"]

PUBLIC_INDEX = "https://pypi.org/simple"

TIMEOUT_S = 60
MAX_BYTES = 64 << 20

Version = tuple[int, ...]

# What `opener.open` raises for an address that does not answer, or is none.
_UNREACHABLE = (OSError, HTTPException, ValueError)

_THIS_PYTHON = (sys.version_info.major, sys.version_info.minor, sys.version_info.micro)

_WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl")
_CLAUSE = re.compile(r"\s*(>=|<=|!=|==|>|<)\s*(\d+(?:\.\d+)*)(?:\.\*)?\s*")
_COMPARE: dict[str, Callable[[Version, Version], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


class Settings(NamedTuple):
    """Where to look for pip. `indexes` are package indexes, `links` are pages or folders of wheels."""

    indexes: list[str]
    links: list[str]
    certificates: str | None


class Wheel(NamedTuple):
    """One wheel of pip that this Python may install. Sorts by version."""

    version: Version
    url: str


class Anchor(NamedTuple):
    """One link of a page, its address made absolute."""

    url: str
    attributes: Mapping[str, str]


def fetch_pip_wheel(folder: Path, settings: Settings | None = None) -> Path:
    """The newest pip for this Python, saved in `folder`. Raises `SystemExit` with a line that says why."""
    settings = settings or read_settings(os.environ)
    sources = [*(f"{index.rstrip('/')}/pip/" for index in settings.indexes), *settings.links]
    wheels: list[Wheel] = []
    failures: list[str] = []
    try:
        opener, sources = _opener(sources, settings.certificates)
        for source in sources:
            try:
                wheels.extend(_wheels(_anchors(opener, _as_url(source))))
            except _UNREACHABLE as error:
                failures.append(f"{source}: {error}")
        if not wheels:
            places = ", ".join(failures or sources) or "nothing, because pip's option no-index is set"
            sys.exit(f"No pip found. Looked at {places}")
        return _save(opener, max(wheels), folder)
    except _UNREACHABLE as error:
        sys.exit(f"Cannot fetch pip: {error}")


def read_settings(environ: Mapping[str, str]) -> Settings:
    """What pip is told by `environ` and by its configuration files."""
    values = _file_values(environ)
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            values[_option(name.removeprefix("PIP_"))] = value
    indexes = [values.get("index-url", PUBLIC_INDEX), *values.get("extra-index-url", "").split()]
    offline = values.get("no-index", "").lower() in {"1", "on", "t", "true", "y", "yes"}
    return Settings(
        indexes=[] if offline else indexes,
        links=values.get("find-links", "").split(),
        certificates=values.get("cert", environ.get("REQUESTS_CA_BUNDLE")),
    )


def _file_values(environ: Mapping[str, str]) -> dict[str, str]:
    """The options of pip's configuration files: a later file counts, and `[install]` before `[global]`."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return {}
    home = Path(environ.get("HOME") or Path("~").expanduser())
    shared = [Path(folder, "pip") for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    own = [home / ".pip", Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip")]
    files = [folder / "pip.conf" for folder in (*shared, Path("/etc"))]
    files += [Path(named)] if Path(named).is_file() else [folder / "pip.conf" for folder in own]
    parser = configparser.RawConfigParser()
    try:
        parser.read(files, encoding="utf-8")
    except configparser.Error as error:
        sys.exit(f"pip's configuration cannot be read: {error}")
    sections = [parser[name] for name in ("global", "install") if parser.has_section(name)]
    return {_option(name): value for section in sections for name, value in section.items()}


def _option(name: str) -> str:
    return name.lower().replace("_", "-")


def _opener(sources: list[str], certificates: str | None) -> tuple[OpenerDirector, list[str]]:
    """What opens URLs with the configured certificates and passwords; and the sources without passwords."""
    passwords = HTTPPasswordMgrWithPriorAuth()
    public: list[str] = []
    for source in sources:
        user, at, host = urlsplit(source).netloc.rpartition("@")
        if at:
            name, _, password = user.partition(":")
            passwords.add_password(None, host, unquote(name), unquote(password), is_authenticated=True)
        public.append(source.replace(user + at, "", 1))
    tls = HTTPSHandler(context=ssl.create_default_context(cafile=certificates))
    return build_opener(tls, HTTPBasicAuthHandler(passwords)), public


def _as_url(source: str) -> str:
    return source if "://" in source else Path(source).expanduser().resolve().as_uri()


def _anchors(opener: OpenerDirector, url: str) -> list[Anchor]:
    """The links of a page, or the files of a folder."""
    if url.startswith("file:"):
        path = Path(url2pathname(urlsplit(url).path))
        if path.is_dir() and not (path / "index.html").is_file():
            return [Anchor(file.as_uri(), {}) for file in path.iterdir()]
        if path.is_dir():
            url = (path / "index.html").as_uri()
    page, url = _read(opener, url)
    parser = _AnchorParser(url)
    parser.feed(page.decode("utf-8", "replace"))
    return parser.anchors


def _read(opener: OpenerDirector, url: str) -> tuple[bytes, str]:
    """The content at `url`, and where it was found in the end."""
    request = Request(
        url, headers={"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.9, */*;q=0.1"}
    )
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        content: bytes = answer.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise OSError(f"more than {MAX_BYTES} bytes")
        return content, answer.url


def _wheels(anchors: Iterable[Anchor]) -> Iterator[Wheel]:
    """The released wheels of pip among `anchors` that this Python may install."""
    for url, attributes in anchors:
        match = _WHEEL.fullmatch(unquote(urlsplit(url).path.rpartition("/")[2]))
        if match and "data-yanked" not in attributes and _allows(attributes.get("data-requires-python")):
            yield Wheel(_version(match[1]), url)


def _allows(requires_python: str | None) -> bool:
    """Whether this Python meets e.g. `>=3.9,!=3.10.*`; not where a clause cannot be read."""
    for clause in (requires_python or "").split(","):
        if not clause.strip():
            continue
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            return False
        wanted = _version(match[2])
        if not _COMPARE[match[1]](_THIS_PYTHON[: len(wanted)], wanted):
            return False
    return True


def _version(text: str) -> Version:
    return tuple(map(int, text.split(".")))


def _save(opener: OpenerDirector, wheel: Wheel, folder: Path) -> Path:
    """The wheel's file in `folder`, checked against the sha256 in its link where there is one."""
    url, fragment = urldefrag(wheel.url)
    content, _ = _read(opener, url)
    expected = re.search(r"sha256=([0-9a-f]{64})", fragment)
    if expected and hashlib.sha256(content).hexdigest() != expected[1]:
        raise OSError(f"{url} does not have the sha256 that the index gives")
    target = folder / f"pip-{'.'.join(map(str, wheel.version))}-py3-none-any.whl"
    target.write_bytes(content)
    return target


class _AnchorParser(HTMLParser):
    """Collects the links of a page."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.base = url
        self.anchors: list[Anchor] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        target = attributes.get("href")
        if target and tag == "base":
            self.base = urljoin(self.base, target)
        elif target and tag == "a":
            self.anchors.append(Anchor(urljoin(self.base, target), attributes))
