"""The body of a request to a checked `ChatRequest`, or an error that names the field and the remedy.

Types, limits and lengths are declared once, in `types/chat/request`; this module words what the decoder found,
and adds the rules that tie one parameter to another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from ..types.chat.request import (
    AllowedToolsChoice,
    AssistantMessage,
    ChatRequest,
    NamedCustomChoice,
    NamedFunctionChoice,
    ToolMessage,
)
from .errors import BadRequestError

__all__ = ["PARAMETERS", "decode_request"]

# Every parameter of the request, in the order of the protocol's types.
PARAMETERS: tuple[str, ...] = ChatRequest.__struct_fields__

_decoder = msgspec.json.Decoder(ChatRequest)
# What the decoder says: "Expected `str`, got `int` - at `$.messages[0].content`".
_FAILURE = re.compile(
    r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>(?:\.\w+|\[\d+\]|\[\.{3}\])*)`)?", re.DOTALL
)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")


def decode_request(body: bytes, *, lenient: bool = False) -> tuple[ChatRequest, list[str]]:
    """The checked request in `body`, and the names of the parameters that were dropped to make it one.

    Strict, nothing is ever dropped: what is wrong raises `BadRequestError`, its `param` the path of the field.
    Lenient, an optional parameter that is unknown, wrong or badly combined is dropped; `messages` and `model`
    must be right all the same.
    """
    try:
        request = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Look again at the plain value: there a number can be mended, a parameter dropped, a failure worded.
        fields = _json(body)
        return _convert_leniently(fields) if lenient else (_checked(_convert(fields)), [])
    try:
        return _checked(request), []
    except BadRequestError:
        if not lenient:
            raise
    return _convert_leniently(_json(body))


def _convert_leniently(fields: Any) -> tuple[ChatRequest, list[str]]:
    dropped: list[str] = []
    if isinstance(fields, dict):
        dropped = [name for name in fields if name not in PARAMETERS]
        fields = {name: value for name, value in fields.items() if name in PARAMETERS}
    while True:
        try:
            return _checked(_convert(fields)), dropped
        except BadRequestError as error:
            name = re.split(r"[.\[]", error.param or "", maxsplit=1)[0]
            if name in ("", "messages", "model"):
                raise
            del fields[name]
            dropped.append(name)


def _json(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        text = f"is not UTF-8: {error.reason} at byte {error.start}"
    except msgspec.DecodeError as error:
        text = f"is not JSON: {error}"
    except RecursionError:
        text = "is nested too deeply to be read"
    else:
        return _integers_as_such(value) if isinstance(value, dict) else value
    raise BadRequestError(
        f"The body of the request {text}. Send one JSON object in UTF-8.", code="invalid_json"
    )


def _convert(fields: Any) -> ChatRequest:
    try:
        return msgspec.convert(fields, ChatRequest)
    except msgspec.ValidationError as error:
        raise _worded(error, fields) from None


_INTEGERS = ("max_completion_tokens", "max_tokens", "n", "seed", "top_logprobs")


def _integers_as_such(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has one kind of number: 1.0 is an integer, though the decoder says otherwise."""
    for name in _INTEGERS:
        value = fields.get(name)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
            fields[name] = int(value)
    return fields


# --- wording -------------------------------------------------------------------------------------------


def _worded(failure: msgspec.ValidationError, fields: Any) -> BadRequestError:
    """The decoder's message in the protocol's words: what, where, and what would be right."""
    match = _FAILURE.fullmatch(str(failure))
    assert match is not None
    what = match["what"]
    path = (match["path"] or "").replace("[...]", "").lstrip(".")
    if unknown := _UNKNOWN.fullmatch(what):
        path = f"{path}.{unknown['name']}".lstrip(".")
        return BadRequestError(
            f"Unknown parameter: '{path}'. Remove it: this server never ignores what it does not know.",
            param=path,
            code="unknown_parameter",
        )
    if missing := _MISSING.fullmatch(what):
        path = f"{path}.{missing['name']}".lstrip(".")
        return BadRequestError(
            f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
        )
    where = f"'{path}'" if path else "the body"
    if match["key"]:
        where = f"a key of {where}"
    expected = _json_words(what[0].lower() + what[1:])
    if what.startswith("Expected") and "got" in what:
        return BadRequestError(
            f"Invalid type for {where}: {expected}.", param=path or None, code="invalid_type"
        )
    if known := _known_values(path, fields):
        expected = f"{what.partition(' value ')[2]} is none of {', '.join(map(repr, known))}"
    return BadRequestError(
        f"Invalid value for {where}: {expected}.", param=path or None, code="invalid_value"
    )


_WORDS = {
    "`str`": "a string",
    "`int`": "an integer",
    "`float`": "a number",
    "`bool`": "a boolean",
    "`object`": "an object",
    "`array`": "an array",
    "`null`": "null",
}


def _json_words(text: str) -> str:
    """Types by their JSON names: "expected `int | null`" says "expected an integer or null"."""

    def word(match: re.Match[str]) -> str:
        names = [_WORDS.get(f"`{name}`", name) for name in match[1].split(" | ")]
        return " or ".join(names)

    return re.sub(r"`([a-z |]+)`", word, text)


def _known_values(path: str, value: Any) -> list[str]:
    """The values that the field at `path` may have, where it has a list of them; `value` is the whole body."""
    kinds = [msgspec.inspect.type_info(ChatRequest)]
    known: list[str] = []
    for step in re.findall(r"[^.\[\]]+", path):
        options = [option for kind in kinds for option in _options(kind)]
        tags = [option for option in options if getattr(option, "tag_field", None) == step]
        known = [str(option.tag) for option in tags if isinstance(option, msgspec.inspect.StructType)]
        kinds = [inner for option in options for inner in _inside(option, step, value)]
        value = value[int(step)] if isinstance(value, list) else value.get(step)
    for kind in kinds:
        for option in _options(kind):
            if isinstance(option, msgspec.inspect.LiteralType):
                known += [str(each) for each in option.values]
    return known


def _options(kind: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """The types that a type may stand for."""
    if isinstance(kind, msgspec.inspect.Metadata):
        yield from _options(kind.type)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for inner in kind.types:
            yield from _options(inner)
    else:
        yield kind


def _inside(kind: msgspec.inspect.Type, step: str, value: Any) -> Iterator[msgspec.inspect.Type]:
    """The type of one item or field of `kind`; of a union of tagged objects, only that of `value`'s tag."""
    if isinstance(kind, msgspec.inspect.ListType) and isinstance(value, list):
        yield kind.item_type
    elif (
        isinstance(kind, msgspec.inspect.StructType)
        and isinstance(value, dict)
        and (kind.tag_field is None or value.get(kind.tag_field) == kind.tag)
    ):
        yield from (field.type for field in kind.fields if field.encode_name == step)


# --- combinations --------------------------------------------------------------------------------------


class Combination(NamedTuple):
    """A rule that ties parameters together: `broken` tells whether a request breaks it."""

    param: str
    broken: Callable[[ChatRequest], object]
    text: str
    code: str = "invalid_combination"


def _named_tool(request: ChatRequest) -> str | None:
    choice = request.tool_choice
    if isinstance(choice, NamedFunctionChoice):
        return choice.function.name
    return choice.custom.name if isinstance(choice, NamedCustomChoice) else None


def _tool_names(request: ChatRequest) -> list[str]:
    return [tool.name for tool in request.tools or ()]


def _allowed_names(request: ChatRequest) -> Iterable[Any]:
    if not isinstance(request.tool_choice, AllowedToolsChoice):
        return ()
    return [_allowed_name(tool) for tool in request.tool_choice.allowed_tools.tools]


def _allowed_name(tool: Mapping[str, Any]) -> Any:
    named = tool.get(str(tool.get("type")))
    return named.get("name") if isinstance(named, Mapping) else None


COMBINATIONS: tuple[Combination, ...] = (
    Combination(
        "stream_options",
        lambda r: r.stream_options is not None and not r.stream,
        "'stream_options' may only be set when 'stream' is true.",
    ),
    Combination(
        "top_logprobs",
        lambda r: r.top_logprobs is not None and not r.logprobs,
        "'top_logprobs' may only be set when 'logprobs' is true.",
    ),
    Combination(
        "max_tokens",
        lambda r: r.max_tokens is not None and r.max_completion_tokens is not None,
        "'max_tokens' is the old name of 'max_completion_tokens'. Set one of them.",
    ),
    Combination(
        "logit_bias",
        lambda r: r.logit_bias and not all(key.isascii() and key.isdigit() for key in r.logit_bias),
        "The keys of 'logit_bias' must be token ids, such as '1734'.",
        "invalid_value",
    ),
    Combination(
        "functions",
        lambda r: r.functions and r.tools,
        "'functions' is the old form of 'tools'. Set one of them.",
    ),
    Combination(
        "function_call",
        lambda r: r.function_call is not None and not r.functions,
        "'function_call' may only be set with 'functions'.",
    ),
    Combination(
        "tool_choice",
        lambda r: r.tool_choice not in (None, "none", "auto") and not r.tools,
        "'tool_choice' may only ask for a tool when 'tools' are given.",
    ),
    Combination(
        "tool_choice",
        lambda r: r.tools and _named_tool(r) is not None and _named_tool(r) not in _tool_names(r),
        "'tool_choice' names a tool that is not in 'tools'.",
    ),
    Combination(
        "tool_choice",
        lambda r: any(name not in _tool_names(r) for name in _allowed_names(r)),
        "'tool_choice' allows a tool that is not in 'tools'.",
    ),
    Combination(
        "parallel_tool_calls",
        lambda r: r.parallel_tool_calls is not None and not r.tools,
        "'parallel_tool_calls' may only be set with 'tools'.",
    ),
    Combination(
        "audio",
        lambda r: r.audio is not None and "audio" not in (r.modalities or ()),
        "'audio' may only be set when 'modalities' has 'audio'.",
    ),
    Combination(
        "modalities",
        lambda r: "audio" in (r.modalities or ()) and r.audio is None,
        "'modalities' with 'audio' needs 'audio' to say the format and the voice.",
    ),
    Combination(
        "stop",
        lambda r: "" in r.stops,
        "A stop sequence must not be empty.",
        "invalid_value",
    ),
)


def _checked(request: ChatRequest) -> ChatRequest:
    for rule in COMBINATIONS:
        if rule.broken(request):
            raise BadRequestError(rule.text, param=rule.param, code=rule.code)
    _check_conversation(request)
    return request


def _check_conversation(request: ChatRequest) -> None:
    """Tool messages answer the calls of the assistant message before them, all of them and no others."""
    waiting: dict[str, str] = {}
    for at, message in enumerate(request.messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                raise BadRequestError(
                    f"'messages[{at}].tool_call_id' answers no tool call of the assistant message before it.",
                    param=f"messages[{at}].tool_call_id",
                    code="invalid_value",
                )
            waiting[message.tool_call_id] = ""
            continue
        _check_answered(waiting)
        waiting = {}
        if isinstance(message, AssistantMessage):
            if _says_nothing(message):
                raise BadRequestError(
                    f"'messages[{at}]' says nothing: an assistant message needs content, a refusal, audio or "
                    "a tool call.",
                    param=f"messages[{at}].content",
                    code="missing_required_parameter",
                )
            for number, call in enumerate(message.tool_calls or ()):
                waiting[call.id] = f"messages[{at}].tool_calls[{number}]"
    _check_answered(waiting)


def _check_answered(waiting: Mapping[str, str]) -> None:
    for identity, where in waiting.items():
        if where:
            raise BadRequestError(
                f"'{where}' has no answer: a message with role 'tool' and tool_call_id {json.dumps(identity)} "
                "must follow.",
                param=where,
                code="missing_required_parameter",
            )


def _says_nothing(message: AssistantMessage) -> bool:
    return (
        message.content is None
        and message.refusal is None
        and message.audio is None
        and message.function_call is None
        and not message.tool_calls
    )
