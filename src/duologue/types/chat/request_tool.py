"""The tools of a request, checked: the twins of the TypedDicts in `chat_completion_tool_param`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta

from .request_message import Checked

__all__ = [
    "AllowedTools",
    "AllowedToolsChoice",
    "CustomFormat",
    "CustomTool",
    "CustomToolDefinition",
    "FunctionCallOption",
    "FunctionDefinition",
    "FunctionTool",
    "GrammarFormat",
    "LegacyFunction",
    "Name",
    "NamedCustomChoice",
    "NamedFunctionChoice",
    "Tool",
    "ToolChoice",
]

# The schema's prose: "a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64".
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]


class FunctionDefinition(Checked):
    """A function the model may call; `parameters` is a JSON schema."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Checked, tag_field="type", tag="function"):
    """A function tool."""

    type: ClassVar[Literal["function"]] = "function"
    function: FunctionDefinition

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name


class Grammar(Checked):
    """A grammar in Lark's syntax, or a regular expression."""

    definition: str
    syntax: Literal["lark", "regex"]


class TextToolFormat(Checked, tag_field="type", tag="text"):
    """Any text."""

    type: ClassVar[Literal["text"]] = "text"


class GrammarFormat(Checked, tag_field="type", tag="grammar"):
    """Text that a grammar describes."""

    type: ClassVar[Literal["grammar"]] = "grammar"
    grammar: Grammar


CustomFormat: TypeAlias = TextToolFormat | GrammarFormat


class CustomToolDefinition(Checked):
    """A tool whose input is text."""

    name: Name
    description: str | None = None
    format: CustomFormat | None = None


class CustomTool(Checked, tag_field="type", tag="custom"):
    """A custom tool."""

    type: ClassVar[Literal["custom"]] = "custom"
    custom: CustomToolDefinition

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.custom.name


Tool: TypeAlias = FunctionTool | CustomTool


class ToolName(Checked):
    """A tool by its name."""

    name: str


class NamedFunctionChoice(Checked, tag_field="type", tag="function"):
    """The model must call this function."""

    type: ClassVar[Literal["function"]] = "function"
    function: ToolName


class NamedCustomChoice(Checked, tag_field="type", tag="custom"):
    """The model must call this custom tool."""

    type: ClassVar[Literal["custom"]] = "custom"
    custom: ToolName


class AllowedTools(Checked):
    """The tools that may be called; `tools` name them as a tool choice would."""

    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class AllowedToolsChoice(Checked, tag_field="type", tag="allowed_tools"):
    """The model may, or must, call one of these."""

    type: ClassVar[Literal["allowed_tools"]] = "allowed_tools"
    allowed_tools: AllowedTools


ToolChoice: TypeAlias = (
    Literal["none", "auto", "required"] | AllowedToolsChoice | NamedFunctionChoice | NamedCustomChoice
)


class LegacyFunction(Checked):
    """Deprecated: a function the model may call."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class FunctionCallOption(Checked):
    """Deprecated: the function that must be called."""

    name: str
