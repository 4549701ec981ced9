"""The engine that runs a GGUF file with llama.cpp."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import msgspec

from ...._version import __version__
from ....engine import Event, Head, Support, Usage
from ....types.chat.request import ChatRequest
from ..engine import NATIVE
from ..gguf import GGUF
from ..model import ChatModel
from ..plan import Plan, plan, supported
from ..speaker import Speaker
from ..tokenizer import Tokenizer
from .binding import Binding
from .crew import Crew, Job
from .flow import flow
from .settings import settings_of
from .steps import needs_steps, steps
from .vocabulary import BoundVocabulary

__all__ = ["LlamaCppEngine"]

# llama.cpp takes no guesses at its next tokens from outside. So none are made, and the usage says so.
INERT: Mapping[str, Support] = {"prediction": "inert"}
NO_GUESSES = 0


class LlamaCppEngine:
    """The model in a GGUF file, run with llama.cpp.

    `model` is the id it answers to, the model's own name unless given. `context` is the most tokens of one
    conversation, `slots` how many choices are made at once; others wait. `threads` compute (llama.cpp decides
    unless given), and `gpu_layers` of the model's layers lie on a GPU where there is one.

    Opening the file checks its head, and raises `GGUFError` where it cannot be used; the weights are read by
    `load` or `start`, or else by the first request. Once they are, it cannot be used in a fork of the process.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        context: int | None = None,
        slots: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
    ) -> None:
        file = GGUF(path)
        settings = settings_of(file, context=context, slots=slots, threads=threads, gpu_layers=gpu_layers)
        known = Tokenizer.knows(file)
        self._binding = Binding(file, settings, listening=not known)
        vocabulary = Tokenizer(file) if known else BoundVocabulary(file, self._binding.tokenize)
        self._model = ChatModel(file, vocabulary, settings.context)
        file.close()
        name = model or self._model.name
        self.models: Sequence[str] = (name,)
        native = sorted({*NATIVE, *supported(self._model)})
        self.supports: Mapping[str, Support] = {**dict.fromkeys(native, "native"), **INERT}
        self._fingerprint = f"{name} llama.cpp {self._binding.version} duologue-{__version__}"
        self._crew = Crew(f"duologue-{name}", settings.slots)
        # Threads that were in llama.cpp when the interpreter ends would take the process down with them.
        weakref.finalize(self, _stop, self._crew, self._binding)

    def generate(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """Yield the answer's events; closing the iterator stops the work before its next token.

        Raises `BadRequestError` for messages that the model cannot take (code `context_length_exceeded` if
        they are too long), and `InternalServerError` with status 503 where too many requests wait.
        """
        # Planned before a place is taken, since grammars and long prompts take their time.
        plans: list[Plan] = []
        asked = msgspec.structs.replace(request, prediction=None)
        return self._crew.run(
            lambda job: self._answer(plans[0], None if request.prediction is None else NO_GUESSES, job),
            size=request.n or 1,
            before=lambda: plans.append(plan(self._model, asked)),
        )

    def load(self) -> None:
        """Read the weights now. Raises `GGUFError` for a model that llama.cpp cannot run."""
        self._binding.load()

    async def start(self) -> None:
        """Read the weights, so that the first request does not wait for them."""
        await asyncio.to_thread(self.load)

    async def close(self) -> None:
        """Stop all work; requests under way fail. A request that comes later loads the model again."""
        await asyncio.to_thread(_stop, self._crew, self._binding)
        await asyncio.to_thread(self._model.constraints.close)

    def _answer(self, asked: Plan, guesses: int | None, job: Job[Event]) -> None:
        job.say([Head(system_fingerprint=self._fingerprint)])
        speakers = [Speaker(asked, self._model.ends, index) for index in range(asked.choices)]
        run = steps if needs_steps(asked) else flow
        run(self._binding, self._model, asked, speakers, job)
        usage = Usage(
            prompt_tokens=len(asked.prompt),
            completion_tokens=sum(speaker.tokens for speaker in speakers),
            reasoning_tokens=sum(speaker.reasoning_tokens for speaker in speakers),
            accepted_prediction_tokens=guesses,
            rejected_prediction_tokens=guesses,
        )
        job.say([usage])


def _stop(crew: Crew, binding: Binding) -> None:
    crew.close()
    binding.close()
