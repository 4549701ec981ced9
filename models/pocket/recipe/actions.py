"""Tools and texts put together: what they are about (actions, notes, kin.toml) and what else may be said."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import dataclass, replace

from .fields import FIELDS, draw
from .lists import WORDS, table
from .trades import RESULTS, Parameter, Trade
from .voice import Voice

__all__ = ["ACTIONS", "NOTES", "Action", "act", "kin", "tell", "twins"]

VALUE = re.compile(r"\{([^{}=]+)(?:=([^{}]+))?\}")
# How many fields a tool has beside the values that every request for it holds.
WORD = "{w}"
# The share of tools whose options are written in a style of their own.
STYLED = 0.25
MORE = (0, 1, 1, 2, 2, 2, 3, 3, 4, 5)


@dataclass(frozen=True)
class Action:
    """What a tool does: its names and descriptions, what asks for it, and the fields that may be said with it.

    Where requests mean one of several things, each meaning has its own, and `meant` is what this is called.
    """

    life: str
    names: tuple[str, ...]
    about: tuple[str, ...]
    requests: tuple[tuple[str, ...], ...]
    values: tuple[Parameter, ...]
    fields: tuple[str, ...]
    meant: str = ""
    meanings: tuple[str, ...] = ()


def _read(life: str, block: str) -> Action:
    head, requests, fields = (*block.split("\n"), "")[:3]
    names, _, about = head.partition(" | ")
    values: dict[str, Parameter] = {}

    def value(match: re.Match[str]) -> str:
        kind, called = match[1], match[2]
        if called is None:
            made = replace(FIELDS.get(kind, Parameter(kind, kind)), said=(), flags=())
        elif "|" in kind:
            made = Parameter(called, "enum", options=tuple(kind.split("|")))
        else:
            made = Parameter(called, kind)
        values.setdefault(match[0], made)
        return f"{{{list(values).index(match[0])}}}"

    meant, _, rest = requests.rpartition(" > ")
    groups = [group.split(": ", 1) if meant else ("", group) for group in rest.split(" / ")]
    forms = tuple(tuple(VALUE.sub(value, form) for form in group.split("; ")) for _, group in groups)
    return Action(
        life=life,
        names=tuple(names.split()),
        about=tuple(about.split("; ")),
        requests=forms,
        values=tuple(values.values()),
        fields=tuple(fields.split()),
        meant=meant,
        meanings=tuple(meaning for meaning, _ in groups) if meant else (),
    )


def _all(name: str) -> list[Action]:
    return [
        _read(life, block.strip("\n"))
        for life, text in table(name).items()
        for block in text.split("\n\n")
        if block.strip()
    ]


ACTIONS, NOTES = _all("actions"), _all("notes")


# What one of a few words is taken for, whatever it is about.
CHOICES = [name for name, field in FIELDS.items() if field.options and field.flags]


def act(voice: Voice, life: str = "") -> Trade:
    """A tool of this field of life, or of any: a request gives some of its fields always, others now and then."""
    drawn = _drawn(voice, voice.random.choice([one for one in ACTIONS if not life or one.life == life]))
    if not voice.chance(STYLED):
        return drawn
    style = voice.random.choice((str.lower, str.upper, str.capitalize))
    return replace(drawn, parameters=tuple(_styled(one, style) for one in drawn.parameters))


def _styled(parameter: Parameter, style: Callable[[str], str]) -> Parameter:
    """The parameter with its options in small letters, capitals, or with a capital."""
    flags = tuple(
        (said, style(meant) if isinstance(meant, str) else meant) for said, meant in parameter.flags
    )
    return replace(parameter, options=tuple(map(style, parameter.options)), flags=flags)


def tell(voice: Voice) -> Trade:
    """A text that says several things, as a tool that would take them; its names are those of such records."""
    return _drawn(voice, voice.random.choice(NOTES))


KIN = table("kin")
FAMILIES: list[str] = KIN["kin"].strip("\n").split("\n\n")
# How a request says which one is meant, and the kinds of that.
WHICH = ("$", "$", "$", "% $", "the % $", "my % $")
WHICH_KINDS = ("1-9999", "1-99999#", "1-99999#", "code", "code")


def kin(voice: Voice, noun: str = "", besides: Container[str] = ()) -> Trade:
    """A tool about this noun, or about any, that does something else than those `besides`."""
    family = voice.random.choice([one for one in FAMILIES if _family(one) not in besides])
    return _about(voice, family, noun or _noun(voice), _which(voice))


def twins(voice: Voice) -> tuple[Trade, Trade]:
    """Two tools about one noun that take nothing but which one of its kind is meant."""
    noun, kind = _noun(voice), _which(voice)
    first, second = voice.random.sample([one for one in FAMILIES if "$" in one and "{" not in one], 2)
    return _about(voice, first, noun, kind), _about(voice, second, noun, kind)


def _about(voice: Voice, family: str, noun: str, kind: str) -> Trade:
    block = re.sub(r"\$", lambda _: voice.pick(WHICH), family)
    block = block.replace("$", f"{{{kind}=% id name %_id which}}").replace("%", noun)
    return replace(_drawn(voice, _read("", block)), known=False, noun=noun, kin=_family(family))


def _noun(voice: Voice) -> str:
    return voice.pick(KIN["nouns"].split()) if voice.chance(0.6) else voice.value("nouns")


def _which(voice: Voice) -> str:
    return voice.pick((*WHICH_KINDS, *WORDS["tool_texts"]))


def _family(block: str) -> str:
    return block.split(" ", 1)[0]


def _drawn(voice: Voice, action: Action) -> Trade:
    count = min(voice.random.choice(MORE), len(action.fields))
    if not action.values:
        count = max(1, count)
    names = voice.random.sample(action.fields, min(count, len(action.fields)))
    if voice.chance(0.26):
        names.append(
            voice.pick((WORD, WORD, voice.pick(CHOICES), voice.pick(CHOICES), voice.pick(list(FIELDS))))
        )
    fields = {field.names.split()[0]: field for field in (draw(voice, name) for name in names)}
    more = [replace(field, always=voice.chance(0.55)) for field in fields.values()]
    at = voice.random.randrange(len(action.requests))
    if action.meant:
        meaning = (("", action.meanings[at]),)
        more.append(Parameter(action.meant, "enum", flags=meaning, options=action.meanings, always=True))
    elif more and not action.values:  # a request says at least one thing
        more[0] = replace(more[0], always=True)
    voice.random.shuffle(more)
    return Trade(
        names=action.names,
        about=action.about,
        requests=action.requests[at],
        results=RESULTS,
        parameters=(*action.values, *more),
        life=action.life,
    )
