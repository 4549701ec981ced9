"""What the server does in an engine's stead, over what the engine yields.

Per choice, in this order:

1. whole characters: halves of a surrogate pair are joined;
2. `stop`, on visible content only, holding back no more than may be the beginning of a stop sequence;
3. the token limit, on all that was generated; the earlier position in the text wins, and a tie is a stop;
4. `tool_choice` and `parallel_tool_calls`;
5. `response_format`, but not of what was cut at the limit.

A stop or the limit closes the engine's iterator at once, and the usage is then the server's own count. A
choice under 4 or 5 is held back until it passes; after two further runs it is an error. An emulated answer is
made choice by choice: `n` runs side by side, each of one choice, with the seeds `seed`, `seed` + 1, and so on; a
further run of a choice has a seed that none of them had.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from ...engine import Engine, Event
from ...protocol.write import Together
from ...types.chat.request import ChatRequest
from ..breath import Breath
from .choice import MAX_RETRIES, make_choice
from .count import Tally
from .fanout import merged
from .plan import make_plan

__all__ = ["MAX_RETRIES", "Emulator"]


class Emulator:
    """An engine for one request: `engine`, and the parameters in `names` done over it.

    It makes no more than `max_fanout` choices. `breath` is that of the task which takes its events.

    Raises `BadRequestError` for what cannot be emulated, and `InternalServerError`, a 501, where that takes a
    library which is not installed.
    """

    def __init__(
        self, engine: Engine, request: ChatRequest, names: Collection[str], *, max_fanout: int, breath: Breath
    ) -> None:
        self.models = engine.models
        self.supports = engine.supports
        self._engine = engine
        self._breath = breath
        # Functions are mapped to tools: an engine that honours `tool_choice` needs no check of it.
        trusted = {"function_call"} if engine.supports.get("tool_choice") == "native" else set()
        self._plan = make_plan(request, frozenset(names) - trusted, max_fanout)

    def generate(self, request: ChatRequest) -> AsyncGenerator[Event | str | Together, None]:
        """The answer; its usage comes last."""
        tally = Tally(request, self._plan.choices)
        if self._plan.choices == 1:
            return make_choice(self._engine, self._plan, 0, tally, self._breath)
        breaths = [Breath(self._breath.every) for _ in range(self._plan.choices)]
        return merged(
            [
                (make_choice(self._engine, self._plan, index, tally, breath), breath)
                for index, breath in enumerate(breaths)
            ]
        )
