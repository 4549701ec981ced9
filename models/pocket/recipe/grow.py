"""Makes the checkpoint deeper: `python -m recipe.grow --at 3 5`, from models/pocket.

New layers go before those layers. What they add is zero at first, so the deeper network answers as the one before;
training it on takes a fraction of the time that a new one would. The optimizers begin anew.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from .network import Network, Sizes
from .train import CHECKPOINT

__all__ = ["grow", "main"]

# What a layer adds goes through these.
OUTPUTS = ("output.weight", "down.weight")


def main() -> None:
    """Grow the checkpoint in the build folder."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--at", type=int, nargs="+", required=True)
    state = torch.load(CHECKPOINT, weights_only=True)
    state["network"], layers = grow(state["network"], Sizes(**state["sizes"]), arguments.parse_args().at)
    state["sizes"]["layers"] = layers
    state["adam"] = state["velocity"] = None
    torch.save(state, CHECKPOINT)
    print(f"{CHECKPOINT}: {layers} layers")


def grow(weights: dict[str, Tensor], sizes: Sizes, at: list[int]) -> tuple[dict[str, Tensor], int]:
    """Weights with new layers before the layers `at`, and how many layers that makes."""
    torch.manual_seed(0)
    order: list[int | None] = []  # the old layer in each new place
    for index in range(sizes.layers):
        order += [None] * at.count(index) + [index]
    fresh = Network(Sizes(**{**vars(sizes), "layers": len(order)})).state_dict()
    for name in fresh:
        if not name.startswith("layers."):
            fresh[name] = weights[name]
            continue
        _, index, rest = name.split(".", 2)
        old = order[int(index)]
        if old is not None:
            fresh[name] = weights[f"layers.{old}.{rest}"]
        elif rest in OUTPUTS:
            fresh[name] = torch.zeros_like(fresh[name])
    return fresh, len(order)


if __name__ == "__main__":
    main()
