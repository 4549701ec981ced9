"""Text to ids and back."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import duologue_pocket
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.engines.local.gguf import GGUF, GGUFError
from duologue.engines.local.tokenizer import Tokenizer
from support.gguf_writer import F32, LETTERS, tiny_model
from support.llama_cpp import tokenize

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    "ab '\n\r\t019_.<|>", max_size=60
)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_every_text_comes_back(model, text):
    tokenizer = model.tokenizer
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["<|im_end|>", "<|im_start|>", "<tool_call>", "a", "<|", "|>", " "]), max_size=8)
)
def test_no_text_is_a_control_token(model, parts):
    """Not even one that spells nothing else."""
    ids = model.tokenizer.encode("".join(parts))
    assert not set(ids) & set(model.tokenizer.special.values())


def test_only_a_trusted_text_is_split_at_special_tokens(model):
    tokenizer = model.tokenizer
    start, end = tokenizer.special["<|im_start|>"], tokenizer.special["<|im_end|>"]
    assert list(tokenizer.split("<|im_start|>user\n<|im_end|><|im_end|>x")) == [
        start,
        "user\n",
        end,
        end,
        "x",
    ]


RULES = GGUF(duologue_pocket.path()).metadata["tokenizer.ggml.merges"]
RANKS = {tuple(rule.split(" ")): rank for rank, rule in enumerate(RULES)}


def merged(word: str) -> list[str]:
    """BPE by its definition: merge the pair of lowest rank, the leftmost of them, until none is left."""
    pieces = list(word)
    while True:
        pairs = [(RANKS[pair], at) for at, pair in enumerate(pairwise(pieces)) if pair in RANKS]
        if not pairs:
            return pieces
        _, at = min(pairs)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]


@settings(max_examples=200, deadline=None)
@given(st.text("aeiouthnrsltd", min_size=1, max_size=60))
def test_merging_is_by_rank_from_the_left(model, word):
    """Short and long words alike; a word of letters is cut by nothing else."""
    assert [model.tokenizer.pieces[i].decode() for i in model.tokenizer.encode(word)] == merged(word)


def test_a_word_of_any_length_is_encoded_in_time(model):
    """A hundred thousand letters without a space take no quadratic time."""
    text = "the" * 33_000
    assert model.tokenizer.decode(model.tokenizer.encode(text)) == text.encode()


# Each family cuts a text into words in its own way.
CUTS = {
    "qwen2": [
        ("it's 12", ["it", "'s", " ", "1", "2"]),
        ("IT'S", ["IT", "'S"]),
        ("a  b", ["a", " ", " b"]),
        ("(word)", ["(word", ")"]),
        ("x\n\n y", ["x", "\n\n", " y"]),
        ("a!\n", ["a", "!\n"]),
        ("½x²", ["½", "x", "²"]),
        ("a_b", ["a", "_b"]),
        ("end  ", ["end", "  "]),
    ],
    "gpt-2": [
        ("it's 12", ["it", "'s", " 12"]),
        ("IT'S", ["IT", "'", "S"]),
        ("a  b", ["a", " ", " b"]),
        ("(word)", ["(", "word", ")"]),
        ("x\n\n y", ["x", "\n\n", " y"]),
        ("½x²", ["½", "x", "²"]),
    ],
    "smollm": [
        ("it's 123", ["it", "'s", " ", "1", "2", "3"]),
        ("a  1", ["a", "  ", "1"]),
        ("a  b", ["a", " ", " b"]),
        ("a 1 b", ["a", " ", "1", " b"]),
        ("x\n\n y", ["x", "\n\n", " y"]),
    ],
    "llama-bpe": [
        ("it's 1234567", ["it", "'s", " ", "123", "456", "7"]),
        ("(word)", ["(word", ")"]),
        ("a!\n\nb", ["a", "!\n\n", "b"]),
    ],
}


@pytest.mark.parametrize(("family", "text", "words"), [(f, *case) for f in CUTS for case in CUTS[f]])
def test_where_a_family_cuts_words(family, text, words, plan, tmp_path):
    """Where every stretch of the text is a token, the longest that come out are the words."""
    letters = plan.metadata["tokenizer.ggml.tokens"][:256]
    tokens, merges = list(letters), []

    def teach(piece: str) -> None:
        spelled = [letters[byte] for byte in piece.encode()]
        for size in range(2, len(spelled) + 1):
            token = "".join(spelled[:size])
            if token not in tokens:
                tokens.append(token)
                merges.append(f"{token[:-1]} {token[-1]}")

    for start in range(len(text)):
        teach(text[start:])
    plan.metadata |= {
        "tokenizer.ggml.pre": family,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * len(tokens),
        "tokenizer.ggml.merges": merges,
    }
    tokenizer = Tokenizer(GGUF(plan.write(tmp_path)))
    assert [tokenizer.pieces[i].decode() for i in tokenizer.encode(text)] == words


# What a pattern may make a difference of: letters, numbers and spaces of all kinds, contractions, marks.
BITS = (
    *("a", "b", "Z", "é", "中", "ǅ", "ʰ", "1", "2", "²", "½", "Ⅷ", "٣", "_", "-", "!", "(", "/", "€", "😀"),
    *(" ", "  ", "\n", "\r\n", "\t", "\x1c", "\x85", "\xa0", "\u2028", "\u3000", "\u0301", "\u200d"),
    *("'s", "'S", "'ll", "'"),
)


@pytest.fixture(scope="session")
def merged_texts() -> tuple[list[str], list[tuple[str, str]]]:
    """Texts of these bits, and merges learned from them, which go across wherever a family may cut."""
    random = Random(3)
    texts = ["".join(random.choices(BITS, k=30)) for _ in range(200)]
    words = [[LETTERS[byte] for byte in text.encode()] for text in texts]
    merges: list[tuple[str, str]] = []
    for _ in range(300):
        pairs = Counter(pair for word in words for pair in pairwise(word))
        left, right = max(pairs, key=lambda pair: pairs[pair])
        merges.append((left, right))
        for word in words:
            for at in range(len(word) - 1, 0, -1):
                if word[at - 1 : at + 1] == [left, right]:
                    word[at - 1 : at + 1] = [left + right]
    return texts, merges


@pytest.mark.parametrize("family", ["gpt-2", "smollm", "qwen2", "llama-bpe", "chatglm-bpe"])
def test_texts_are_encoded_as_llama_cpp_does(family, merged_texts, tmp_path):
    texts, merges = merged_texts
    file = tiny_model("llama")
    plain = list(dict.fromkeys([*LETTERS, *(left + right for left, right in merges)]))
    control = ["<|im_start|>", "<|im_end|>"]
    random = np.random.default_rng(1)
    for name in ("token_embd.weight", "output.weight"):
        file.tensors[name] = (random.normal(size=(len(plain) + 2, 64)).astype(np.float32), F32)
    file.metadata |= {
        "tokenizer.ggml.pre": family,
        "tokenizer.ggml.tokens": plain + control,
        "tokenizer.ggml.token_type": [1] * len(plain) + [3] * 2,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
        "tokenizer.ggml.bos_token_id": len(plain),
        "tokenizer.ggml.eos_token_id": len(plain) + 1,
        "tokenizer.ggml.eot_token_id": len(plain) + 1,
    }
    path = file.write(tmp_path)
    tokenizer = Tokenizer(GGUF(path))
    assert [tokenizer.encode(text) for text in texts] == tokenize(path, texts)


@pytest.mark.parametrize(("family", "pieces"), [("llama-bpe", ["xyz"]), ("qwen2", ["x", "y", "z"])])
def test_a_word_that_is_a_token_stays_whole_where_its_family_says_so(family, pieces, plan, tmp_path):
    """Even if no merges make it."""
    tokens = plan.metadata["tokenizer.ggml.tokens"]
    tokens[tokens.index("Ġth")] = "xyz"
    plan.metadata |= {"tokenizer.ggml.pre": family, "tokenizer.ggml.merges": ["t h"]}
    tokenizer = Tokenizer(GGUF(plan.write(tmp_path)))
    assert [tokenizer.pieces[i].decode() for i in tokenizer.encode("xyz")] == pieces


def test_lone_surrogates_do_not_break_it(model):
    assert model.tokenizer.decode(model.tokenizer.encode("a\ud83db")) == b"a?b"


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"tokenizer.ggml.pre": "novel"}, "has a 'gpt2' tokenizer of the family 'novel', which"),
        ({"tokenizer.ggml.model": "bert"}, "has a 'bert' tokenizer, which"),
    ],
)
def test_a_tokenizer_that_is_not_known_is_named_with_the_remedy(metadata, words, tmp_path):
    model = tiny_model("llama")
    model.metadata |= metadata
    with pytest.raises(
        GGUFError, match=f"{words} the numpy backend does not know; llama.cpp may run it"
    ) as caught:
        Tokenizer(GGUF(model.write(tmp_path)))
    assert len(caught.value.message) < 200 + len(str(tmp_path))
