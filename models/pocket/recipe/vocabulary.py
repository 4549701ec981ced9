"""The tokenizer: byte-level BPE whose pieces of a word are the same with and without a space before it.

Merges are learned on words without their space. Then the most frequent words that are one piece get a form
with the space; all others keep the space as a piece of its own. So a word is copied from a sentence into
quotation marks piece by piece.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["CONTROL", "SIZE", "TAGS", "learn", "merges_of", "tokens_of"]

SIZE = 3072
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<tools>",
    "</tools>",
    "<think>",
    "</think>",
)
# So many words have a form with the space before them.
SPACED = 700
# The pattern of the family qwen2, and the same with spaces taken off words.
REST = r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+" + REST
BARE = r"\p{L}+" + REST
SPACE = "Ġ"  # how byte-level BPE writes a space


def learn(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer learned on rendered dialogues."""
    tags = re.compile("|".join(map(re.escape, CONTROL + TAGS)))
    parts = [part for text in texts for part in tags.split(text) if part]
    first = Tokenizer(models.BPE())
    first.pre_tokenizer = _cut(BARE)
    room = SIZE - len(CONTROL) - len(TAGS) - SPACED
    first.train_from_iterator(
        parts,
        trainers.BpeTrainer(
            vocab_size=room,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[],
            show_progress=False,
        ),
    )
    pieces, merges = tokens_of(first), merges_of(first)
    known = set(pieces)
    spaced = Counter(word for part in parts for word in re.findall(r" ([A-Za-z]{2,})", part))
    chosen = [word for word, _ in spaced.most_common() if word in known][:SPACED]
    merges += [(SPACE, word) for word in chosen]
    tokens = [*CONTROL, *TAGS, *pieces, *(SPACE + word for word in chosen)]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = _cut(WORDS)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in TAGS])
    return tokenizer


def tokens_of(tokenizer: Tokenizer) -> list[str]:
    """All tokens by id."""
    return [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]


def merges_of(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The merges by rank."""

    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def _cut(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
