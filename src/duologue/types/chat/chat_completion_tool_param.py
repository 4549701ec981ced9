"""Tools, and which of them the model may call, as people write them in a request.

Everything here is a `TypedDict`: a plain dict at run time, whose keys a type checker knows. Import it from
`duologue.types.chat`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Required, TypeAlias, TypedDict

__all__ = [
    "ChatCompletionAllowedToolChoiceParam",
    "ChatCompletionAllowedToolsParam",
    "ChatCompletionCustomToolParam",
    "ChatCompletionFunctionCallOptionParam",
    "ChatCompletionFunctionToolParam",
    "ChatCompletionNamedToolChoiceCustomParam",
    "ChatCompletionNamedToolChoiceParam",
    "ChatCompletionToolChoiceOptionParam",
    "ChatCompletionToolParam",
    "ChatCompletionToolUnionParam",
    "CustomDefinition",
    "CustomFormatGrammar",
    "CustomFormatGrammarGrammar",
    "CustomFormatText",
    "FunctionDefinition",
    "FunctionParameters",
    "NamedToolParam",
]

# A JSON schema of an object.
FunctionParameters: TypeAlias = Mapping[str, object]


class FunctionDefinition(TypedDict, total=False):
    """A function the model may call.

    `name` has up to 64 of a-z, A-Z, 0-9, `_` and `-`. With `strict` the arguments
    follow `parameters` exactly.
    """

    name: Required[str]
    description: str
    parameters: FunctionParameters
    strict: bool | None


class ChatCompletionFunctionToolParam(TypedDict, total=False):
    """A function tool."""

    function: Required[FunctionDefinition]
    type: Required[Literal["function"]]


class CustomFormatText(TypedDict, total=False):
    """The input of a custom tool is any text."""

    type: Required[Literal["text"]]


class CustomFormatGrammarGrammar(TypedDict, total=False):
    """A grammar in Lark's syntax, or a regular expression."""

    definition: Required[str]
    syntax: Required[Literal["lark", "regex"]]


class CustomFormatGrammar(TypedDict, total=False):
    """The input of a custom tool follows a grammar."""

    grammar: Required[CustomFormatGrammarGrammar]
    type: Required[Literal["grammar"]]


class CustomDefinition(TypedDict, total=False):
    """A tool whose input is text; `name` as for functions."""

    name: Required[str]
    description: str
    format: CustomFormatText | CustomFormatGrammar


class ChatCompletionCustomToolParam(TypedDict, total=False):
    """A custom tool."""

    custom: Required[CustomDefinition]
    type: Required[Literal["custom"]]


ChatCompletionToolParam: TypeAlias = ChatCompletionFunctionToolParam
ChatCompletionToolUnionParam: TypeAlias = ChatCompletionFunctionToolParam | ChatCompletionCustomToolParam


# --- which tool ------------------------------------------------------------------------------------------


class NamedToolParam(TypedDict, total=False):
    """A tool by its name."""

    name: Required[str]


class ChatCompletionNamedToolChoiceParam(TypedDict, total=False):
    """The model must call this function."""

    function: Required[NamedToolParam]
    type: Required[Literal["function"]]


class ChatCompletionNamedToolChoiceCustomParam(TypedDict, total=False):
    """The model must call this custom tool."""

    custom: Required[NamedToolParam]
    type: Required[Literal["custom"]]


class ChatCompletionAllowedToolsParam(TypedDict, total=False):
    """The tools that may (`auto`) or must (`required`) be called, each as a named tool choice names it."""

    mode: Required[Literal["auto", "required"]]
    tools: Required[Iterable[Mapping[str, object]]]


class ChatCompletionAllowedToolChoiceParam(TypedDict, total=False):
    """The model chooses among these tools only."""

    allowed_tools: Required[ChatCompletionAllowedToolsParam]
    type: Required[Literal["allowed_tools"]]


ChatCompletionToolChoiceOptionParam: TypeAlias = (
    Literal["none", "auto", "required"]
    | ChatCompletionAllowedToolChoiceParam
    | ChatCompletionNamedToolChoiceParam
    | ChatCompletionNamedToolChoiceCustomParam
)


class ChatCompletionFunctionCallOptionParam(TypedDict, total=False):
    """Deprecated in favour of the tool choice: the model must call this function."""

    name: Required[str]
