"""Trains the network: `python -m recipe.train --minutes 90`, from models/pocket.

The time is the budget: the rate falls to zero at its end. A checkpoint is written every few minutes, and
training goes on from it when it is started again. Dialogues are made by other processes meanwhile, each shard once
by a process of its own, which has the recipe as it then is. There is one process for each core, with one thread:
they share their gradients after each batch, which bears company on the machine better than threads that wait for
each other within every product.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.nn import functional

from .network import Layer, Network, Sizes
from .optimizer import Muon
from .shards import ANSWER, LIGHT, PROMPT, Shard, make_shard, tokenizer

__all__ = ["BUILD", "CHECKPOINT", "main"]

BUILD = Path(__file__).parents[1] / "build"
CHECKPOINT = BUILD / "checkpoint.pt"
# Tokens in a batch of one process; dialogues times length squared, which bounds the memory of attention.
BATCH_TOKENS = 4096
BATCH_SQUARES = 2**22
# Peak rates of the two optimizers; the share of the time in which they rise.
MUON_RATE, ADAM_RATE = 0.01, 2.5e-3
RISE = 0.01
# One prompt token in so many is learned, too, with this weight: it teaches the language.
PROMPT_SHARE, PROMPT_WEIGHT = 0.06, 0.15
# What a token that a schema dictates counts for.
LIGHT_WEIGHT = 0.25
# A part of the batches, more at first, are runs of random tokens that repeat: they teach copying the fastest, and
# that of any token.
REPEAT_UNTIL, REPEAT_SHARE, REPEAT_LATER = 0.05, 0.35, 0.03
# After a start the rate rises in so many steps.
WARM_STEPS = 60
SAVE_SECONDS, REPORT_STEPS = 180, 50
CLIP = 1.0
PROCESSES = 2


def main() -> None:
    """Train until the time is over."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=90)
    arguments.add_argument("--fall", type=float, default=0.7, help="share of the time in which rates fall")
    arguments.add_argument("--processes", type=int, default=PROCESSES)
    options = arguments.parse_args()
    tokenizer(BUILD)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        rest = (options.processes, options.minutes * 60, options.fall, f"file://{folder}/meeting")
        workers = [context.Process(target=_work, args=(rank, *rest)) for rank in range(options.processes)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit(
            "A process of the training ended early; start it again, it goes on from its checkpoint."
        )


def _work(rank: int, size: int, budget: float, fall: float, meeting: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    Training(budget, fall, rank, size).run()
    distributed.destroy_process_group()


class Training:
    """The network, its optimizers, and how far it has come."""

    def __init__(self, budget: float, fall: float, rank: int, size: int) -> None:
        self.budget, self.fall, self.rank, self.size = budget, fall, rank, size
        self.sizes = Sizes()
        self.network = Network(self.sizes)
        # Products take as long either way; what lies between them takes half the time.
        self.compiled = torch.compile(self.network, dynamic=True)
        layers = [layer for layer in self.network.layers if isinstance(layer, Layer)]
        queries, keys = self.sizes.heads * self.sizes.head_width, self.sizes.groups * self.sizes.head_width
        feed, width = self.sizes.feed_forward, self.sizes.width
        self.muon = Muon(
            [(layer.qkv.weight, (queries, keys, keys)) for layer in layers]
            + [(layer.output.weight, (width,)) for layer in layers]
            + [(layer.gate_up.weight, (feed, feed)) for layer in layers]
            + [(layer.down.weight, (width,)) for layer in layers]
        )
        norms = [parameter for parameter in self.network.parameters() if parameter.dim() == 1]
        self.adam = torch.optim.AdamW(
            [self.network.embedding.weight, *norms],
            lr=ADAM_RATE,
            betas=(0.9, 0.98),
            weight_decay=0.0,
            fused=True,
        )
        self.spent = 0.0
        self.shard = self.steps = self.tokens = self.warm = 0
        if CHECKPOINT.exists():
            self._load()
        if rank == 0:
            print(
                f"{sum(parameter.numel() for parameter in self.network.parameters()):,} parameters",
                flush=True,
            )

    def run(self) -> None:
        """Learn batch after batch, and save now and then."""
        loss, began, saved = float("nan"), time.monotonic() - self.spent, time.monotonic()
        for batch in self._batches():
            if self.spent >= self.budget:
                break
            now = self._learn(*batch, time.monotonic() - began)
            if self.rank:
                continue
            loss = now if math.isnan(loss) else 0.98 * loss + 0.02 * now
            if self.steps <= 3 or self.steps % REPORT_STEPS == 0:
                far = f"{self.spent:.0f} s, {self.tokens / 1e6:.2f} M tokens, shard {self.shard}"
                print(f"step {self.steps}: {far}, loss {loss:.4f}", flush=True)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        if self.rank:
            return
        self._save()
        print(
            f"finished: {self.steps} steps, {self.tokens} tokens, {self.spent:.0f} s, loss {loss:.4f}",
            flush=True,
        )

    def _learn(self, ids: Tensor, weights: Tensor, spent: float) -> float:
        """One step with all processes; returns this one's mean loss on answers."""
        rate = self._rate()
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.compiled(ids[:, :-1].contiguous()).reshape(-1, self.sizes.width)
            weight, target = weights[:, 1:].reshape(-1), ids[:, 1:].reshape(-1)
            chosen = weight > 0
            logits = hidden[chosen] @ self.network.embedding.weight.T
        losses = functional.cross_entropy(logits.float(), target[chosen], reduction="none")
        weight = weight[chosen]
        torch.autograd.backward((losses * weight).sum() / weight.sum())
        self._share(ids.numel(), spent)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * rate
        self.adam.step()
        self.muon.step(MUON_RATE * rate)
        self.network.zero_grad(set_to_none=True)
        self.steps += 1
        self.warm += 1
        return float(losses.detach()[weight == 1.0].mean())

    def _share(self, tokens: int, spent: float) -> None:
        """The mean of everybody's gradients; with them go the count of tokens and the first one's clock."""
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        news = torch.tensor([float(tokens), spent if self.rank == 0 else 0.0])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), news])
        distributed.all_reduce(flat)
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient)).div_(self.size)
            at += gradient.numel()
        self.tokens += int(flat[-2])
        self.spent = float(flat[-1])

    def _rate(self) -> float:
        done = self.spent / self.budget
        warm = min(1.0, (self.warm + 1) / WARM_STEPS)
        return min(warm, max(done / RISE, 0.02), max(0.0, (1 - done) / self.fall))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one shard after the other, and repeating runs among the first ones."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
            coming: Future[Shard] = pool.submit(make_shard, BUILD, self._index())
            while self.spent < self.budget:
                shard = coming.result()
                self.shard += 1
                coming = pool.submit(make_shard, BUILD, self._index())
                random = np.random.default_rng(self._index())
                for rows in _rows(shard, random):
                    share = REPEAT_SHARE if self.spent / self.budget < REPEAT_UNTIL else REPEAT_LATER
                    while random.random() < share:
                        yield _repeating(self.sizes.vocabulary, random)
                    yield _padded(shard, rows, random)

    def _index(self) -> int:
        """The shard that this process takes next."""
        return self.shard * self.size + self.rank

    def _save(self) -> None:
        state: dict[str, Any] = {
            "sizes": asdict(self.sizes),
            "network": self.network.state_dict(),
            "adam": self.adam.state_dict(),
            "velocity": self.muon.velocity,
            "spent": self.spent,
            "shard": self.shard,
            "steps": self.steps,
            "tokens": self.tokens,
        }
        fresh = CHECKPOINT.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(CHECKPOINT)

    def _load(self) -> None:
        state = torch.load(CHECKPOINT, weights_only=True)
        self.network.load_state_dict(state["network"])
        if state["adam"]:
            self.adam.load_state_dict(state["adam"])
            self.muon.velocity = state["velocity"]
        self.spent, self.shard, self.steps, self.tokens = (
            state["spent"],
            state["shard"],
            state["steps"],
            state["tokens"],
        )


def _rows(shard: Shard, random: np.random.Generator) -> list[list[int]]:
    """The dialogues of each batch: of about the same length, in random order."""
    order = np.argsort(shard.lengths + random.random(len(shard.lengths)) * 8)
    batches: list[list[int]] = []
    current: list[int] = []
    for row in order.tolist():
        length = int(shard.lengths[row])
        if current and (
            length * (len(current) + 1) > BATCH_TOKENS or length * length * (len(current) + 1) > BATCH_SQUARES
        ):
            batches.append(current)
            current = []
        current.append(row)
    batches.append(current)
    random.shuffle(batches)
    return batches


def _padded(shard: Shard, rows: list[int], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Tokens [B, T] and their weights [B, T]."""
    starts = np.concatenate([[0], np.cumsum(shard.lengths)])
    longest = int(shard.lengths[rows].max())
    ids: NDArray[np.int64] = np.zeros((len(rows), longest), np.int64)
    weights: NDArray[np.float32] = np.zeros((len(rows), longest), np.float32)
    for at, row in enumerate(rows):
        part = slice(starts[row], starts[row + 1])
        counts = shard.weights[part]
        ids[at, : len(counts)] = shard.ids[part]
        prompt = (counts == PROMPT) & (random.random(len(counts)) < PROMPT_SHARE)
        weights[at, : len(counts)] = (
            (counts == ANSWER) + LIGHT_WEIGHT * (counts == LIGHT) + PROMPT_WEIGHT * prompt
        )
    return torch.from_numpy(ids), torch.from_numpy(weights)


def _repeating(vocabulary: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random runs said again and again [B, T]; all but the first time counts."""
    length = int(random.integers(64, 160))
    rows = BATCH_TOKENS // length
    ids = np.zeros((rows, length), np.int64)
    weights = np.zeros((rows, length), np.float32)
    for row in range(rows):
        period = int(random.integers(6, length // 2))
        run = random.integers(11, vocabulary, period)
        ids[row] = np.tile(run, length // period + 1)[:length]
        weights[row, period + 1 :] = 1.0
    return torch.from_numpy(ids), torch.from_numpy(weights)


if __name__ == "__main__":
    main()
