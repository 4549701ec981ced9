"""The forward pass of a Llama and its kin in numpy, float32: token ids in, logits out, and a cache between.

Arrays are named by their axes: T tokens of this call, P positions in the cache, D the model's width, H query
heads, G key/value groups (heads of keys and values), R = H / G query heads to a group, E a head's width,
V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .architecture import LlamaConfig
from .gguf import GGUF

__all__ = ["Cache", "Llama", "LlamaConfig"]

Array = NDArray[np.float32]

# A cache starts with room for this many positions, and doubles when it is full.
CACHE_STEP = 128
# What is added to the score of a position that a token may not see.
HIDDEN = -1e30


class Cache:
    """Keys and values of one sequence, of at most `limit` positions; it grows with the sequence."""

    __slots__ = ("length", "limit", "values")

    def __init__(self, config: LlamaConfig, limit: int) -> None:
        self.length = 0
        self.limit = limit
        room = min(CACHE_STEP, limit)
        # [layer, key or value, G, P, E]
        self.values: Array = np.empty((config.layers, 2, config.groups, room, config.head_width), np.float32)

    def reserve(self, tokens: int) -> None:
        """Make room for so many more positions. Raises `ValueError` beyond the limit."""
        need = self.length + tokens
        room = self.values.shape[3]
        if need > self.limit:
            raise ValueError(f"a sequence of {need} positions is over its limit of {self.limit}")
        if need > room:
            self.values = self._copy(min(self.limit, max(need, 2 * room)))

    def fork(self) -> Cache:
        """A copy that goes its own way."""
        other = object.__new__(Cache)
        other.length, other.limit = self.length, self.limit
        other.values = self._copy(self.values.shape[3])
        return other

    def _copy(self, room: int) -> Array:
        layers, two, groups, _, width = self.values.shape
        wider = np.empty((layers, two, groups, room, width), np.float32)
        wider[:, :, :, : self.length] = self.values[:, :, :, : self.length]
        return wider


class _Layer(NamedTuple):
    """The weights of one layer, matrices as (in, out); None for what the architecture does not have."""

    attention_norm: Array
    query_key_value: Array
    bias: Array | None
    head_norms: Array | None  # [H + G, E]
    attention_output: Array
    feed_forward_norm: Array
    gate_up: Array
    down: Array


class Llama:
    """The weights, and the computation. Holds no state of any sequence."""

    def __init__(self, file: GGUF, config: LlamaConfig) -> None:
        self.config = config
        self._embedding = file.load("token_embd.weight", (config.vocabulary, config.width))
        self._norm = file.load("output_norm.weight", (config.width,))
        head = self._embedding
        if not config.tied:
            head = file.load("output.weight", (config.vocabulary, config.width))
        self._head = head.T
        self._layers = [_load_layer(file, config, index) for index in range(config.layers)]
        exponents = np.arange(0, config.head_width, 2) / config.head_width
        self._frequencies = config.rope_base**-exponents / config.rope_factor
        if config.rope_divisors:
            with np.errstate(all="ignore"):  # what is not finite is found in the logits
                self._frequencies /= file.load("rope_freqs.weight", (config.head_width // 2,))

    def cache(self, limit: int) -> Cache:
        """An empty cache for a sequence of at most `limit` positions."""
        return Cache(self.config, limit)

    def forward(self, ids: Sequence[int], cache: Cache) -> Array:
        """Append tokens to a sequence, all at once; return their hidden states [T, D].

        Raises `ValueError` where the sequence would outgrow its cache's limit.
        """
        count, start = len(ids), cache.length
        cache.reserve(count)
        end = cache.length = start + count
        mask = _causal_mask(start, count, self.config.heads // self.config.groups)

        def attend(layer: int, queries: Array, fresh: Array) -> Array:
            memory = cache.values[layer]
            memory[:, :, start:end] = fresh.transpose(1, 2, 0, 3)
            return self._attend(queries, memory[:, :, :end], mask)

        return self._compute(self._embedding[np.asarray(ids)], np.arange(start, end), attend)

    def decode(self, ids: Sequence[int], caches: Sequence[Cache]) -> Array:
        """Append one token to each of several sequences; return their hidden states [T, D].

        What comes out for a token is the same to the last bit, whatever is decoded beside it. A sequence may
        be there more than once: its tokens follow each other. It is cut back by setting its cache's `length`.
        Raises `ValueError` where one would outgrow its cache's limit.
        """
        places: list[int] = []
        for cache in caches:
            cache.reserve(1)
            places.append(cache.length)
            cache.length += 1

        def attend(layer: int, queries: Array, fresh: Array) -> Array:
            attended = np.empty_like(queries)
            for row, (cache, place) in enumerate(zip(caches, places, strict=True)):
                memory = cache.values[layer]
                memory[:, :, place] = fresh[row]
                attended[row] = self._attend(queries[row], memory[:, :, : place + 1], None)
            return attended

        # One matrix product for all would be rounded differently with every number of tokens; an axis in
        # front makes it one for each, for which the matrix needs to be fetched from memory only once.
        x = self._embedding[np.asarray(ids)][:, None]
        return self._compute(x, np.array(places), attend)[:, 0]

    def logits(self, hidden: Array) -> Array:
        """What the model gives each token of the vocabulary [T, V] as the next one, before any softmax."""
        with np.errstate(over="ignore", invalid="ignore"):
            logits: Array = (self._normal(hidden[:, None], self._norm) @ self._head)[:, 0]
        return logits

    def _compute(
        self, x: Array, places: NDArray[np.intp], attend: Callable[[int, Array, Array], Array]
    ) -> Array:
        """All layers, for tokens [T, D] or [T, 1, D] at these positions.

        `attend` is given a layer's number, the queries [T, H * E] or [T, 1, H * E], and the new keys and values
        [T, key or value, G, E], and returns what the attention makes of the queries.
        """
        config = self.config
        turns = self._rotations(places)
        split = config.heads * config.head_width
        # Weights that are not finite are found in the logits; there is no need to warn of them on the way.
        with np.errstate(over="ignore", invalid="ignore"):
            for index, layer in enumerate(self._layers):
                mixed = self._normal(x, layer.attention_norm) @ layer.query_key_value
                if layer.bias is not None:
                    mixed += layer.bias
                self._rotate(mixed, layer.head_norms, turns)
                fresh = mixed[..., split:].reshape(len(places), 2, config.groups, config.head_width)
                x += attend(index, mixed[..., :split], fresh) @ layer.attention_output
                x += _gated(self._normal(x, layer.feed_forward_norm) @ layer.gate_up) @ layer.down
        return x

    def _normal(self, x: Array, weight: Array) -> Array:
        """The root-mean-square norm over the last axis."""
        scale = np.sqrt(np.vecdot(x, x) / np.float32(x.shape[-1]) + np.float32(self.config.epsilon))
        normal: Array = x / scale[..., None] * weight
        return normal

    def _rotations(self, places: NDArray[np.intp]) -> NDArray[np.complex64]:
        """The rotary positions as complex factors [T, H + G, E / 2].

        Those of the queries carry the scale of the attention, too.
        """
        config = self.config
        angles = places[:, None] * self._frequencies
        factors = np.empty((len(places), config.heads + config.groups, config.head_width // 2), np.complex64)
        factors[:] = np.exp(1j * angles)[:, None]
        factors[:, : config.heads] *= np.float32(config.head_width**-0.5)
        return factors

    def _rotate(self, mixed: Array, norms: Array | None, turns: NDArray[np.complex64]) -> None:
        """Normalise queries and keys, and turn them by their position, in place.

        Each pair of neighbours is a complex number.
        """
        heads = turns.shape[1]
        width = self.config.head_width
        turned = mixed[..., : heads * width].reshape(len(mixed), heads, width)
        if norms is not None:
            turned[:] = self._normal(turned, norms)
        pairs = turned.view(np.complex64)
        pairs *= turns

    def _attend(self, queries: Array, memory: Array, mask: Array | None) -> Array:
        """Attention of queries [T, H * E] over a memory [key or value, G, P, E]; the result is [T, H * E]."""
        config = self.config
        count, groups, width = len(queries), config.groups, config.head_width
        ratio = config.heads // groups
        grouped = queries.reshape(count, groups, ratio, width).transpose(1, 0, 2, 3)
        scores = grouped.reshape(groups, count * ratio, width) @ memory[0].transpose(0, 2, 1)
        if mask is not None:
            scores += mask
        scores -= np.maximum.reduce(scores, -1, keepdims=True)
        np.exp(scores, out=scores)
        total = np.add.reduce(scores, -1, keepdims=True)
        mixed = (scores @ memory[1]) / total
        merged: Array = mixed.reshape(groups, count, ratio, width).transpose(1, 0, 2, 3)
        return merged.reshape(count, groups * ratio * width)


def _causal_mask(start: int, count: int, ratio: int) -> Array | None:
    """What hides later tokens from earlier ones [T * R, P]; None for a single token, which sees all."""
    if count == 1:
        return None
    mask: Array = np.full((count, start + count), HIDDEN, np.float32)
    return np.repeat(np.triu(mask, start + 1), ratio, axis=0)


def _gated(gate_up: Array) -> Array:
    """SwiGLU of [..., 2 F]: silu(gate) * up."""
    half = gate_up.shape[-1] // 2
    gate, up = gate_up[..., :half], gate_up[..., half:]
    divisor: Array = np.exp(-gate)
    divisor += 1
    gated: Array = gate / divisor * up
    return gated


def _load_layer(file: GGUF, config: LlamaConfig, index: int) -> _Layer:
    weights = {name: file.load(f"blk.{index}.{name}", shape) for name, shape in config.layer_shapes().items()}
    if config.features.halves:
        for name in weights:
            if name.startswith(("attn_q", "attn_k")):
                weights[name] = _pair_neighbours(weights[name], config.head_width)

    def join(*names: str) -> Array:
        return np.concatenate([weights[name] for name in names])

    def matrix(*names: str) -> Array:
        return np.ascontiguousarray(join(*(f"{name}.weight" for name in names)).T)

    bias = head_norms = None
    if config.features.biases:
        bias = join("attn_q.bias", "attn_k.bias", "attn_v.bias")
    if config.features.head_norms:
        queries = np.tile(weights["attn_q_norm.weight"], (config.heads, 1))
        head_norms = np.concatenate([queries, np.tile(weights["attn_k_norm.weight"], (config.groups, 1))])
    return _Layer(
        attention_norm=weights["attn_norm.weight"],
        query_key_value=matrix("attn_q", "attn_k", "attn_v"),
        bias=bias,
        head_norms=head_norms,
        attention_output=matrix("attn_output"),
        feed_forward_norm=weights["ffn_norm.weight"],
        gate_up=matrix("ffn_gate", "ffn_up"),
        down=matrix("ffn_down"),
    )


def _pair_neighbours(rows: Array, width: int) -> Array:
    """The rows of heads with the rotary pairs i and i + E / 2, in an order that has each pair side by side.

    Where queries and keys have the same order, attention is the same in any.
    """
    halves = rows.reshape(-1, 2, width // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)
