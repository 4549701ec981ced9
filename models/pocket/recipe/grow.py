"""Makes the checkpoint deeper or wider: `python -m recipe.grow --at 3 5 --feed-forward 832`, from models/pocket.

New layers go before those layers, new rows and columns behind the old ones. What they add is zero at first, so the
larger network answers as the one before; training it on takes a fraction of the time that a new one would. The
optimizers begin anew. What training is to build afterwards is said in `network.Sizes`.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

import torch
from torch import Tensor

from .network import Network, Sizes
from .train import CHECKPOINT

__all__ = ["grow", "main"]

# What is added to the sum that runs through the layers goes through these.
OUTPUTS = ("embedding.weight", "output.weight", "down.weight")


def main() -> None:
    """Grow the checkpoint in the build folder."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--at", type=int, nargs="*", default=[])
    arguments.add_argument("--width", type=int, help="a multiple of the width of a head")
    arguments.add_argument("--feed-forward", type=int)
    options = arguments.parse_args()
    state = torch.load(CHECKPOINT, weights_only=True)
    old = Sizes(**state["sizes"])
    width = options.width or old.width
    heads = width // old.head_width
    new = replace(
        old,
        layers=old.layers + len(options.at),
        width=width,
        heads=heads,
        groups=heads,
        feed_forward=options.feed_forward or old.feed_forward,
    )
    state["network"], state["sizes"] = grow(state["network"], old, new, options.at), asdict(new)
    state["adam"] = state["velocity"] = None
    torch.save(state, CHECKPOINT)
    print(f"{CHECKPOINT}: {new}")


def grow(weights: dict[str, Tensor], old: Sizes, new: Sizes, at: list[int]) -> dict[str, Tensor]:
    """Weights of the sizes `new`, which has its additional layers before the layers `at`."""
    torch.manual_seed(0)
    order: list[int | None] = []  # the old layer in each new place
    for index in range(old.layers):
        order += [None] * at.count(index) + [index]
    grown = Network(new).state_dict()
    for name, tensor in grown.items():
        if name.endswith(OUTPUTS):
            tensor.zero_()
        source: str | None = name
        if name.startswith("layers."):
            _, index, rest = name.split(".", 2)
            source = None if order[int(index)] is None else f"layers.{order[int(index)]}.{rest}"
        if source is not None:
            _place(weights[source], tensor, _blocks(name, old), _blocks(name, new))
        if "norm" in name:
            # The new columns of the sum are zero, so its mean square is smaller by their share.
            tensor.mul_((old.width / new.width) ** 0.5)
    return grown


def _blocks(name: str, sizes: Sizes) -> list[int] | None:
    """The numbers of rows that a matrix is a stack of; None for a single one."""
    if name.endswith("qkv.weight"):
        return [sizes.heads * sizes.head_width, *[sizes.groups * sizes.head_width] * 2]
    return [sizes.feed_forward] * 2 if name.endswith("gate_up.weight") else None


def _place(old: Tensor, new: Tensor, old_blocks: list[int] | None, new_blocks: list[int] | None) -> None:
    """Put each block of the old tensor at the beginning of that of the new one."""
    pairs = zip(old.split(old_blocks or [len(old)]), new.split(new_blocks or [len(new)]), strict=True)
    for source, target in pairs:
        target[tuple(slice(length) for length in source.shape)] = source


if __name__ == "__main__":
    main()
