"""Reading a GGUF file: metadata and tensors, as float32.

The file is not trusted. Every length and count is checked against what the file can hold before anything
of that size is made, so a damaged or hostile file ends in a `GGUFError` of one line and nothing else.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...protocol.errors import DuologueError

__all__ = ["GGUF", "LLAMA_CPP", "GGUFError", "TensorInfo"]

# What runs most models that this engine does not, as the remedy at the end of an error.
LLAMA_CPP = "llama.cpp may run it: pip install 'duologue[serve,gguf]'"

VERSIONS = (2, 3)
# The metadata may take this many bytes, and hold this many values, array items included.
MAX_METADATA_BYTES = 256 * 2**20
MAX_METADATA_VALUES = 4 * 2**20
MAX_ARRAY_DEPTH = 4
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 2**16

# Value types of the metadata: struct formats of the numbers, and the two kinds that have a length.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9

# Tensor types by their number in the file: the name, and how many values a block of how many bytes holds.
Q8_0_BLOCK = np.dtype([("scale", "<f2"), ("values", "i1", (32,))])
F32, F16, Q8_0, BF16 = 0, 1, 8, 30
READABLE = {
    F32: ("F32", 1, 4),
    F16: ("F16", 1, 2),
    BF16: ("BF16", 1, 2),
    Q8_0: ("Q8_0", 32, Q8_0_BLOCK.itemsize),
}
UNREADABLE = {
    2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K",
    14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S",
    22: "IQ2_S", 23: "IQ4_XS", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


class GGUFError(DuologueError):
    """A model file that cannot be used; the message is one line that names the file and the remedy."""


class TensorInfo(NamedTuple):
    """Where a tensor lies: its shape (outermost first), type number and place in the file, in bytes."""

    shape: tuple[int, ...]
    type: int
    offset: int
    size: int


class GGUF:
    """An open GGUF file: `metadata` by key, `tensors` by name.

    Raises `GGUFError` where the file cannot be read or is not a whole GGUF file.
    """

    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    raise self.error("is empty; download or copy it again")
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise self.error(f"cannot be opened: {error.strerror or error}") from error
        cursor = _Cursor(self)
        count = cursor.header()
        self.metadata = MappingProxyType(cursor.metadata())
        self.tensors = MappingProxyType(cursor.tensors(count))

    def __len__(self) -> int:
        return len(self._bytes)

    def close(self) -> None:
        """Give the file back; `metadata` and `tensors` stay, `load` no longer works."""
        self._bytes.close()

    def error(self, what: str) -> GGUFError:
        """The error that says `what` about this file."""
        return GGUFError(f"{self.path}: the model file {what}.")

    def unpack(self, form: str, at: int) -> tuple[Any, ...]:
        """Little-endian numbers at an offset."""
        return struct.unpack_from("<" + form, self._bytes, at)

    def slice(self, at: int, size: int) -> bytes:
        """A copy of the bytes there."""
        return self._bytes[at : at + size]

    # --- metadata, checked ---

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number of the metadata between `low` and `high`."""
        value = self.metadata.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise self._wrong(key, f"a whole number from {low} to {high}")

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number above 0 of the metadata."""
        value = self.metadata.get(key, default)
        if isinstance(value, (int, float)) and math.isfinite(value) and value > 0:
            return float(value)
        raise self._wrong(key, "a number above 0")

    def text(self, key: str, default: str | None = None) -> str:
        """A string of the metadata."""
        value = self.metadata.get(key, default)
        if isinstance(value, str):
            return value
        raise self._wrong(key, "text")

    def texts(self, key: str) -> list[str]:
        """A list of strings of the metadata."""
        value = self.metadata.get(key)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise self._wrong(key, "a list of texts")

    def _wrong(self, key: str, expected: str) -> GGUFError:
        found = f"is {self.metadata[key]!r:.60}" if key in self.metadata else "is missing"
        return self.error(f"cannot be used: {key} {found} and must be {expected}; convert the model again")

    # --- tensors ---

    def load(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A fresh float32 array of a tensor that must have this shape."""
        self.check(name, shape)
        info = self.tensors[name]
        return _decode(self.slice(info.offset, info.size), info.type).reshape(shape)

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise `GGUFError` unless the tensor is there, with this shape and a type that can be read."""
        info = self.tensors.get(name)
        if info is None:
            raise self.error(f"has no tensor {name}; convert the model again")
        if info.shape != shape:
            raise self.error(f"has a tensor {name} of shape {info.shape}, where {shape} is expected")
        if info.type not in READABLE:
            kind = UNREADABLE.get(info.type, f"type {info.type}")
            readable = ", ".join(name for name, _, _ in READABLE.values())
            raise self.error(
                f"stores {name} as {kind}, and the numpy backend reads {readable}; take the model's Q8_0 file, "
                f"or {LLAMA_CPP}"
            )


def _decode(raw: bytes, kind: int) -> NDArray[np.float32]:
    """The values of a tensor of a readable type."""
    if kind == BF16:  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    if kind != Q8_0:
        return np.frombuffer(raw, "<f4" if kind == F32 else "<f2").astype(np.float32)
    blocks = np.frombuffer(raw, Q8_0_BLOCK)
    values = blocks["values"].astype(np.float32)
    with np.errstate(invalid="ignore"):  # what is not finite is found in the logits
        values *= blocks["scale"].astype(np.float32)[:, None]
    return values


class _Cursor:
    """Reads the head of the file from its beginning on."""

    def __init__(self, file: GGUF) -> None:
        self._file = file
        self._at = 0
        self._values = 0
        self._end = min(len(file), MAX_METADATA_BYTES)

    def header(self) -> int:
        """Check magic and version; return the number of tensors and stand before the metadata."""
        if self._file.slice(0, 4) != b"GGUF":
            raise self._file.error("is not a GGUF file; convert the model to GGUF, or give the right path")
        self._at = 4
        version = self._number("I")
        if version not in VERSIONS:
            kind = "big-endian" if version % 2**16 == 0 else f"version {version}"
            raise self._file.error(f"is {kind} GGUF; convert the model to little-endian GGUF version 3")
        tensors = self._count(least=4)
        self._pairs = self._count(least=4)
        return tensors

    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self._pairs):
            key = self._string()
            found[key] = self._value(self._number("I"), MAX_ARRAY_DEPTH)
        return found

    def tensors(self, count: int) -> dict[str, TensorInfo]:
        alignment = self._file.integer("general.alignment", 1, MAX_ALIGNMENT, 32)
        described = [self._tensor() for _ in range(count)]
        base = -(-self._at // alignment) * alignment
        found = {name: info._replace(offset=base + info.offset) for name, info in described}
        room = len(self._file) - base
        # Tensors that overlap could ask for more memory than the file has bytes.
        if sum(info.size for info in found.values()) > room or any(
            info.offset + info.size > len(self._file) for info in found.values()
        ):
            raise self._short()
        return found

    def _tensor(self) -> tuple[str, TensorInfo]:
        name = self._string()
        dimensions = self._number("I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise self._damaged(f"tensor {name[:60]!r} has {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))[::-1]
        kind, offset = self._number("I"), self._number("Q")
        _, block, size = READABLE.get(kind, ("", 1, 0))
        values = math.prod(shape)
        if values == 0 or shape[-1] % block:
            raise self._damaged(f"tensor {name[:60]!r} has the shape {shape}")
        return name, TensorInfo(shape, kind, offset, values // block * size)

    def _value(self, kind: int, depth: int) -> Any:
        self._spend(1)
        if kind in NUMBERS:
            return self._number(NUMBERS[kind])
        if kind == STRING:
            return self._string()
        if kind == ARRAY and depth:
            return self._array(depth - 1)
        raise self._damaged(f"a value of type {kind} in the metadata")

    def _array(self, depth: int) -> list[Any]:
        kind = self._number("I")
        if kind not in NUMBERS:
            count = self._count(least=8)
            return [self._value(kind, depth) for _ in range(count)]
        size = struct.calcsize(NUMBERS[kind])
        count = self._count(least=size)
        self._spend(count)
        start = self._take(count * size)
        return list(self._file.unpack(f"{count}{NUMBERS[kind]}", start))

    def _string(self) -> str:
        size = self._count(least=1)
        start = self._take(size)
        return self._file.slice(start, size).decode("utf-8", "replace")

    def _count(self, least: int) -> int:
        """A number of things that take at least so many bytes each, all of which must be in the file."""
        count: int = self._number("Q")
        if count * least > self._end - self._at:
            raise self._short()
        return count

    def _number(self, form: str) -> Any:
        start = self._take(struct.calcsize(form))
        return self._file.unpack(form, start)[0]

    def _take(self, size: int) -> int:
        start = self._at
        if size > self._end - start:
            raise self._short()
        self._at += size
        return start

    def _spend(self, values: int) -> None:
        self._values += values
        if self._values > MAX_METADATA_VALUES:
            raise self._damaged(f"more than {MAX_METADATA_VALUES} values in the metadata")

    def _short(self) -> GGUFError:
        if self._end == MAX_METADATA_BYTES and len(self._file) > self._end:
            return self._damaged(f"more than {MAX_METADATA_BYTES >> 20} MiB of metadata, or a wrong length")
        return self._file.error(f"ends too early ({len(self._file)} bytes); download or copy it again")

    def _damaged(self, what: str) -> GGUFError:
        return self._file.error(f"is damaged: {what}; download or copy it again")
