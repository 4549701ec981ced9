"""The scripted engine: every request is answered with the next turn of a script.

    from duologue import Client, run_server
    from duologue.testing import Call, Script

    with Script(Call("weather", {"city": "Rome"}), "Sunny.") as script, run_server(script) as url:
        ...  # the program under test, with this base URL

    assert script.requests[1].messages[-1].text == "31 degrees"

A request that the script does not expect is answered with a 400, which no client tries again, and kept for
`check`, so that the test fails even where the program hides the error.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias, get_args

from ..engine import Event, Support, ToolArguments, ToolCall
from ..protocol.checks import PARAMETERS
from ..protocol.errors import BadRequestError
from ..server.support import SERVED
from ..types.chat.request import ChatRequest

__all__ = ["Call", "Part", "Pause", "Script", "Turn"]

# A text that is a whole turn is said in these pieces: a word with the white space behind it.
PIECES = re.compile(r"^\s+|\S+\s*")

# The arguments of a call come in pieces of so many characters: cut in the middle of names and numbers.
ARGUMENTS_PIECE = 5

# An error shows so many characters of a message.
SHOWN = 200


@dataclass(frozen=True)
class Pause:
    """Nothing comes for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """A tool call. Calls of one turn are numbered in their order.

    `arguments` are sent as JSON, a string as it stands (broken JSON, say). `custom` is for a tool whose input is
    free text. `id` is made by the server where it is None. Raises `TypeError` or `ValueError` for arguments that
    have no JSON.
    """

    name: str
    arguments: Mapping[str, Any] | str = ""
    id: str | None = None
    custom: bool = False
    choice: int = 0

    def __post_init__(self) -> None:
        self._text()

    def events(self, index: int) -> Iterator[Event]:
        """What an engine yields for it, as the call number `index` of its choice."""
        yield ToolCall(self.name, self.id, index, self.choice, "custom" if self.custom else "function")
        text = self._text()
        for at in range(0, len(text), ARGUMENTS_PIECE):
            yield ToolArguments(text[at : at + ARGUMENTS_PIECE], index, self.choice)

    def _text(self) -> str:
        return (
            self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, allow_nan=False)
        )


# One thing that a turn holds: a piece of text, any event of an engine, a call, a pause, or an error to raise.
Part: TypeAlias = str | Event | Call | Pause | Exception

# One answer. A text alone is said word by word; among others each text is one piece. A function is given the
# request and makes the turn; what it asserts is what the script expects.
Turn: TypeAlias = Part | Iterable[Part] | Callable[[ChatRequest], Part | Iterable[Part]]


class Script:
    """An engine that answers the first request with the first turn, the second with the second, and so on.

    It takes every parameter as it is, and plays what the turn says; with `n`, the events of a turn say their
    choice. As a context manager it calls `check` at the end of a block that raised nothing. Raises `TypeError`
    for a turn that is none.
    """

    def __init__(self, *turns: Turn, model: str = "script") -> None:
        self.models: Sequence[str] = (model,)
        self.supports: Mapping[str, Support] = {name: "native" for name in PARAMETERS if name not in SERVED}
        self.requests: list[ChatRequest] = []
        self._turns = tuple(_prepared(turn, number) for number, turn in enumerate(turns, 1))
        self._failures: list[Exception] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise unless every turn was asked for, as it expects, and nothing more was.

        That is the first `AssertionError`, or whatever else a turn that is a function raised.
        """
        if self._failures:
            raise self._failures[0]
        left = len(self._turns) - len(self.requests)
        if left > 0:
            raise AssertionError(
                f"the script has {len(self._turns)} turns, and {left} of them were not asked for"
            )

    async def generate(self, request: ChatRequest) -> AsyncIterator[Event | str]:
        """Play the turn that is due."""
        self.requests.append(request)
        calls: Counter[int] = Counter()  # of each choice
        for part in self._parts(request, len(self.requests)):
            if isinstance(part, Exception):
                raise part
            if isinstance(part, Pause):
                await asyncio.sleep(part.seconds)
            elif isinstance(part, Call):
                for event in part.events(calls[part.choice]):
                    yield event
                calls[part.choice] += 1
            else:
                yield part

    def _parts(self, request: ChatRequest, number: int) -> Iterator[Part]:
        """What turn `number` holds. What it does not expect raises `BadRequestError` and is kept."""
        try:
            if number > len(self._turns):
                raise AssertionError(f"it ends after turn {len(self._turns)}")
            turn = self._turns[number - 1]
            yield from _parts_of(turn(request)) if callable(turn) else turn
        except Exception as failure:  # whatever a function of the test may raise
            self._failures.append(failure)
            asked = request.messages[-1]
            raise BadRequestError(
                f"Request {number} is not what the script expects: {str(failure) or repr(failure)}. Its last "
                f"message, of the role {asked.role}, is {asked.text[:SHOWN]!r}.",
                code="not_in_the_script",
            ) from failure


def _prepared(turn: Turn, number: int) -> tuple[Part, ...] | Callable[[ChatRequest], Part | Iterable[Part]]:
    if inspect.isclass(turn):
        raise TypeError(f"turn {number} is the class {turn!r}; give an instance of it")
    return turn if callable(turn) else tuple(_parts_of(turn))


def _parts_of(turn: Part | Iterable[Part]) -> Iterator[Part]:
    if isinstance(turn, str):
        parts: Iterable[Part] = PIECES.findall(turn)
    else:
        parts = turn if isinstance(turn, Iterable) else (turn,)
    for part in parts:
        if not isinstance(part, get_args(Part)):
            raise TypeError(f"a turn is made of texts, events, calls, pauses and errors, not of {part!r}")
        yield part
