"""Language models on this machine: the embedded model `pocket`, and any plain Llama in a GGUF file.

    engine = default_engine()
    engine = LocalEngine("model.Q8_0.gguf")

What they need comes with `pip install 'duologue[serve]'`, and is imported when one of the two is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...protocol.errors import DuologueError

if TYPE_CHECKING:
    from .engine import LocalEngine as LocalEngine

__all__ = ["LocalEngine", "default_engine"]


def default_engine() -> LocalEngine:
    """The engine of the embedded model, `pocket`. Raises `DuologueError` where it is not installed."""
    pocket = _import("duologue_pocket")
    engine: LocalEngine = _import(f"{__name__}.engine").LocalEngine(pocket.path(), model="pocket")
    return engine


def __getattr__(name: str) -> Any:
    if name == "LocalEngine":
        return _import(f"{__name__}.engine").LocalEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _import(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise DuologueError(
            f"Local models need the package {error.name!r}, which is not installed: "
            "pip install 'duologue[serve]'"
        ) from error
