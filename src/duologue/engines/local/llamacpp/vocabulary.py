"""Vocabularies that only llama.cpp knows how to encode with: SentencePiece, and families that are not ours."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from ..gguf import GGUF
from ..vocabulary import BYTE, NORMAL, Vocabulary, any_of, spelled_bytes

__all__ = ["BoundVocabulary"]

# What SentencePiece has for a space, and how a token for a single byte is named.
SPACE = "\u2581"
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
        ids: list[int] = []
        for part in self._harmless(text):
            ids += self._remembered(part) if len(part) <= MEMO_LENGTH else self._tokenize(part)
        return ids

    def _harmless(self, text: str) -> Iterator[str]:
        """The text in parts that spell no tag: llama.cpp finds user-defined tokens in any text."""
        start = 0
        while found := self._tags.search(text, start):
            yield text[start : found.start() + 1]
            start = found.start() + 1
        if start < len(text):
            yield text[start:]


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
