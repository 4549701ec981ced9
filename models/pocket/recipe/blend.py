"""Mixes some of an earlier checkpoint into the newest: `python -m recipe.blend EARLIER --share 0.15`.

What was learned last is kept, and some comes back of what was forgotten over it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .train import CHECKPOINT

__all__ = ["main"]


def main() -> None:
    """Replace the weights in the checkpoint by the mean of both."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("earlier", type=Path)
    arguments.add_argument("--share", type=float, default=0.15, help="how much of the earlier one")
    options = arguments.parse_args()
    state, earlier = (torch.load(path, weights_only=True) for path in (CHECKPOINT, options.earlier))
    for name, weight in state["network"].items():
        weight.lerp_(earlier["network"][name], options.share)
    torch.save(state, CHECKPOINT)


if __name__ == "__main__":
    main()
