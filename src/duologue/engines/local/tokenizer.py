"""Byte-level BPE, as the models of the GPT-2 family use it: text to token ids, and ids to bytes.

Text is cut into words by a pattern, a word into bytes, and neighbouring pieces are merged by rank. Nothing
in a plain text ever becomes a control token; those are found by `special`, in the template's own text only.
"""

from __future__ import annotations

import functools
import heapq
import re
from collections.abc import Mapping
from typing import NamedTuple

from .gguf import GGUF, LLAMA_CPP
from .vocabulary import NORMAL, Vocabulary, byte_letters, spelled_bytes

__all__ = ["Tokenizer"]

# Words up to this many characters are remembered, so many of them.
MEMO_LENGTH = 32
MEMO_WORDS = 8192


class Family(NamedTuple):
    """How the tokenizers of a family cut a text into words; `whole` if a word that is a token is never merged.

    The pattern is in the regular expressions of other libraries' spelling: \\p{L} a letter, \\p{N} a number,
    \\s white space. `_pattern` writes it in Python's.
    """

    pattern: str
    whole: bool = False


CONTRACTIONS = r"'s|'t|'re|'ve|'m|'ll|'d"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = rf"(?i:{CONTRACTIONS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
GPT2 = Family(rf"{CONTRACTIONS}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+")
# GPT-2's, after each number has been set apart; so white space before a number is like that before the end.
DIGITS = Family(rf"\p{{N}}|{CONTRACTIONS}| ?\p{{L}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?![^\s\p{{N}}])|\s+")
QWEN2 = Family(rf"{WORDS}|\p{{N}}|{REST}")
LLAMA3 = Family(rf"{WORDS}|\p{{N}}{{1,3}}|{REST}", whole=True)
# By the names that files have for them.
FAMILIES: Mapping[str, Family] = {
    **dict.fromkeys(("gpt-2", "phi-2", "olmo", "mpt", "jais"), GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), DIGITS),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan"), QWEN2),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"), LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe", "chatglm-bpe"), LLAMA3._replace(whole=False)),
}


class Tokenizer(Vocabulary):
    """The vocabulary of a GGUF file, and how it writes a text.

    Raises `GGUFError` where the file's vocabulary is not byte-level BPE of a known family, or is broken.
    """

    def __init__(self, file: GGUF) -> None:
        if not self.knows(file):
            model, family = file.text("tokenizer.ggml.model"), file.text("tokenizer.ggml.pre", "")
            of = f" of the family {family[:40]!r}" if model == "gpt2" else ""
            raise file.error(
                f"has a {model[:40]!r} tokenizer{of}, which the numpy backend does not know; {LLAMA_CPP}"
            )
        super().__init__(file, spelled_bytes)
        cutting = FAMILIES[file.text("tokenizer.ggml.pre", "")]
        plain = {text: i for i, text in enumerate(self._texts) if self._kinds[i] == NORMAL}
        letters = byte_letters()
        missing = [letter for letter in letters if letter not in plain]
        if missing:
            raise file.error(f"lacks {len(missing)} of the 256 byte tokens; convert the model again")
        self._bytes = {byte: plain[letter] for letter, byte in letters.items()}
        self._merges = _merges(file, plain)
        self._words = _pattern(cutting.pattern)
        self._whole = {self.pieces[i]: i for i in plain.values()} if cutting.whole else {}
        self._remembered = functools.lru_cache(MEMO_WORDS)(self._merge)

    @staticmethod
    def knows(file: GGUF) -> bool:
        """Whether the file's tokenizer is one of these."""
        family = file.text("tokenizer.ggml.pre", "")
        return file.text("tokenizer.ggml.model") == "gpt2" and family in FAMILIES

    def encode(self, text: str) -> list[int]:
        """The ids of a text, in which nothing is a control token."""
        ids: list[int] = []
        for word in self._words.findall(text):
            ids += self._remembered(word) if len(word) <= MEMO_LENGTH else self._merge(word)
        return ids

    def _merge(self, word: str) -> tuple[int, ...]:
        """One word: its bytes, of which the neighbours with the lowest rank are merged until none is left.

        The pieces are a linked list over their first byte's position, so a long word costs n log n.
        """
        spelled = word.encode("utf-8", "replace")
        if spelled in self._whole:
            return (self._whole[spelled],)
        ids = [self._bytes[byte] for byte in spelled]
        end = len(ids)
        after = list(range(1, end + 1))
        before = list(range(-1, end - 1))
        queue: list[tuple[int, int, int, int, int]] = []  # rank, merged, position, left, right

        def offer(at: int) -> None:
            if at >= 0 and (following := after[at]) < end:
                pair = (ids[at], ids[following])
                if pair in self._merges:
                    heapq.heappush(queue, (*self._merges[pair], at, *pair))

        for at in range(end):
            offer(at)
        while queue:
            _, merged, at, left, right = heapq.heappop(queue)
            following = after[at]
            if ids[at] != left or following == end or ids[following] != right:
                continue  # one of the two has been merged since
            ids[at], ids[following] = merged, -1
            after[at] = after[following]
            if after[at] < end:
                before[after[at]] = at
            offer(before[at])
            offer(at)
        return tuple(i for i in ids if i >= 0)


def _merges(file: GGUF, plain: dict[str, int]) -> dict[tuple[int, int], tuple[int, int]]:
    """What two ids become when they are merged: (rank, id) by pair. Only a normal token can come of it."""
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, rule in enumerate(file.texts("tokenizer.ggml.merges")):
        left, _, right = rule.partition(" ")
        if left not in plain or right not in plain or left + right not in plain:
            raise file.error(f"has a merge {rule[:60]!r} of unknown tokens; convert the model again")
        merges.setdefault((plain[left], plain[right]), (rank, plain[left + right]))
    return merges


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of the table in Python's spelling, which has no \\p{L} and \\p{N}.

    Python's \\w is letters, numbers and the underscore, its \\d the decimal digits, and its \\s has four
    control characters too many; the classes are put together from these so that they mean the same.
    """
    space = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    numbers = r"\d" + _other_numbers()
    return re.compile(
        pattern.replace(r"[^\s\p{L}\p{N}]", rf"(?:(?![{space}])[\W_])")
        .replace(r"[^\s\p{N}]", rf"[^{space}{numbers}]")
        .replace(r"[^\r\n\p{L}\p{N}]", r"(?:(?![\r\n])[\W_])")
        .replace(r"\p{L}", rf"[^\W_{numbers}]")
        .replace(r"\p{N}", rf"[{numbers}]")
        .replace(r"\S", rf"[^{space}]")
        .replace(r"\s", rf"[{space}]")
    )


def _other_numbers() -> str:
    r"""The numbers that are no decimal digits (fractions, Roman numerals, ...) for a class; \p{N} less \d."""
    last = 0x1FFFF  # none are beyond
    return "".join(
        chr(code)
        for code in range(0x80, last)
        if (letter := chr(code)).isnumeric() and not letter.isdecimal() and not letter.isalpha()
    )
