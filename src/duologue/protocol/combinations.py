"""The rules that tie the parts of a request to one another, as one table.

Each says in our words what the official documentation of a parameter says in its own, or what the API is known to
refuse. Where both are silent, nothing is refused; nor is a value that says what is so anyway, such as
`tool_choice: "none"` without tools, or `top_logprobs: 0` without `logprobs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..types.chat.request import (
    AllowedToolsChoice,
    AssistantMessage,
    ChatRequest,
    FunctionCallOption,
    Message,
    NamedCustomChoice,
    NamedFunctionChoice,
    RefusalPart,
    ToolCall,
    ToolMessage,
)
from .errors import BadRequestError
from .wording import short

__all__ = ["RULES", "Rule", "check_combinations"]

# Where a rule is broken, as a path, and what else its text names; None where it is not.
Breach: TypeAlias = tuple[str, ...] | None


class Rule(NamedTuple):
    """`find` looks for a breach, `text` words it (`{0}` is the path), `parameter` is the one to change."""

    parameter: str
    find: Callable[[ChatRequest], Breach]
    text: str
    code: str = "invalid_parameter_combination"


def check_combinations(request: ChatRequest) -> None:
    """Raise `BadRequestError` for the first rule that the request breaks."""
    for rule in RULES:
        breach = rule.find(request)
        if breach is not None:
            raise BadRequestError(rule.text.format(*breach), param=breach[0], code=rule.code)


# --- messages ------------------------------------------------------------------------------------------


def _silent(request: ChatRequest) -> Breach:
    for at, message in enumerate(request.messages):
        if type(message) is AssistantMessage and not (
            message.content is not None
            or message.refusal is not None
            or message.audio is not None
            or message.function_call is not None
            or message.tool_calls
        ):
            return (f"messages[{at}].content",)
    return None


def _refusal_in_company(request: ChatRequest) -> Breach:
    for at, message in enumerate(request.messages):
        parts = message.content if type(message) is AssistantMessage else None
        if (
            isinstance(parts, list)
            and len(parts) > 1
            and any(isinstance(part, RefusalPart) for part in parts)
        ):
            return (f"messages[{at}].content",)
    return None


def _answer_to_nothing(request: ChatRequest) -> Breach:
    called: set[str] = set()
    for at, message in enumerate(request.messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in called:
                return (f"messages[{at}].tool_call_id",)
        elif called or type(message) is AssistantMessage:
            called = {call.id for call in _calls(message)}
    return None


def _answered_twice(request: ChatRequest) -> Breach:
    answered: set[str] = set()
    for at, message in enumerate(request.messages):
        if not isinstance(message, ToolMessage):
            answered.clear()
        elif message.tool_call_id in answered:
            return (f"messages[{at}].tool_call_id", json.dumps(short(message.tool_call_id)))
        else:
            answered.add(message.tool_call_id)
    return None


def _call_twice(request: ChatRequest) -> Breach:
    for at, message in enumerate(request.messages):
        place = f"messages[{at}].tool_calls[{{}}].id".format
        if breach := _twice((call.id for call in _calls(message)), place):
            return breach
    return None


def _call_without_answer(request: ChatRequest) -> Breach:
    waiting: dict[str, str] = {}  # the place of each call, by its id
    for at, message in enumerate(request.messages):
        if isinstance(message, ToolMessage):
            waiting.pop(message.tool_call_id, None)
        elif waiting:
            break
        elif type(message) is AssistantMessage:
            calls = enumerate(_calls(message))
            waiting = {call.id: f"messages[{at}].tool_calls[{number}]" for number, call in calls}
    return next(((place, json.dumps(short(call))) for call, place in waiting.items()), None)


def _calls(message: Message) -> list[ToolCall]:
    return (message.tool_calls or []) if isinstance(message, AssistantMessage) else []


# --- tools ---------------------------------------------------------------------------------------------


def _twice(names: Iterable[str], place: Callable[[int], str]) -> Breach:
    seen: set[str] = set()
    for at, name in enumerate(names):
        if name in seen:
            return (place(at), short(name))
        seen.add(name)
    return None


def _function_twice(request: ChatRequest) -> Breach:
    return _twice((each.name for each in request.functions or ()), "functions[{}].name".format)


def _tool_twice(request: ChatRequest) -> Breach:
    tools = request.tools or []
    return _twice((tool.name for tool in tools), lambda at: f"tools[{at}].{tools[at].type}.name")


def _function_not_there(request: ChatRequest) -> Breach:
    choice = request.function_call
    if not isinstance(choice, FunctionCallOption) or not request.functions:
        return None
    there = any(each.name == choice.name for each in request.functions)
    return None if there else ("function_call.name", short(choice.name))


def _offered(request: ChatRequest) -> set[tuple[str, str]]:
    return {(tool.type, tool.name) for tool in request.tools or ()}


def _tool_not_there(request: ChatRequest) -> Breach:
    choice = request.tool_choice
    if isinstance(choice, NamedFunctionChoice):
        name = choice.function.name
    elif isinstance(choice, NamedCustomChoice):
        name = choice.custom.name
    else:
        return None
    there = (choice.type, name) in _offered(request)
    return None if there else (f"tool_choice.{choice.type}.name", short(name))


def _allowed_not_there(request: ChatRequest) -> Breach:
    if not isinstance(request.tool_choice, AllowedToolsChoice):
        return None
    offered = _offered(request)
    for at, tool in enumerate(request.tool_choice.allowed_tools.tools):
        if _named(tool) not in offered:
            return (f"tool_choice.allowed_tools.tools[{at}]",)
    return None


def _named(tool: Mapping[str, Any]) -> tuple[str, str] | None:
    """The kind and the name that an item of `allowed_tools` gives."""
    kind = tool.get("type")
    named = tool.get(kind) if isinstance(kind, str) else None
    name = named.get("name") if isinstance(named, Mapping) else None
    return (kind, name) if isinstance(kind, str) and isinstance(name, str) else None


def _nothing_allowed(request: ChatRequest) -> Breach:
    choice = request.tool_choice
    if not isinstance(choice, AllowedToolsChoice) or choice.allowed_tools.mode != "required":
        return None
    return None if choice.allowed_tools.tools else ("tool_choice.allowed_tools.tools",)


# --- all other parameters ------------------------------------------------------------------------------

# No tokenizer has ids of more digits.
_TOKEN_ID = re.compile(r"[0-9]{1,10}", re.ASCII)


def _no_token_id(request: ChatRequest) -> Breach:
    for key in request.logit_bias or ():
        if not _TOKEN_ID.fullmatch(key):
            return (f"logit_bias.{short(key)}",)
    return None


def _when(path: str, broken: Callable[[ChatRequest], object]) -> Callable[[ChatRequest], Breach]:
    """A rule that is broken in one place or not at all."""
    return lambda request: (path,) if broken(request) else None


RULES: tuple[Rule, ...] = (
    Rule(
        "messages",
        _silent,
        "'{0}' is missing: an assistant message needs content, a refusal, audio or a tool call.",
        "missing_required_parameter",
    ),
    Rule(
        "messages",
        _refusal_in_company,
        "'{0}' has a refusal among other parts: it may be of text parts, or of exactly one refusal.",
        "invalid_value",
    ),
    Rule(
        "messages",
        _answer_to_nothing,
        "'{0}' answers no tool call: a message with role 'tool' must follow the assistant message whose "
        "'tool_calls' it answers.",
        "invalid_value",
    ),
    Rule(
        "messages",
        _answered_twice,
        "'{0}' is {1}, which the messages before it have answered. Answer each tool call once.",
        "invalid_value",
    ),
    Rule(
        "messages",
        _call_twice,
        "'{0}' is '{1}', as is another call's of the same message. Give each an id of its own.",
        "invalid_value",
    ),
    Rule(
        "messages",
        _call_without_answer,
        "'{0}' has no answer: a message with role 'tool' and tool_call_id {1} must follow, before any other.",
        "missing_required_parameter",
    ),
    Rule(
        "stream_options",
        _when("stream_options", lambda r: r.stream_options is not None and not r.stream),
        "'{0}' may only be set when 'stream' is true.",
    ),
    Rule(
        "top_logprobs",
        _when("top_logprobs", lambda r: r.top_logprobs and not r.logprobs),
        "'{0}' may only be set when 'logprobs' is true.",
    ),
    Rule(
        "max_tokens",
        _when("max_tokens", lambda r: r.max_tokens is not None and r.max_completion_tokens is not None),
        "'{0}' is the old name of 'max_completion_tokens'. Set one of them.",
    ),
    Rule(
        "logit_bias",
        _no_token_id,
        "'{0}' is no token id: the keys of 'logit_bias' are numbers as strings, such as '1734'.",
        "invalid_value",
    ),
    Rule(
        "functions",
        _when("functions", lambda r: r.functions and r.tools),
        "'{0}' is the old form of 'tools'. Set one of them.",
    ),
    Rule(
        "functions",
        _function_twice,
        "'{0}' is '{1}', as is another function's. Give each a name of its own.",
        "invalid_value",
    ),
    Rule(
        "function_call",
        _when("function_call", lambda r: r.function_call not in (None, "none", "auto") and not r.functions),
        "'{0}' may only ask for a function when 'functions' are given.",
    ),
    Rule(
        "function_call",
        _function_not_there,
        "'{0}' is '{1}', which is not in 'functions'.",
        "invalid_value",
    ),
    Rule(
        "tools",
        _tool_twice,
        "'{0}' is '{1}', as is another tool's. Give each a name of its own.",
        "invalid_value",
    ),
    Rule(
        "tool_choice",
        _when("tool_choice", lambda r: r.tool_choice not in (None, "none", "auto") and not r.tools),
        "'{0}' may only ask for a tool when 'tools' are given.",
    ),
    Rule(
        "tool_choice",
        _tool_not_there,
        "'{0}' is '{1}', which is not in 'tools' as a tool of this type.",
        "invalid_value",
    ),
    Rule(
        "tool_choice",
        _allowed_not_there,
        "'{0}' is not in 'tools'. Name it by its type and its name, as it stands there.",
        "invalid_value",
    ),
    Rule(
        "tool_choice",
        _nothing_allowed,
        "'{0}' names no tool, where 'mode' is 'required'.",
        "empty_array",
    ),
    Rule(
        "parallel_tool_calls",
        _when("parallel_tool_calls", lambda r: r.parallel_tool_calls is False and not r.tools),
        "'{0}' may only be false when 'tools' are given.",
    ),
    Rule(
        "audio",
        _when("audio", lambda r: r.audio is not None and "audio" not in (r.modalities or ())),
        "'{0}' may only be set when 'modalities' has 'audio'.",
    ),
    Rule(
        "modalities",
        _when("modalities", lambda r: "audio" in (r.modalities or ()) and r.audio is None),
        "'{0}' with 'audio' needs the parameter 'audio', which says the format and the voice.",
    ),
)
