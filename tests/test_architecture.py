"""The house: imports only go down, and its lower floors do no input or output."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "duologue"
MODULES = sorted(ROOT.rglob("*.py"))

FLOORS = {
    "types": 1,
    "protocol": 2,
    "engine": 2,
    "_options": 2,
    "_threads": 2,
    "tools": 2,
    "client": 3,
    "server": 3,
    "engines": 4,
    "cli": 5,
    "run": 5,
    "testing": 5,
    "__main__": 5,
}
ANYWHERE = {"_lazy", "_version", ""}

# What only moves bytes, waits, or rolls dice.
IMPURE = (
    *("_random", "_socket", "_ssl", "aiohttp", "anyio", "asyncio", "click", "concurrent.futures"),
    *("duologue.client", "duologue.engines", "duologue.server", "http", "httptools", "httpx2"),
    *("multiprocessing", "random", "secrets", "select", "selectors", "signal", "socket", "ssl"),
    *("subprocess", "tempfile", "threading", "urllib.request", "uvicorn", "uvloop"),
)


def name_of(path: Path) -> str:
    """The dotted name of a module, without `duologue.`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """The modules of the package that a module names in its imports, wherever they stand, without `duologue.`."""
    package = ["duologue", *path.relative_to(ROOT).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, node.module] if node.module else base)
            # `from . import x` may name modules.
            found |= {f"{whole}.{alias.name}" for alias in node.names} if not node.module else {whole}
    return {name.removeprefix("duologue.") for name in found if name.startswith("duologue.")}


def room(name: str) -> str:
    return name.partition(".")[0]


def test_every_room_has_a_floor():
    """A new one is to be given one here."""
    rooms = {room(name_of(path)) for path in MODULES}
    assert rooms - ANYWHERE == FLOORS.keys() & rooms
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_go_down(path):
    """Never up, and never from one room to another on the same floor but those that share it."""
    here = room(name_of(path))
    if here in ANYWHERE:
        assert name_of(path) == "" or not imports_of(path) - ANYWHERE
        return
    for name in imports_of(path):
        there = room(name)
        if there in ANYWHERE or there == here:
            continue
        assert FLOORS[there] <= FLOORS[here], f"{name_of(path)} imports {name}, which is above it"
        assert {here, there} != {"client", "server"}, f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_and_what_it_offers(path):
    """A docstring, postponed annotations, and `__all__`; wildcards only pass types on."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    if not tree.body or path.name == "_version.py":
        return
    assert ast.get_docstring(tree), "no docstring"
    if len(tree.body) == 1 or path.name == "__main__.py":
        return
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert any(node.module == "__future__" for node in froms), "no postponed annotations"
    assert "__all__" in source or "lazy(" in source, "no __all__"
    wild = any(alias.name == "*" for node in froms for alias in node.names)
    assert not wild or room(name_of(path)) == "types", "a wildcard import"


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if path.name != "__main__.py" and "__all__" in path.read_text(encoding="utf-8")
    ],
    ids=name_of,
)
def test_what_a_module_offers_is_there(path):
    """Each name of `__all__`."""
    module = importlib.import_module(f"duologue.{name_of(path)}".rstrip("."))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert len(set(module.__all__)) == len(module.__all__)


def test_types_and_protocol_do_no_input_or_output():
    """Nor does anything they import: no event loop, no sockets, no threads, no randomness."""
    pure = [f"duologue.{name_of(path)}" for path in MODULES if room(name_of(path)) in ("types", "protocol")]
    assert len(pure) > 20
    # msgspec is theirs to use, so what it brings along is no fault of theirs.
    code = (
        "import sys, json, importlib, functools, typing, inspect, dataclasses, msgspec, msgspec.inspect\n"
        "before = set(sys.modules)\n"
        f"for name in {pure!r}: importlib.import_module(name)\n"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    brought = set(result.stdout.split())
    assert brought >= set(pure)
    assert (
        sorted(name for name in brought if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE))
        == []
    )


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room(name_of(p)) in ("types", "protocol")], ids=name_of
)
def test_types_and_protocol_ask_no_clock(path):
    """Time and random numbers are handed to them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named.isdisjoint({"time", "datetime", "random", "secrets", "uuid", "os", "io", "pathlib", *IMPURE})


def test_naming_the_package_brings_in_nothing_heavy():
    """Clients, servers and engines come when they are asked for."""
    code = "import sys, duologue; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert set(result.stdout.split()).isdisjoint(
        {"asyncio", "aiohttp", "numpy", "uvicorn", "msgspec", "click"}
    )
