"""What a model's file says of its shape, and which architectures there are.

All of them are a Llama with something added, which the table `FEATURES` lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from .gguf import GGUF, LLAMA_CPP

__all__ = ["FEATURES", "Features", "LlamaConfig"]

MAX_CONTEXT = 2**20


@dataclass(frozen=True, slots=True)
class Features:
    """What sets an architecture apart from a Llama.

    `halves`: a head's rotary pairs are its coordinates i and i + E / 2, not two neighbours. `biases`: queries,
    keys and values have a bias. `head_norms`: each head of the queries and keys is normalised.
    """

    halves: bool = False
    biases: bool = False
    head_norms: bool = False


FEATURES: Mapping[str, Features] = {
    "llama": Features(),
    "qwen2": Features(halves=True, biases=True),
    "qwen3": Features(halves=True, head_norms=True),
}


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """The sizes of a model; `context` is the most positions a sequence may have.

    Rotary angles are divided by `rope_factor`, and those of each pair once more by a tensor of the file if
    `rope_divisors` says that it has one.
    """

    features: Features
    layers: int
    width: int
    heads: int
    groups: int
    head_width: int
    feed_forward: int
    vocabulary: int
    context: int
    epsilon: float
    rope_base: float
    rope_factor: float
    rope_divisors: bool
    tied: bool

    @classmethod
    def read(cls, file: GGUF) -> Self:
        """The sizes a GGUF file states, checked against each other and against its tensors.

        Raises `GGUFError` for an architecture that is not in the table, and for what such a model has not.
        """
        name = file.text("general.architecture")
        if name not in FEATURES:
            known = ", ".join(FEATURES)
            raise file.error(
                f"holds a {name[:40]!r} model, and the numpy backend runs {known} models only; {LLAMA_CPP}"
            )
        if file.integer("split.count", 0, 2**16, 0) > 1:
            raise file.error(f"is one of several files, which the numpy backend does not join; {LLAMA_CPP}")
        most = len(file)
        width = file.integer(f"{name}.embedding_length", 1, most)
        heads = file.integer(f"{name}.attention.head_count", 1, width)
        head_width = file.integer(f"{name}.attention.key_length", 2, most, width // heads)
        config = cls(
            features=FEATURES[name],
            layers=file.integer(f"{name}.block_count", 1, len(file.tensors)),
            width=width,
            heads=heads,
            groups=file.integer(f"{name}.attention.head_count_kv", 1, heads, heads),
            head_width=head_width,
            feed_forward=file.integer(f"{name}.feed_forward_length", 1, most),
            vocabulary=len(file.texts("tokenizer.ggml.tokens")),
            context=file.integer(f"{name}.context_length", 1, MAX_CONTEXT),
            epsilon=file.number(f"{name}.attention.layer_norm_rms_epsilon"),
            rope_base=file.number(f"{name}.rope.freq_base", 10000.0),
            rope_factor=_rope_factor(file, name),
            rope_divisors="rope_freqs.weight" in file.tensors,
            tied="output.weight" not in file.tensors,
        )
        file.integer(f"{name}.attention.value_length", head_width, head_width, head_width)
        file.integer(f"{name}.rope.dimension_count", head_width, head_width, head_width)
        if head_width % 2 or heads % config.groups:
            raise file.error("has an odd head size, or heads that its groups do not divide; convert it again")
        config._check_tensors(file, name)
        return config

    def _check_tensors(self, file: GGUF, architecture: str) -> None:
        expected = dict(self._tensors())
        for name, shape in expected.items():
            file.check(name, shape)
        for name in file.tensors:
            if name not in expected:
                raise file.error(
                    f"has a tensor {name[:60]!r} that the numpy backend does not know in a {architecture} model; "
                    f"{LLAMA_CPP}"
                )

    def _tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "token_embd.weight", (self.vocabulary, self.width)
        yield "output_norm.weight", (self.width,)
        if not self.tied:
            yield "output.weight", (self.vocabulary, self.width)
        if self.rope_divisors:
            yield "rope_freqs.weight", (self.head_width // 2,)
        for layer in range(self.layers):
            for name, shape in self.layer_shapes().items():
                yield f"blk.{layer}.{name}", shape

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors of one layer and their shapes, (out, in) for a matrix."""
        queries, keys = self.heads * self.head_width, self.groups * self.head_width
        shapes: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (self.width,),
            "attn_q.weight": (queries, self.width),
            "attn_k.weight": (keys, self.width),
            "attn_v.weight": (keys, self.width),
            "attn_output.weight": (self.width, queries),
            "ffn_norm.weight": (self.width,),
            "ffn_gate.weight": (self.feed_forward, self.width),
            "ffn_up.weight": (self.feed_forward, self.width),
            "ffn_down.weight": (self.width, self.feed_forward),
        }
        if self.features.biases:
            shapes |= {"attn_q.bias": (queries,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)}
        if self.features.head_norms:
            shapes |= {"attn_q_norm.weight": (self.head_width,), "attn_k_norm.weight": (self.head_width,)}
        return shapes


def _rope_factor(file: GGUF, name: str) -> float:
    """By what the positions are divided: 1 unless the file asks for linear scaling."""
    kind = file.metadata.get(f"{name}.rope.scaling.type", "none")
    if kind == "none":
        return 1.0
    if kind == "linear":
        return file.number(f"{name}.rope.scaling.factor")
    raise file.error(
        f"has rotary positions scaled by {str(kind)[:20]!r}, and the numpy backend knows 'linear'; {LLAMA_CPP}"
    )
