"""Muon for matrices: momentum, made orthogonal by Newton and Schulz's iteration.

The update of a matrix is replaced by (nearly) the orthogonal matrix next to it, so that all its directions
are learned at the same pace. At this size that takes about half the tokens of AdamW.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Muon"]

# The coefficients of the quintic iteration that spreads singular values to about one in five steps.
QUINTIC = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon:
    """Matrices with the numbers of rows that they are stacks of; each block is updated for itself."""

    def __init__(
        self,
        matrices: Sequence[tuple[Tensor, tuple[int, ...]]],
        momentum: float = 0.95,
        decay: float = 0.02,
    ) -> None:
        self.matrices = matrices
        self.momentum = momentum
        self.decay = decay
        self.velocity = [torch.zeros_like(matrix) for matrix, _ in matrices]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update from the gradients that the matrices hold."""
        blocks: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for (matrix, rows), velocity in zip(self.matrices, self.velocity, strict=True):
            gradient = matrix.grad
            if gradient is None:
                continue
            velocity.mul_(self.momentum).add_(gradient)
            ahead = gradient + self.momentum * velocity
            for block, update in zip(
                torch.split(matrix.data, list(rows)), torch.split(ahead, list(rows)), strict=True
            ):
                blocks[update.shape[0], update.shape[1]].append((block, update))
        for (height, width), group in blocks.items():
            updates = _orthogonal(torch.stack([update for _, update in group]))
            scale = rate * max(1.0, height / width) ** 0.5
            for (block, _), update in zip(group, updates, strict=True):
                block.mul_(1 - rate * self.decay).add_(update, alpha=-scale)


def _orthogonal(updates: Tensor) -> Tensor:
    """[N, height, width] to nearly orthogonal matrices of the same shape."""
    a, b, c = QUINTIC
    x = updates.to(torch.bfloat16)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = a * x + torch.bmm(b * gram + c * torch.bmm(gram, gram), x)
    spread: Tensor = (x.transpose(1, 2) if tall else x).float()
    return spread
