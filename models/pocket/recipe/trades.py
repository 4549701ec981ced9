"""What tools do: known trades with natural requests, and trades made up on the spot."""

from __future__ import annotations

from dataclasses import dataclass

from .lists import frozen, phrases, table
from .voice import Voice

__all__ = ["NUMBERS", "TRADES", "Parameter", "Trade", "invent"]

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
    those of a flag, with what they mean.
    """

    names: str
    kind: str
    about: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    flags: tuple[tuple[str, bool], ...] = ()
    options: tuple[str, ...] = ()

    @property
    def optional(self) -> bool:
        """Whether a request may leave it out."""
        return bool(self.said or self.flags)


@dataclass(frozen=True)
class Trade:
    """What a tool does. A request names the values of the parameters that are not optional, as {0}, {1}, ..."""

    names: tuple[str, ...]
    about: tuple[str, ...]
    requests: tuple[str, ...]
    results: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    broad: bool = False
    known: bool = True

    @property
    def needed(self) -> list[Parameter]:
        """The parameters that every request gives."""
        return [parameter for parameter in self.parameters if not parameter.optional]


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


TRADES = _read()

# Trades made up

INVENTED: dict[str, list[str]] = TABLE["invented"]
JOINS: dict[str, list[str]] = TABLE["invented"]["joins"]


def invent(voice: Voice) -> Trade:
    """A trade that nobody has heard of, with one to four parameters."""
    verb = voice.value("tool_verbs") if voice.chance(0.7) else voice.value("verbs")
    noun = voice.fill(voice.pick(INVENTED["nouns"]))
    do = f"{verb} the {noun}"
    names = {"do": do, "verb": verb, "noun": noun, "Verb": verb.capitalize(), "Noun": noun.capitalize()}

    def spoken(form: str) -> str:
        for name, word in names.items():
            form = form.replace(f"{{{name}}}", word)
        return form

    parameters: dict[str, Parameter] = {}
    (count,) = voice.random.choices((0, 1, 2, 3, 4), (1, 8, 8, 4, 2))
    for _ in range(count):
        made = _parameter(voice, noun)
        parameters.setdefault(made.names, made)
    function = (
        f"{verb}_{noun}" if voice.chance(0.75) else voice.fill(spoken(voice.pick(INVENTED["functions"])))
    )
    needed = [parameter for parameter in parameters.values() if not parameter.optional]
    requests = [_request(voice, do, needed) for _ in range(3)]
    if len(needed) == 1:
        requests += [spoken(voice.pick(INVENTED["single"])) for _ in range(3)]
    return Trade(
        (function,),
        tuple(map(spoken, INVENTED["about"])),
        tuple(requests),
        tuple(INVENTED["results"]),
        tuple(parameters.values()),
        known=False,
    )


def _parameter(voice: Voice, noun: str) -> Parameter:
    kind = voice.value("tool_kinds")
    name = voice.fill(voice.pick(INVENTED["parameters"])) or ("mode" if kind in ("enum", "flag") else kind)
    spoken = name.replace("_", " ")
    about = (f"The {spoken}", f"{spoken.capitalize()} of the {noun}")
    if kind == "enum":
        return Parameter(
            name, kind, about, options=tuple(dict.fromkeys(voice.word() for _ in range(voice.integer(2, 4))))
        )
    if kind == "flag":
        meanings = (
            (f" with {spoken} on", True),
            (f" and {spoken}", True),
            (f" without {spoken}", False),
            (f", no {spoken}", False),
        )
        return Parameter(name, kind, about, flags=meanings)
    return Parameter(name, kind, about)


def _request(voice: Voice, do: str, needed: list[Parameter]) -> str:
    """A request that names each value, {0} the first."""
    if not needed:
        return voice.pick((do, f"please {do}", f"I want to {do}"))
    kinds = [parameter.kind for parameter in needed]
    if all(kind in JOINS for kind in kinds) and len(set(kinds)) == len(kinds) and voice.chance(0.6):
        order = list(enumerate(kinds))
        voice.random.shuffle(order)
        return " ".join([do, *(voice.pick(JOINS[kind]).replace("{v}", f"{{{at}}}") for at, kind in order)])
    mentions = []
    for at, parameter in enumerate(needed):
        name = parameter.names.replace("_", " ") if voice.chance(0.7) else parameter.names
        mentions.append(voice.pick(INVENTED["mentions"]).replace("{n}", name).replace("{v}", f"{{{at}}}"))
    listed = mentions[0] if len(mentions) == 1 else f"{', '.join(mentions[:-1])} and {mentions[-1]}"
    return voice.pick(INVENTED["requests"]).replace("{do}", do).replace("{mentions}", listed)
