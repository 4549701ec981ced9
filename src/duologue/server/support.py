"""Whether an engine can do what a request asks. Nothing is ever ignored in silence.

A parameter at its default asks for nothing. One that is not is what the engine declares it to be (see
`engine.Support`), and an unsupported one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, get_args

from ..engine import EMULATED, Engine, Support
from ..protocol.checks import PARAMETERS
from ..protocol.errors import BadRequestError
from ..protocol.wording import short
from ..types.chat.request import ChatRequest, TextFormat

__all__ = ["IGNORED", "Verdict", "check_declaration", "check_support", "listed"]

# The header that names what was dropped.
IGNORED = "duologue-ignored-params"

# How long the names in a header may be together, in characters: all parameters have room.
MAX_NAMES = 480

# What an engine may declare a parameter to be.
SUPPORTS: tuple[Support, ...] = get_args(Support)

# What the server itself sees to, whatever the engine is.
SERVED = frozenset(("messages", "model", "stream", "stream_options"))

# By their nature without effect on the answer: labels, and advice to a cache or a scheduler.
INERT = frozenset(
    (
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "user",
    )
)

# What leaving a parameter out means, where the protocol says so.
DEFAULTS: Mapping[str, Any] = {
    "frequency_penalty": 0,
    "function_call": "auto",
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "reasoning_effort": "medium",
    "response_format": TextFormat(),
    "store": False,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1,
    "verbosity": "medium",
}

# What asks for nothing, too: "none", where there is nothing that could be called.
ALSO_DEFAULT: Mapping[str, Callable[[ChatRequest], bool]] = {
    "function_call": lambda request: request.function_call == "none" and not request.functions,
    "tool_choice": lambda request: request.tool_choice == "none" and not request.tools,
}


# What can only be emulated for an engine that supports the parameter it stands on.
NEEDS: Mapping[str, str] = {
    "function_call": "tool_choice",
    "functions": "tools",
    "parallel_tool_calls": "tools",
    "tool_choice": "tools",
}


class Verdict(NamedTuple):
    """Parameters that are not at their defaults: left to the engine's author, to be emulated, dropped."""

    delegated: list[str]
    emulated: list[str]
    dropped: list[str]


def check_declaration(engine: Engine) -> None:
    """Raise `ValueError` for what an engine cannot say: a slip of the pen would be a parameter ignored."""
    for name, support in engine.supports.items():
        said = f"the engine {engine.models[0]!r} declares {name!r} as {support!r}, "
        if name in SERVED:
            raise ValueError(f"{said}which the server itself sees to: leave it out")
        if name not in PARAMETERS:
            raise ValueError(f"{said}which is no parameter; there are {', '.join(PARAMETERS)}")
        if support not in SUPPORTS:
            raise ValueError(f"{said}which is none of {', '.join(SUPPORTS)}")
        if support == "emulated" and name not in EMULATED:
            raise ValueError(f"{said}which no server can do; what can be is {', '.join(EMULATED)}")


def check_support(request: ChatRequest, engine: Engine, *, lenient: bool) -> Verdict:
    """What becomes of the parameters of `request`.

    Strict, an unsupported one raises `BadRequestError` with its name; lenient, it is put to its default.
    """
    verdict = Verdict([], [], [])
    for name in PARAMETERS:
        if _at_default(name, request):
            continue
        support = support_of(name, engine)
        if support in ("native", "inert"):
            continue
        if support == "delegated":
            verdict.delegated.append(name)
        elif support == "emulated":
            verdict.emulated.append(name)
        elif lenient:
            setattr(request, name, None)
            verdict.dropped.append(name)
        else:
            raise BadRequestError(
                f"Unsupported parameter: '{name}' is not supported by the model '{engine.models[0]}'. Leave it "
                "out, or serve a model that supports it.",
                param=name,
                code="unsupported_parameter",
            )
    return verdict


def listed(names: Iterable[str]) -> str:
    """Names for a header: parameters before what is unknown, and how many more there are than have room."""
    found = sorted(dict.fromkeys(names), key=lambda name: name not in PARAMETERS)
    text = ""
    for at, name in enumerate(found):
        longer = f"{text}, {short(name)}" if at else short(name)
        if len(longer) > MAX_NAMES:
            return f"{text}, and {len(found) - at} more"
        text = longer
    return text


def support_of(name: str, engine: Engine) -> Support:
    """What becomes of a parameter with this engine."""
    if name in SERVED:
        return "native"
    support = engine.supports.get(name, "inert" if name in INERT else "unsupported")
    if support == "emulated" and name in NEEDS and support_of(NEEDS[name], engine) == "unsupported":
        return "unsupported"
    # The old form of tools is mapped to the new one in all its parts, or in none.
    whole = name != "function_call" or (support_of("functions", engine) == "emulated") == (
        support == "emulated"
    )
    return support if whole else "unsupported"


def _at_default(name: str, request: ChatRequest) -> bool:
    value = getattr(request, name)
    if value is None or value == DEFAULTS.get(name):
        return True
    return name in ALSO_DEFAULT and ALSO_DEFAULT[name](request)
