"""The tokens of a GGUF file: what bytes each stands for, and which are more than text."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence

from .gguf import GGUF

__all__ = [
    "BYTE",
    "CONTROL",
    "NORMAL",
    "USER_DEFINED",
    "Vocabulary",
    "any_of",
    "byte_letters",
    "spelled_bytes",
]

# Types of tokens, by their numbers in the file.
NORMAL, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6
# The most characters that all control and user-defined tokens may have together: they become one pattern.
MAX_SPECIAL = 2**18


class Vocabulary(ABC):
    """The tokens of a file, whose `bytes_of` tells the bytes of a token from its text and type.

    `pieces` are the bytes of each token, `special` the control and user-defined tokens by their text,
    `control` those of them that only stand for structure, `unused` those that stand for nothing.
    """

    def __init__(self, file: GGUF, bytes_of: Callable[[str, int], bytes]) -> None:
        tokens = self._texts = file.texts("tokenizer.ggml.tokens")
        kinds = file.metadata.get("tokenizer.ggml.token_type")
        if not isinstance(kinds, list) or len(kinds) != len(tokens):
            raise file.error("does not say the type of each token; convert the model again")
        self._kinds: list[int] = kinds
        self.special = {
            text: i for i, text in enumerate(tokens) if kinds[i] in (CONTROL, USER_DEFINED) and text
        }
        if sum(map(len, self.special)) > MAX_SPECIAL:
            raise file.error(f"has control tokens of more than {MAX_SPECIAL} characters; take another model")
        self.control = frozenset(i for i, kind in enumerate(kinds) if kind == CONTROL)
        self.unused = frozenset(
            i for i, kind in enumerate(kinds) if kind not in (NORMAL, CONTROL, USER_DEFINED, BYTE)
        )
        self.pieces = [bytes_of(text, kind) for text, kind in zip(tokens, kinds, strict=True)]
        self._special = re.compile(f"({any_of(self.special)})")

    def __len__(self) -> int:
        return len(self.pieces)

    @functools.cached_property
    def longest(self) -> int:
        """The most bytes a token stands for."""
        return max(map(len, self.pieces))

    @functools.cached_property
    def structure(self) -> dict[str, int]:
        """The control tokens by their text."""
        return {text: i for text, i in self.special.items() if i in self.control}

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text, in which nothing is a control token."""

    def encode_inside(self, text: str) -> list[int]:
        """The ids of a text that goes on behind another one: they stand for its bytes, and for no more."""
        return self.encode(text)

    def decode(self, ids: Sequence[int]) -> bytes:
        """The bytes of the ids."""
        return b"".join(self.pieces[i] for i in ids)

    def split(self, text: str) -> Iterator[str | int]:
        """A trusted text in order: the ids of the special tokens it spells, and the text between them."""
        for index, part in enumerate(self._special.split(text)):
            if index % 2:
                yield self.special[part]
            elif part:
                yield part

    def spelled(self, text: str) -> list[str]:
        """The special tokens that the text spells, in order."""
        return [match[0] for match in self._special.finditer(text)]


@functools.cache
def byte_letters() -> dict[str, int]:
    """GPT-2's alphabet: a printable letter for each byte, itself where it is printable."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return {chr(byte if byte in printable else next(others)): byte for byte in range(256)}


def spelled_bytes(text: str, kind: int) -> bytes:
    """The bytes of a token that is written in GPT-2's alphabet, as normal ones are."""
    letters = byte_letters()
    if kind == NORMAL and all(letter in letters for letter in text):
        return bytes(letters[letter] for letter in text)
    return text.encode("utf-8", "replace")


def any_of(texts: Iterable[str]) -> str:
    """A regular expression of any of the texts, the longest first; of nothing where there are none."""
    return "|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or r"(?!)"
