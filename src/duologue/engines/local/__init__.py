"""Language models on this machine: the embedded model `pocket`, and any chat model in a GGUF file.

    engine = default_engine()
    engine = open_model("model.Q4_K_M.gguf")
    engine = LocalEngine("model.Q8_0.gguf")                         # with numpy
    engine = LlamaCppEngine("model.Q4_K_M.gguf", context=4096)      # with llama.cpp

What they need comes with `pip install 'duologue[serve]'`, and for llama.cpp with `'duologue[serve,gguf]'`; it is
imported when one of them is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ...protocol.errors import DuologueError

if TYPE_CHECKING:
    from .engine import LocalEngine as LocalEngine
    from .llamacpp import LlamaCppEngine as LlamaCppEngine

__all__ = ["BACKENDS", "Backend", "LlamaCppEngine", "LocalEngine", "default_engine", "open_model"]

Backend = Literal["auto", "numpy", "llama.cpp"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

# What says how many threads numpy's sums take.
THREADS = "OPENBLAS_NUM_THREADS"
MODULES = {"LocalEngine": "engine", "LlamaCppEngine": "llamacpp"}


def default_engine() -> LocalEngine:
    """The engine of the embedded model, `pocket`. Raises `DuologueError` where it is not installed."""
    pocket = _import("duologue_pocket")
    engine: LocalEngine = _import(f"{__name__}.engine").LocalEngine(pocket.path(), model="pocket")
    return engine


def open_model(
    source: str | Path, *, backend: Backend = "auto", **settings: int
) -> LocalEngine | LlamaCppEngine:
    """The engine of a GGUF file, given by its path or as `hf:owner/repository:file.gguf`.

    `auto` takes llama.cpp where it is installed, else numpy. `settings` are those of `LlamaCppEngine`, which
    numpy has not. Raises `DuologueError` for a model that cannot be had or run, saying what to do.
    """
    if backend == "auto":
        backend = "llama.cpp" if find_spec("xllamacpp") else "numpy"
    if settings and backend == "numpy":
        names = ", ".join(settings)
        raise DuologueError(
            f"The backend numpy takes no {names}; use --backend llama.cpp (pip install 'duologue[serve,gguf]')."
        )
    if isinstance(source, str) and source.startswith("hf:"):
        source = _import(f"{__name__}.hub").download(source)
    if backend == "numpy":
        numpy_engine: LocalEngine = _import(f"{__name__}.engine").LocalEngine(source)
        return numpy_engine
    engine: LlamaCppEngine = _import(f"{__name__}.llamacpp").LlamaCppEngine(source, **settings)
    engine.load()
    return engine


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(_import(f"{__name__}.{MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _import(module: str) -> Any:
    try:
        with _one_thread():
            return import_module(module)
    except ModuleNotFoundError as error:
        raise DuologueError(
            f"Local models need the package {error.name!r}, which is not installed: "
            "pip install 'duologue[serve]'"
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Where numpy is imported here, and nobody has said how many threads it takes, it takes one.

    The threads of its sums wait for each other by spinning. On a machine that is busy, or in a container with
    a part of one, that made an answer take thirty times as long. It reads the variable once.
    """
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[THREADS]
