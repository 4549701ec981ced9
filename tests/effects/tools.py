"""Rows: tools, constraints, and how a model is told to think and to speak."""

from __future__ import annotations

import json
import re
from typing import Any

from openai.types.chat import ChatCompletion

from .chat import Chat, Row

__all__ = ["ROWS"]

COLORS = ("red", "green", "blue")


def object_of(**properties: Any) -> dict[str, Any]:
    """A strict schema of an object with just these fields."""
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


PAINT = object_of(color={"enum": list(COLORS)})
COUNT = object_of(number={"type": "integer", "minimum": 0, "maximum": 9})
FUNCTIONS: list[Any] = [
    {"name": "paint", "description": "Paint the wall.", "parameters": PAINT},
    {"name": "count", "description": "Count up to a number.", "parameters": COUNT},
]
TOOLS: list[Any] = [{"type": "function", "function": {**function, "strict": True}} for function in FUNCTIONS]
CODE: Any = {
    "type": "custom",
    "custom": {
        "name": "code",
        "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]{3}-[0-9]{2}"}},
    },
}
LARK: Any = {
    "type": "custom",
    "custom": {
        "name": "sum",
        "format": {
            "type": "grammar",
            "grammar": {"syntax": "lark", "definition": 'start: DIGIT "+" DIGIT\nDIGIT: /[0-9]/'},
        },
    },
}


def named(name: str) -> Any:
    return {"type": "function", "function": {"name": name}}


def fits(name: str, arguments: str) -> bool:
    """Whether a call is one of a tool that was given, with arguments that its schema allows."""
    match name, json.loads(arguments):
        case "paint", {"color": color, **more}:
            return color in COLORS and not more
        case "count", {"number": int(number), **more}:
            return 0 <= number <= 9 and not more
    return False


def called(completion: ChatCompletion) -> list[list[str]]:
    """The names of the tools that each choice called, all of them rightly."""
    found = []
    for choice in completion.choices:
        calls = choice.message.tool_calls or []
        assert all(fits(call.function.name, call.function.arguments) for call in calls)
        assert (choice.finish_reason == "tool_calls") == bool(calls)
        found.append([call.function.name for call in calls])
    return found


def hot(chat: Chat) -> dict[str, Any]:
    """A temperature at which a model says anything, so that what is right is right by the constraint."""
    return {"temperature": 1.5, "n": 4, "max_completion_tokens": 200, "logit_bias": thoughtless(chat)}


def thoughtless(chat: Chat) -> dict[str, int]:
    """A bias against thoughts, which would never end in a model that says anything."""
    pieces = enumerate(chat.tokenizer.pieces)
    return {str(i): -100 for i, piece in pieces if piece and b"<think>".startswith(piece)}


def inclined(chat: Chat) -> dict[str, Any]:
    """A bias by which the model calls a tool wherever it may."""
    mark = chat.tokenizer.special["<tool_call>"]
    return {"logit_bias": {str(mark): 100}, "max_completion_tokens": 200}


def tools(chat: Chat) -> str:
    described = chat.ask(tools=TOOLS).usage.prompt_tokens - chat.ask().usage.prompt_tokens
    assert described > 20
    (names,) = called(chat.ask(tools=TOOLS, parallel_tool_calls=False, **inclined(chat)))
    assert names
    return "the tools stand in the prompt; a model that begins a call ends it with arguments that fit"


def none(chat: Chat) -> str:
    (names,) = called(chat.ask(tools=TOOLS, tool_choice="auto", parallel_tool_calls=False, **inclined(chat)))
    assert names
    assert called(chat.ask(tools=TOOLS, tool_choice="none")) == [[]]
    error = chat.refusal(tools=TOOLS, tool_choice="none", **inclined(chat))
    assert (error.status_code, error.param) == (400, "logit_bias")
    return "with `none` the answer is in words, and a bias towards what begins a call is refused"


def required(chat: Chat) -> str:
    names = called(
        chat.ask("Hello", tools=TOOLS, tool_choice="required", parallel_tool_calls=False, **hot(chat))
    )
    assert all(names)
    return "4 of 4 answers to “Hello” are calls of a tool that is there, with arguments that fit"


def one_tool(chat: Chat) -> str:
    for name in ("paint", "count"):
        names = called(
            chat.ask("Hello", tools=TOOLS, tool_choice=named(name), parallel_tool_calls=False, **hot(chat))
        )
        assert names == [[name]] * 4
    return "4 of 4 answers call the one, 4 of 4 the other"


def allowed_tools(chat: Chat) -> str:
    for name in ("paint", "count"):
        choice: Any = {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [named(name)]},
        }
        names = called(
            chat.ask("Hello", tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, **hot(chat))
        )
        assert all(set(called_ones) == {name} for called_ones in names)
    return "4 of 4 answers call only the one that is allowed"


def parallel_tool_calls(chat: Chat) -> str:
    (line_break,) = chat.tokenizer.encode("\n")
    eager: dict[str, Any] = {
        "tools": TOOLS,
        "tool_choice": "required",
        # Behind a call, a line break leads to the next.
        "logit_bias": {**thoughtless(chat), str(line_break): 100},
        "max_completion_tokens": 200,
    }
    many = chat.ask(**eager).choices[0].message.tool_calls
    assert len(many) >= 2
    (one,) = called(chat.ask(parallel_tool_calls=False, **eager))
    assert len(one) == 1
    return f"1 call, where there are {len(many)} in as many tokens otherwise"


def custom_tools(chat: Chat) -> str:
    for tool, pattern in ((CODE, "[a-z]{3}-[0-9]{2}"), (LARK, "[0-9][+][0-9]")):
        choice: Any = {"type": "custom", "custom": {"name": tool["custom"]["name"]}}
        for answer in chat.ask(
            "Hello", tools=[*TOOLS, tool], tool_choice=choice, parallel_tool_calls=False, **hot(chat)
        ).choices:
            (call,) = answer.message.tool_calls
            assert call.custom.name == tool["custom"]["name"]
            assert re.fullmatch(pattern, call.custom.input)
    return "4 of 4 inputs follow the regular expression, 4 of 4 the Lark grammar"


def functions(chat: Chat) -> str:
    message = chat.ask(functions=FUNCTIONS, **inclined(chat)).choices[0].message
    assert fits(message.function_call.name, message.function_call.arguments)
    assert message.tool_calls is None
    return "a model that begins a call ends it; the call is the message's `function_call`"


def function_call(chat: Chat) -> str:
    for name in ("paint", "count"):
        for choice in chat.ask(functions=FUNCTIONS, function_call={"name": name}, **hot(chat)).choices:
            assert choice.message.function_call.name == name
            assert fits(name, choice.message.function_call.arguments)
    none = chat.ask(functions=FUNCTIONS, function_call="none").choices[0]
    assert none.message.content
    assert none.message.function_call is None
    return "4 of 4 answers call the one, 4 of 4 the other; with `none` the answer is in words"


def json_object(chat: Chat) -> str:
    braces = {str(chat.tokenizer.encode(brace)[0]): 100 for brace in "{}"}
    hasty = {"logit_bias": braces, "max_completion_tokens": 8}
    assert chat.text(response_format={"type": "json_object"}, **hasty) == "{}"
    assert len(chat.text(**hasty)) == 8
    for choice in chat.ask(response_format={"type": "json_object"}, **hot(chat)).choices:
        assert choice.message.content.startswith("{")
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
    return "answers are JSON objects; a model that can say nothing but braces says `{}`"


ANSWER = object_of(
    verdict={"enum": ["yes", "no"]},
    score={"type": "integer", "minimum": 1, "maximum": 5},
    colors={"type": "array", "items": {"enum": list(COLORS)}, "minItems": 1, "maxItems": 2},
)


def json_schema(chat: Chat) -> str:
    wanted: Any = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": ANSWER, "strict": True},
    }
    for text in chat.texts(response_format=wanted, **hot(chat)):
        answer = json.loads(text)
        assert list(answer) == ["verdict", "score", "colors"]
        assert answer["verdict"] in ("yes", "no")
        assert type(answer["score"]) is int
        assert 1 <= answer["score"] <= 5
        assert 1 <= len(answer["colors"]) <= 2
        assert set(answer["colors"]) <= set(COLORS)
    return "4 of 4 answers follow the schema"


def reasoning_effort(chat: Chat) -> str:
    effect = _told(chat, "reasoning_effort", "high", "none")
    if "<think>" not in chat.tokenizer.special:
        return effect
    begins = {str(chat.tokenizer.special["<think>"]): 100}
    answer = chat.ask(reasoning_effort="high", logit_bias=begins)
    assert answer.choices[0].message.content is None
    assert answer.choices[0].message.reasoning_content
    assert answer.usage.completion_tokens_details.reasoning_tokens > 20
    return f"{effect}; thoughts are told and counted apart"


def verbosity(chat: Chat) -> str:
    return _told(chat, "verbosity", "low", "high")


def _told(chat: Chat, name: str, *values: str) -> str:
    """What a model's chat template makes of a value."""
    if name not in chat.engine.supports:
        error = chat.refusal(**{name: values[0]})
        assert (error.status_code, error.param) == (400, name)
        return "a 400 that names it: the chat template has no place for it"
    answers = [chat.ask("What does temperature do?", **{name: value}) for value in values]
    seen = {(answer.usage.prompt_tokens, answer.choices[0].message.content) for answer in answers}
    assert len(seen) == len(values)
    return "the prompt says it, so it or the answer differs with each value"


ROWS: tuple[Row, ...] = (
    Row("tools", "two functions", tools),
    Row("tools", "custom ones, with a regular expression and a Lark grammar", custom_tools),
    Row("tool_choice", "`auto`, then `none`", none),
    Row("tool_choice", "`required`, at temperature 1.5", required),
    Row("tool_choice", "one by its name, then the other, at temperature 1.5", one_tool),
    Row("tool_choice", "`allowed_tools`: one, then the other, at temperature 1.5", allowed_tools),
    Row("parallel_tool_calls", "false, where the model would go on calling", parallel_tool_calls),
    Row("functions", "two of them", functions),
    Row("function_call", "one by its name, then the other, at temperature 1.5; `none`", function_call),
    Row("response_format", "`json_object`", json_object),
    Row("response_format", "`json_schema`, strict, at temperature 1.5", json_schema),
    Row("reasoning_effort", "`high`, `none`", reasoning_effort),
    Row("verbosity", "`low`, `high`", verbosity),
)
