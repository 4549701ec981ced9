"""Vocabularies that only llama.cpp knows how to encode with: SentencePiece, and families that are not ours."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from itertools import zip_longest

from ..gguf import GGUF
from ..vocabulary import BYTE, NORMAL, Vocabulary, any_of, spelled_bytes

__all__ = ["BoundVocabulary"]

# What SentencePiece has for a space, and how a token for a single byte is named.
SPACE = "\u2581"
# A character that is merged with no other, and the most tokens that it takes with the space in front of it.
EDGE, MAX_EDGE = "\x01", 3
BYTE_NAME = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Texts up to this many characters are remembered, so many of them: what templates write comes again and again.
MEMO_LENGTH = 256
MEMO_TEXTS = 1024


class BoundVocabulary(Vocabulary):
    """The vocabulary of a GGUF file, encoded with by `tokenize`: ids from a text without control tokens.

    Raises `GGUFError` for a kind of vocabulary whose tokens are not pieces of text.
    """

    def __init__(self, file: GGUF, tokenize: Callable[[str], list[int]]) -> None:
        kind = file.text("tokenizer.ggml.model")
        if kind not in BYTES_OF:
            raise file.error(
                f"has a {kind[:40]!r} tokenizer, which has no place in a chat; take another model"
            )
        super().__init__(file, BYTES_OF[kind])
        self._tokenize = tokenize
        # Not the runs of white space that some have, too: in texts, models are used to them.
        tags = (text for text, token in self.special.items() if token not in self.control and text.strip())
        self._tags = re.compile(any_of(tags))
        self._remembered = functools.lru_cache(MEMO_TEXTS)(lambda text: tuple(tokenize(text)))

    def encode(self, text: str) -> list[int]:
        """The ids of a text, in which nothing is a control token."""
        parts = self._harmless(text)
        first = [token for part in parts[:1] for token in self._encode(part)]
        return first + [token for part in parts[1:] for token in self._encode_inside(part)]

    def encode_inside(self, text: str) -> list[int]:
        """The ids of a text that goes on behind another one: they stand for its bytes, and for no more."""
        return [token for part in self._harmless(text) for token in self._encode_inside(part)]

    def _encode(self, part: str) -> Sequence[int]:
        return self._remembered(part) if len(part) <= MEMO_LENGTH else self._tokenize(part)

    def _encode_inside(self, part: str) -> Sequence[int]:
        """As `_encode`, without the space that SentencePiece puts in front of a text."""
        spelled = part.encode("utf-8", "replace")
        plain = self._encode(part)
        if self.decode(plain) == spelled:
            return plain
        behind_edge = self._encode(EDGE + part)
        cuts = (behind_edge[start:] for start in range(1, MAX_EDGE + 1))
        return next((ids for ids in cuts if self.decode(ids) == spelled), plain)

    def _harmless(self, text: str) -> list[str]:
        """The text in parts that spell no tag: llama.cpp finds user-defined tokens in any text."""
        starts = [0]
        while found := self._tags.search(text, starts[-1]):
            starts.append(found.start() + 1)
        return [text[start:end] for start, end in zip_longest(starts, starts[1:]) if text]


def _sentence_piece(text: str, kind: int) -> bytes:
    named = BYTE_NAME.fullmatch(text) if kind == BYTE else None
    if named:
        return bytes([int(named[1], 16)])
    return (text.replace(SPACE, " ") if kind == NORMAL else text).encode("utf-8", "replace")


# The bytes of a token, by the kind of vocabulary.
BYTES_OF: dict[str, Callable[[str, int], bytes]] = {
    "gpt2": spelled_bytes,
    "llama": _sentence_piece,
    "t5": _sentence_piece,
    "gemma4": _sentence_piece,
}
