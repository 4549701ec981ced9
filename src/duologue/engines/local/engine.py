"""The local engine: a language model on this machine behind the engine port."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..._version import __version__
from ...engine import Event, Support
from ...types.chat.request import ChatRequest
from .answer import answer, decode
from .model import Model
from .plan import supported
from .worker import Worker

__all__ = ["LocalEngine"]

# What is honoured with every model; `plan.supported` says what else its chat template knows.
NATIVE = (
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
)


class LocalEngine:
    """The model in a GGUF file, run with numpy.

    `model` is the id it answers to, the model's own name unless given. Opening the file checks it and raises
    `GGUFError` where it cannot be run; the weights are read by `start`, or else by the first request.

    All computation is done in one thread, which is there while there are requests. It works in rounds, one
    token of each answer, so each goes on while others come and go. An answer may fill what the messages leave
    of the model's context, unless the request sets a lower limit.
    """

    def __init__(self, path: str | Path, *, model: str | None = None) -> None:
        self._model = Model(path)
        name = model or self._model.name
        self.models: Sequence[str] = (name,)
        self.supports: Mapping[str, Support] = dict.fromkeys(
            (*NATIVE, *sorted(supported(self._model))), "native"
        )
        self._fingerprint = f"{name} numpy-{np.__version__} {_arithmetic()} duologue-{__version__}"
        self._worker = Worker(f"duologue-{name}", lambda asked: decode(self._model.weights(), asked))

    def generate(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """Yield the answer's events; closing the iterator stops the work before its next token.

        Raises `BadRequestError` for messages that the model cannot take (code `context_length_exceeded` if
        they are too long), and `InternalServerError` with status 503 where too many requests wait.
        """
        turns = answer(self._model, request, fingerprint=self._fingerprint)
        return self._worker.run(turns, size=request.n or 1)

    async def start(self) -> None:
        """Read the weights now, so that the first request does not wait for them."""
        await asyncio.to_thread(self._model.weights)

    async def close(self) -> None:
        """Stop all work; requests under way fail. A request that comes later is answered all the same."""
        await asyncio.to_thread(self._worker.close)
        await asyncio.to_thread(self._model.constraints.close)


def _arithmetic() -> str:
    """Whose sums these are: a seed repeats where the same library computes on the same kind of processor."""
    config: dict[str, dict[str, Any]] = np.show_config(mode="dicts")  # type: ignore[assignment]  # it is typed as None
    library = config.get("Build Dependencies", {}).get("blas", {})
    kind = [platform.machine(), *config.get("SIMD Extensions", {}).get("found", [])[-1:]]
    return f"{library.get('name')}-{library.get('version')} {'-'.join(kind)}"
