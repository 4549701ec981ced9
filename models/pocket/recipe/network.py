"""The network: a Llama, as the engine of Duologue computes it, written for training on a CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Network", "Sizes"]


@dataclass(frozen=True)
class Sizes:
    """The sizes of the model."""

    vocabulary: int = 3072
    width: int = 160
    layers: int = 10
    heads: int = 5
    groups: int = 5
    head_width: int = 32
    feed_forward: int = 640
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-5


class Norm(nn.Module):
    """Root-mean-square norm."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [..., D]."""
        return functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.epsilon)


class Layer(nn.Module):
    """Attention and feed-forward. `qkv` and `gate_up` are matrices stacked by rows."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        queries, keys = sizes.heads * sizes.head_width, sizes.groups * sizes.head_width
        self.sizes = sizes
        self.attention_norm = Norm(sizes.width, sizes.epsilon)
        self.qkv = nn.Linear(sizes.width, queries + 2 * keys, bias=False)
        self.output = nn.Linear(queries, sizes.width, bias=False)
        self.feed_norm = Norm(sizes.width, sizes.epsilon)
        self.gate_up = nn.Linear(sizes.width, 2 * sizes.feed_forward, bias=False)
        self.down = nn.Linear(sizes.feed_forward, sizes.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """One layer over [B, T, D]; `mask` is added to scores [T, T]."""
        x = x + self.output(self._attend(self.attention_norm(x), turn, mask))
        gate, up = self.gate_up(self.feed_norm(x)).chunk(2, -1)
        fed: Tensor = self.down(functional.silu(gate) * up)
        return x + fed

    def _attend(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """Attention by plain batched products, whose backward pass is faster on a CPU than the fused one."""
        sizes = self.sizes
        batch, length, _ = x.shape
        heads, groups, width = sizes.heads, sizes.groups, sizes.head_width
        ratio = heads // groups
        mixed = self.qkv(x).view(batch, length, heads + 2 * groups, width).transpose(1, 2)
        turned = _rotate(mixed[:, : heads + groups], turn)
        queries = turned[:, :heads].reshape(batch * groups, ratio * length, width)
        keys = turned[:, heads:].reshape(batch * groups, length, width)
        values = mixed[:, heads + groups :].reshape(batch * groups, length, width)
        scores = torch.bmm(queries, keys.transpose(1, 2)).view(-1, ratio, length, length) + mask
        shares = torch.softmax(scores, -1, dtype=scores.dtype).view(-1, ratio * length, length)
        return (
            torch.bmm(shares, values)
            .view(batch, heads, length, width)
            .transpose(1, 2)
            .reshape(batch, length, -1)
        )


def _rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions over pairs of neighbours [B, H, T, E]."""
    cosine, sine = turn
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).flatten(-2)


class Network(nn.Module):
    """Tokens to hidden states and logits; the head is the embedding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.norm = Norm(sizes.width, sizes.epsilon)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        shrink = math.sqrt(2 * sizes.layers)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            nn.init.normal_(layer.output.weight, std=0.02 / shrink)
            nn.init.normal_(layer.down.weight, std=0.02 / shrink)
        frequencies = sizes.rope_base ** (-torch.arange(0, sizes.head_width, 2).float() / sizes.head_width)
        angles = torch.outer(torch.arange(sizes.context).float(), frequencies)
        # [H + G, T, E / 2]; those of the queries carry the scale of the attention, too.
        scale = torch.ones(sizes.heads + sizes.groups, 1, 1)
        scale[: sizes.heads] = sizes.head_width**-0.5
        self.cosine, self.sine = scale * angles.cos(), scale * angles.sin()

    def forward(self, ids: Tensor) -> Tensor:
        """The last hidden states [B, T, D] of tokens [B, T]."""
        length = ids.shape[1]
        x = self.embedding(ids)
        kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
        x = x.to(kind)
        turn = self.cosine[:, :length].to(kind), self.sine[:, :length].to(kind)
        mask = torch.full((length, length), float("-inf"), dtype=kind).triu(1)
        for layer in self.layers:
            x = layer(x, turn, mask)
        normal: Tensor = self.norm(x)
        return normal
