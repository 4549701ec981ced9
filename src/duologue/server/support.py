"""Whether an engine can do what a request asks. Nothing is ever ignored in silence.

A parameter at its default asks for nothing. One that is not is what the engine declares it to be (see
`engine.Support`), and an unsupported one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..engine import Engine, Support
from ..protocol.checks import PARAMETERS
from ..protocol.errors import BadRequestError
from ..types.chat.request import ChatRequest, TextFormat

__all__ = ["check_support"]

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
    "functions": [],
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
    "top_p": 1,
    "verbosity": "medium",
}

# A default that is one only in company.
_ALSO_DEFAULT: Mapping[str, Callable[[ChatRequest], bool]] = {
    "tool_choice": lambda request: request.tool_choice == "none" and not request.tools,
}


def check_support(request: ChatRequest, engine: Engine, *, lenient: bool) -> tuple[list[str], list[str]]:
    """The parameters that are left to the engine's author, and those that had to be dropped from `request`.

    Strict, an unsupported one raises `BadRequestError` with its name; lenient, it is put to its default.
    """
    delegated: list[str] = []
    dropped: list[str] = []
    for name in PARAMETERS:
        support = support_of(name, engine)
        if support in ("native", "inert") or _at_default(name, request):
            continue
        if support == "delegated":
            delegated.append(name)
        elif lenient:
            setattr(request, name, None)
            dropped.append(name)
        else:
            raise BadRequestError(
                f"Unsupported parameter: '{name}' is not supported by the model '{engine.models[0]}'. Leave it "
                "out, or serve a model that supports it.",
                param=name,
                code="unsupported_parameter",
            )
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        if not lenient:
            raise BadRequestError(
                "Unsupported parameter: this server does not obfuscate streams. Leave "
                "'stream_options.include_obfuscation' out.",
                param="stream_options.include_obfuscation",
                code="unsupported_parameter",
            )
        request.stream_options.include_obfuscation = None
        dropped.append("stream_options.include_obfuscation")
    return delegated, dropped


def support_of(name: str, engine: Engine) -> Support:
    """What becomes of a parameter with this engine."""
    if name in SERVED:
        return "native"
    return engine.supports.get(name, "inert" if name in INERT else "unsupported")


def _at_default(name: str, request: ChatRequest) -> bool:
    value = getattr(request, name)
    if value is None or value == DEFAULTS.get(name):
        return True
    return name in _ALSO_DEFAULT and _ALSO_DEFAULT[name](request)
