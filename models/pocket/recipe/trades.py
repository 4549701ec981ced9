"""What tools do: known trades with natural requests, and trades made up on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .lists import frozen, phrases, table

__all__ = ["NUMBERS", "RESULTS", "TRADES", "Parameter", "Trade", "parameter"]

TABLE = table("tools")
# Kinds of numbers and their bounds; all other kinds are texts, choices ("enum"), flags, or lists of names.
NUMBERS: dict[str, tuple[int, int]] = {
    "small": (1, 12),
    "percent": (0, 100),
    "minutes": (1, 120),
    "number": (0, 999),
    "degrees": (5, 30),
    "id": (1, 99999),
    "people": (1, 12),
    "nights": (1, 14),
    "money": (1, 5000),
    "year": (1950, 2030),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter: names to choose from, a kind of value, and what may describe it.

    Where it is optional, `said` are the additions to a request that give it, and {} is the value; `flags` are
    additions with the value that they mean. One that is given `always` is given by an addition, too.
    """

    names: str
    kind: str
    about: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    flags: tuple[tuple[str, bool | str], ...] = ()
    options: tuple[str, ...] = ()
    always: bool = False

    @property
    def added(self) -> bool:
        """Whether it is no part of a request, but added to it."""
        return bool(self.said or self.flags)


@dataclass(frozen=True)
class Trade:
    """What a tool does. A request names the values of the parameters that are not optional, as {0}, {1}, ...

    `pairs` are requests for two calls at once. One that is made up is about a `noun`, and what a request for it
    has and no other about this noun is the `cue`. The `meaning` is the value of a flag, which every request gives.
    An action has its field of `life`; one of a `kin` about this noun, what tells it from the others.
    """

    names: tuple[str, ...]
    about: tuple[str, ...]
    requests: tuple[str, ...]
    results: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    broad: bool = False
    known: bool = True
    pairs: tuple[str, ...] = ()
    noun: str = ""
    cue: str = ""
    meaning: bool | None = None
    life: str = ""
    kin: str = ""

    @property
    def needed(self) -> list[Parameter]:
        """The parameters whose values stand in every request."""
        return [parameter for parameter in self.parameters if not parameter.added]

    @property
    def numbers(self) -> list[Parameter]:
        """Those of them that are numbers."""
        return [one for one in self.needed if one.kind in (*NUMBERS, "decimal") or one.kind.endswith("#")]


def _read() -> tuple[Trade, ...]:
    return tuple(
        Trade(
            tuple(trade["names"].split()),
            tuple(trade["about"]),
            phrases(trade["requests"]),
            tuple(trade["results"]),
            tuple(Parameter(**frozen(parameter)) for parameter in trade.get("parameter", ())),
            trade.get("broad", False),
        )
        for trade in TABLE["trade"]
    )


def parameter(entry: str) -> Parameter:
    """The parameter of an entry "names:kind:description|description", whose kind may be a choice, this|that."""
    names, kind, *about = entry.split(":", 2)
    return Parameter(names, kind, tuple(about[0].split("|")) if about else ())


def _read_short() -> Iterator[Trade]:
    """The trades of trades.toml; one with a flag is two, one for each meaning."""
    for trade in table("trades")["trade"]:
        whole = Trade(
            names=tuple(trade["names"].split()),
            about=tuple(trade["about"]),
            requests=phrases(trade.get("requests", "")),
            results=RESULTS,
            parameters=tuple(map(parameter, trade["parameter"])),
            pairs=phrases(trade["pairs"]) if "pairs" in trade else (),
        )
        if "flags" not in trade:
            yield whole
        for meaning, requests in zip((True, False), trade.get("flags", ()), strict=False):
            yield replace(whole, requests=tuple(requests), meaning=meaning)


RESULTS = tuple(TABLE["invented"]["results"])
TRADES = (*_read(), *_read_short())
