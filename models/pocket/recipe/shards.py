"""Dialogues as token arrays, made in shards while the training goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .dialogue import Dialogue, dialogue
from .marks import unmark
from .vocabulary import learn
from .voice import Voice

__all__ = ["CONTEXT", "EARLY", "Shard", "make_shard", "render", "tokenizer"]

CONTEXT = 2048
# Dialogues in a shard; the first shards hold more copying.
DIALOGUES = 3000
EARLY = 8
# What a token counts for: nothing, a part of a prompt, an answer, a part of one that counts lightly.
NOTHING, PROMPT, ANSWER, LIGHT = 0, 1, 2, 3
VOCABULARY_SEED = "vocabulary"
VOCABULARY_DIALOGUES = 30000


@dataclass
class Shard:
    """Tokens [N] and what they count for [N], and the length of each dialogue."""

    ids: NDArray[np.uint16]
    weights: NDArray[np.uint8]
    lengths: NDArray[np.int32]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment


TEMPLATE = _environment().from_string((Path(__file__).parent / "template.jinja").read_text("utf-8"))


def render(made: Dialogue) -> str:
    """The text that the chat template makes of a dialogue, marks and all."""
    extra: dict[str, Any] = {"verbosity": made.verbosity} if made.verbosity else {}
    return TEMPLATE.render(messages=made.messages, tools=made.tools or None, **extra)


def tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in this folder; it is learned first where there is none."""
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        texts = (
            unmark(render(dialogue(Voice(f"{VOCABULARY_SEED}-{i}"), early=i % 3 == 0)))[0]
            for i in range(VOCABULARY_DIALOGUES)
        )
        learn(texts).save(str(path))
    return Tokenizer.from_file(str(path))


def make_shard(folder: Path, index: int | str) -> Shard:
    """The shard of this index: the same for the same index."""
    encoder = tokenizer(folder)
    early = isinstance(index, int) and index < EARLY
    texts, hidden = [], []
    for i in range(DIALOGUES):
        text, spans = unmark(render(dialogue(Voice(f"{index}-{i}"), early=early)))
        texts.append(text)
        hidden.append(spans)
    start, end = (encoder.get_vocab()[token] for token in ("<|im_start|>", "<|im_end|>"))
    speaks = encoder.encode("assistant\n", add_special_tokens=False).ids
    ids: list[NDArray[np.uint16]] = []
    weights: list[NDArray[np.uint8]] = []
    for encoding, spans in zip(encoder.encode_batch(texts, add_special_tokens=False), hidden, strict=True):
        if len(encoding.ids) <= CONTEXT:
            ids.append(np.array(encoding.ids, np.uint16))
            weight = _weights(encoding.ids, start, end, speaks)
            _mark(weight, encoding.offsets, spans)
            weights.append(weight)
    return Shard(np.concatenate(ids), np.concatenate(weights), np.array([len(one) for one in ids], np.int32))


def _mark(
    weight: NDArray[np.uint8], offsets: list[tuple[int, int]], spans: list[tuple[int, int, bool]]
) -> None:
    """Lower what the tokens in marked spans count for."""
    for low, high, light in spans:
        for at, (first, last) in enumerate(offsets):
            if first < high and last > low and weight[at] != NOTHING:
                weight[at] = LIGHT if light else NOTHING


def _weights(ids: list[int], start: int, end: int, speaks: list[int]) -> NDArray[np.uint8]:
    weights = np.full(len(ids), PROMPT, np.uint8)
    at = 0
    while at < len(ids):
        if ids[at] == start and ids[at + 1 : at + 1 + len(speaks)] == speaks:
            at += 1 + len(speaks)
            stop = ids.index(end, at)
            weights[at : stop + 1] = ANSWER
            at = stop
        at += 1
    return weights
