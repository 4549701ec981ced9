"""From logits to the next token: pure functions, and the sampler of one choice that is made of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sampler", "draw", "nucleus", "probabilities"]

Logits = NDArray[np.float32]
Probabilities = NDArray[np.float64]


def probabilities(logits: Logits, temperature: float) -> Probabilities:
    """The softmax of the logits at a temperature above 0."""
    # The largest is subtracted first, so that not even the smallest temperature overflows at the top.
    scaled = logits.astype(np.float64)
    scaled -= scaled.max()
    with np.errstate(over="ignore", under="ignore"):
        scaled /= temperature
        weights = np.exp(scaled)
    weights /= weights.sum()
    return weights


def nucleus(chances: Probabilities, top_p: float) -> Probabilities:
    """The same with only the likeliest tokens left that together make up `top_p`, never fewer than one."""
    if top_p >= 1:
        return chances
    # All tokens below this limit together have less than 1 - top_p, so none of them is needed.
    candidates = np.flatnonzero(chances >= (1 - top_p) / len(chances))
    order = candidates[np.argsort(-chances[candidates], kind="stable")]
    kept = order[: int(np.searchsorted(np.cumsum(chances[order]), top_p)) + 1]
    left = np.zeros_like(chances)
    left[kept] = chances[kept]
    left /= left.sum()
    return left


def draw(chances: Probabilities, uniform: float) -> int:
    """The token at which the running sum passes `uniform`, a number from 0 up to 1; always one with a chance."""
    sums = np.cumsum(chances)
    # The product is below the last sum even for the largest float below 1, so some sum is above it.
    return int(np.searchsorted(sums, uniform * sums[-1], side="right"))


class Sampler:
    """Picks the tokens of one choice.

    Temperature 0 takes the likeliest. Otherwise the same seed and index give the same numbers, and index i
    of seed s those of index 0 of seed s + i. `forbidden` tokens are never picked.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | None = None,
        index: int = 0,
        forbidden: NDArray[np.intp] | None = None,
    ) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._forbidden = forbidden
        self._random = np.random.PCG64(None if seed is None else (seed + index) % 2**64)

    def pick(self, logits: Logits) -> int:
        """The next token's id. Raises `FloatingPointError` where the logits are not finite."""
        if not np.isfinite(logits).all():
            raise FloatingPointError("the model computed numbers that are not finite: its file is damaged")
        if self._forbidden is not None:
            logits = logits.copy()
            logits[self._forbidden] = -np.inf
        if self._temperature == 0:
            return int(logits.argmax())
        chances = nucleus(probabilities(logits, self._temperature), self._top_p)
        # The generator's own bits: unlike NumPy's distributions they are the same in every version.
        return draw(chances, (self._random.random_raw() >> 11) * 2.0**-53)
