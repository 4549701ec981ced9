"""How a model is loaded: what is asked for, and what its file and this machine have room for."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from ....protocol.errors import DuologueError
from ..architecture import FEATURES
from ..gguf import GGUF

__all__ = ["Settings", "settings_of"]

# The context where none is asked for, or the model's own where that is shorter.
DEFAULT_CONTEXT = 8192
MAX_CONTEXT = 2**24
# How many conversations there is room for at most, where their number is not asked for, and in how much memory.
DEFAULT_SLOTS = 16
CACHE_BYTES = 4 * 2**30
# The most layers, and threads, that llama.cpp has room for.
MAX_LAYERS = 512
MAX_THREADS = 512
# Keys and values are kept as F16.
VALUE_BYTES = 2


class Settings(NamedTuple):
    """How a model is loaded: `slots` sequences of at most `context` tokens each; None leaves it to llama.cpp."""

    context: int
    slots: int
    threads: int | None = None
    gpu_layers: int | None = None


def settings_of(
    file: GGUF, *, context: int | None, slots: int | None, threads: int | None, gpu_layers: int | None
) -> Settings:
    """The settings for a model.

    Raises `GGUFError` for a context that it was not made for, and for numbers that llama.cpp would abort at,
    and `DuologueError` for more threads than it has room for.
    """
    if threads is not None and threads > MAX_THREADS:
        raise DuologueError(f"llama.cpp computes with at most {MAX_THREADS} threads; give fewer --threads.")
    architecture = file.text("general.architecture")
    if f"{architecture}.context_length" not in file.metadata:
        raise file.error(
            f"holds a {architecture[:40]!r} model that does not say how long its context is, so it is not made for"
            " chat, or damaged; take another"
        )
    _check_numbers(file, architecture)
    longest = file.integer(f"{architecture}.context_length", 1, MAX_CONTEXT)
    if context is not None and context > longest:
        raise file.error(f"is made for a context of at most {longest} tokens; give a smaller --context")
    context = min(longest, DEFAULT_CONTEXT) if context is None else context
    if slots is None:
        room = CACHE_BYTES // (context * _bytes_of_a_token(file, architecture))
        slots = max(1, min(DEFAULT_SLOTS, room))
    if context * slots * _bytes_of_a_token(file, architecture) > _memory():
        # llama.cpp would not refuse it: it would try.
        raise file.error(
            f"has no room in this machine's memory for {slots} conversations of {context} tokens each; give a "
            "smaller --context, or fewer --slots"
        )
    return Settings(context, slots, threads, gpu_layers)


def _check_numbers(file: GGUF, architecture: str) -> None:
    """llama.cpp takes them as they are, and ends the process where it can make nothing of them."""
    for key, value in file.metadata.items():
        if not key.startswith(f"{architecture}."):
            continue
        if key.endswith("epsilon"):
            file.number(key)
        numbers = value if isinstance(value, list) else [value]
        if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
            raise file.error(f"cannot be used: {key[:80]} is not finite; convert the model again")
    file.integer(f"{architecture}.block_count", 1, MAX_LAYERS, 1)
    if architecture in FEATURES:
        most = len(file)
        width = file.integer(f"{architecture}.embedding_length", 1, most)
        heads = file.integer(f"{architecture}.attention.head_count", 1, width)
        head = file.integer(f"{architecture}.attention.key_length", 1, most, width // heads)
        file.integer(f"{architecture}.rope.dimension_count", head, head, head)


def _memory() -> float:
    """The memory of this machine in bytes, infinite where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf


def _bytes_of_a_token(file: GGUF, architecture: str) -> int:
    """About what the keys and values of one token take, over all layers."""

    def largest(key: str, default: int) -> int:
        value = file.metadata.get(f"{architecture}.{key}", default)
        numbers = value if isinstance(value, list) else [value]
        return max((number for number in numbers if isinstance(number, int)), default=default)

    layers = largest("block_count", 1)
    heads = max(1, largest("attention.head_count", 1))
    groups = largest("attention.head_count_kv", heads)
    width = largest("attention.key_length", largest("embedding_length", 1) // heads)
    return max(1, layers * groups * width * 2 * VALUE_BYTES)
