"""A plan as llama.cpp reads it: the fields of a request that every answer has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..plan import Plan
from ..sampling import Sampling

__all__ = ["base_of", "logit_bias", "seed_of"]

# llama.cpp's seeds have 32 bits, of which the last means none. It counts up from the first choice's.
SEEDS = 2**32 - 128


def base_of(asked: Plan) -> dict[str, Any]:
    """The prompt, and the samplers in the protocol's order, with none that the protocol does not have."""
    return {
        "prompt": asked.prompt,
        "samplers": ["temperature", "top_p"],
        "temperature": asked.sampling.temperature,
        "top_p": asked.sampling.top_p,
        # A prompt that is found in the cache comes out different in the last bits than one that is read anew.
        "cache_prompt": asked.sampling.seed is None,
        "sse_ping_interval": -1,  # a ping is no JSON
    }


def seed_of(sampling: Sampling, index: int) -> int:
    """The seed of a choice; -1 for a random one."""
    return -1 if sampling.seed is None else (sampling.seed + index) % SEEDS


def logit_bias(weights: Mapping[int, float]) -> list[tuple[int, float | bool]]:
    """Weights of tokens in llama.cpp's words, which have False for minus infinity."""
    return [(token, False if value == -math.inf else value) for token, value in weights.items()]
