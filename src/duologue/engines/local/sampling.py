"""From logits to the next token: pure functions, and the sampler of one choice that is made of them.

In the order in which they act: a fixed shift of the logits (bans, `logit_bias`), the penalties, the mask of a
constraint, the temperature, `top_p`, the draw. Log probabilities are the model's own, before all of that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...protocol.errors import BadRequestError
from ...types.chat.request import ChatRequest

__all__ = [
    "Logits",
    "Mask",
    "Sampler",
    "Sampling",
    "draw",
    "likeliest",
    "logprobs",
    "nucleus",
    "probabilities",
]

Logits = NDArray[np.float32]
Probabilities = NDArray[np.float64]

# The ends of `logit_bias`: the protocol has them mean a ban and an exclusive selection. This weight makes them
# so at every temperature, and still lets a constraint have the last word.
EXTREME_BIAS = 100
EXTREME_WEIGHT = 1e4


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of a request are picked; the defaults are the protocol's.

    `bias` is added to the logits, by token id. `banned` are the ids that are never picked, whatever else is
    asked. The penalties are taken off the logits of tokens that the choice has already brought.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)
    banned: tuple[int, ...] = ()
    seed: int | None = None

    @classmethod
    def read(cls, request: ChatRequest, *, vocabulary: int, banned: Collection[int] = ()) -> Self:
        """What a request asks, of a model with so many tokens.

        Raises `BadRequestError` for a bias on an id that the model does not have or may not pick, and where
        no token is left to be picked.
        """
        return cls(
            temperature=_given(request.temperature, 1.0),
            top_p=_given(request.top_p, 1.0),
            presence_penalty=_given(request.presence_penalty, 0.0),
            frequency_penalty=_given(request.frequency_penalty, 0.0),
            bias=_bias(request.logit_bias or {}, vocabulary, frozenset(banned)),
            banned=tuple(sorted(banned)),
            seed=request.seed,
        )

    def weights(self) -> dict[int, float]:
        """What is added to the logits, by id; minus infinity for what is banned."""
        return {
            **{token: _weight(value) for token, value in self.bias.items()},
            **dict.fromkeys(self.banned, -math.inf),
        }


def _weight(bias: float) -> float:
    return bias if abs(bias) < EXTREME_BIAS else math.copysign(EXTREME_WEIGHT, bias)


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


def _bias(asked: Mapping[str, int], vocabulary: int, banned: frozenset[int]) -> dict[int, float]:
    bias: dict[int, float] = {}
    for key, value in asked.items():
        # The length is looked at first: a number of any size takes its time to read.
        token = int(key) if key.isascii() and key.isdigit() and len(key) <= len(str(vocabulary)) else -1
        if not 0 <= token < vocabulary:
            raise _wrong_bias(
                f"{key[:40]!r} is no token id of this model, whose ids are 0 to {vocabulary - 1}"
            )
        if token in banned and value > 0:
            raise _wrong_bias(
                f"token {token} is a control token, or tells of calls or thoughts that this answer may not have"
            )
        bias[token] = float(value)
    if len(banned.union(token for token, value in bias.items() if value <= -EXTREME_BIAS)) >= vocabulary:
        raise _wrong_bias("it bans every token of this model")
    return bias


def _wrong_bias(what: str) -> BadRequestError:
    return BadRequestError(
        f"Invalid value for 'logit_bias': {what}.", param="logit_bias", code="invalid_value"
    )


# --- logits to probabilities to a token ------------------------------------------------------------------


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


def logprobs(logits: Logits) -> Probabilities:
    """The natural logarithms of the probabilities that the model itself gives the tokens."""
    scaled = logits.astype(np.float64)
    scaled -= scaled.max()
    scaled -= np.log(np.exp(scaled).sum())
    return scaled


def likeliest(values: Probabilities, count: int) -> list[int]:
    """The ids of the `count` largest values, the largest first; of equal ones the lower id first."""
    count = min(count, len(values))
    if not count:
        return []
    least = np.partition(values, -count)[-count]
    candidates = np.flatnonzero(values >= least)
    order: list[int] = candidates[np.argsort(-values[candidates], kind="stable")][:count].tolist()
    return order


class Mask(Protocol):
    """A constraint of one choice."""

    @property
    def done(self) -> bool:
        """Whether nothing may follow but the end."""
        ...

    def forced(self) -> Sequence[int]:
        """The tokens that must come next; none where there is a choice."""
        ...

    def mask(self, logits: Logits) -> None:
        """Set the logits of what may not come next to minus infinity."""
        ...

    def accept(self, token: int) -> None:
        """Go on behind a token that it let through."""
        ...


class Sampler:
    """Picks the tokens of one choice, of a model with so many tokens.

    Temperature 0 takes the likeliest. Otherwise the same seed and index give the same numbers, and index i
    of seed s those of index 0 of seed s + i.
    """

    def __init__(
        self, sampling: Sampling, vocabulary: int, *, index: int = 0, constraint: Mask | None = None
    ) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._presence = sampling.presence_penalty
        self._frequency = sampling.frequency_penalty
        self._constraint = constraint
        self._shift = np.zeros(vocabulary, np.float32)
        for token, weight in sampling.weights().items():
            self._shift[token] = weight
        self._brought: set[int] = set()
        seed = sampling.seed
        self._random = np.random.PCG64(None if seed is None else (seed + index) % 2**64)

    @property
    def done(self) -> bool:
        """Whether the constraint leaves nothing more to say."""
        return self._constraint is not None and self._constraint.done

    @property
    def forced(self) -> Sequence[int]:
        """What the constraint leaves no choice about: the next picks, in order."""
        return () if self._constraint is None else self._constraint.forced()

    def pick(self, logits: Logits) -> int:
        """The next token's id. Raises `FloatingPointError` where the logits are not finite."""
        if not np.isfinite(logits).all():
            raise FloatingPointError("the model computed numbers that are not finite: its file is damaged")
        shifted = logits + self._shift
        if self._constraint is not None:
            self._constraint.mask(shifted)
        token = self._choose(shifted)
        self._remember(token)
        return token

    def _choose(self, logits: Logits) -> int:
        if self._temperature == 0:
            return int(logits.argmax())
        chances = nucleus(probabilities(logits, self._temperature), self._top_p)
        # The generator's own bits: unlike NumPy's distributions they are the same in every version.
        return draw(chances, (self._random.random_raw() >> 11) * 2.0**-53)

    def _remember(self, token: int) -> None:
        if self._constraint is not None:
            self._constraint.accept(token)
        if self._frequency or self._presence:
            first = token not in self._brought
            self._brought.add(token)
            self._shift[token] -= self._frequency + (self._presence if first else 0.0)
