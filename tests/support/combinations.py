"""Requests whose parts do not go together, and such as do: what the rules of combination are tested with."""

from __future__ import annotations

from typing import Any

__all__ = ["BROKEN", "HI", "TAKEN", "F"]

HI = {"role": "user", "content": "Hi"}
F = {"type": "function", "function": {"name": "f"}}
G = {"type": "function", "function": {"name": "g"}}
C = {"type": "custom", "custom": {"name": "c"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALL_2 = {**CALL, "id": "c2"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CALLING_TWICE = {**CALLING, "tool_calls": [CALL, CALL_2]}
ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "4"}
ANSWER_2 = {**ANSWER, "tool_call_id": "c2"}
REFUSAL = {"type": "refusal", "refusal": "no"}
TEXT = {"type": "text", "text": "a"}
VOICE = {"format": "wav", "voice": "x"}

TOGETHER, VALUE, MISSING = "invalid_parameter_combination", "invalid_value", "missing_required_parameter"


def assistant(**fields: Any) -> dict[str, Any]:
    return {"messages": [HI, {"role": "assistant", **fields}]}


def allowed(*tools: Any, mode: str = "auto") -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


# What is asked, and the path, the code and some words of its refusal.
BROKEN = {
    "an assistant says nothing": (assistant(), "messages[1].content", MISSING, "needs content, a refusal"),
    "an assistant calls nothing": (
        assistant(tool_calls=[]),
        "messages[1].content",
        MISSING,
        "or a tool call",
    ),
    "a refusal beside a text": (
        assistant(content=[TEXT, REFUSAL]),
        "messages[1].content",
        VALUE,
        "exactly one refusal",
    ),
    "two refusals": (
        assistant(content=[REFUSAL, REFUSAL]),
        "messages[1].content",
        VALUE,
        "exactly one refusal",
    ),
    "an answer to nothing": (
        {"messages": [HI, ANSWER]},
        "messages[1].tool_call_id",
        VALUE,
        "answers no tool",
    ),
    "an answer to another call": (
        {"messages": [CALLING, ANSWER_2]},
        "messages[1].tool_call_id",
        VALUE,
        "must follow the assistant message",
    ),
    "an answer too late": (
        {"messages": [CALLING, ANSWER, HI, ANSWER]},
        "messages[3].tool_call_id",
        VALUE,
        "answers no tool call",
    ),
    "a call that is answered twice": (
        {"messages": [CALLING_TWICE, ANSWER, ANSWER_2, ANSWER]},
        "messages[3].tool_call_id",
        VALUE,
        'is "c1", which the messages before it have answered',
    ),
    "two calls of one id": (
        {"messages": [HI, {**CALLING, "tool_calls": [CALL, CALL_2, CALL]}, ANSWER, ANSWER_2]},
        "messages[1].tool_calls[2].id",
        VALUE,
        "is 'c1', as is another call's",
    ),
    "a call without an answer": (
        {"messages": [CALLING]},
        "messages[0].tool_calls[0]",
        MISSING,
        '"c1" must follow',
    ),
    "one of two calls answered": (
        {"messages": [HI, CALLING_TWICE, ANSWER]},
        "messages[1].tool_calls[1]",
        MISSING,
        '"c2" must follow',
    ),
    "a turn before the answer": (
        {"messages": [HI, CALLING, HI, ANSWER]},
        "messages[3].tool_call_id",
        VALUE,
        "answers no tool call",
    ),
    "a call without an answer, and a turn": (
        {"messages": [HI, CALLING_TWICE, ANSWER_2, HI]},
        "messages[1].tool_calls[0]",
        MISSING,
        "before any other",
    ),
    "stream options without a stream": (
        {"stream_options": {}},
        "stream_options",
        TOGETHER,
        "'stream' is true",
    ),
    "top logprobs without logprobs": ({"top_logprobs": 1}, "top_logprobs", TOGETHER, "'logprobs' is true"),
    "top logprobs where logprobs are false": (
        {"top_logprobs": 2, "logprobs": False},
        "top_logprobs",
        TOGETHER,
        "'logprobs' is true",
    ),
    "two limits": ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", TOGETHER, "Set one of them"),
    **{
        f"the bias of {key!r}": (
            {"logit_bias": {"1": 1, key: 1}},
            f"logit_bias.{key}",
            VALUE,
            "is no token id",
        )
        for key in ("the", "-1", "1.5", "", " 1", "٣", "1" * 11)
    },
    "functions and tools": ({"functions": [{"name": "f"}], "tools": [F]}, "functions", TOGETHER, "old form"),
    "a function twice": (
        {"functions": [{"name": "f"}, {"name": "g"}, {"name": "f"}]},
        "functions[2].name",
        VALUE,
        "is 'f', as is another",
    ),
    "a function call without functions": (
        {"function_call": {"name": "f"}, "tools": [F]},
        "function_call",
        TOGETHER,
        "when 'functions' are given",
    ),
    "a function that is not there": (
        {"function_call": {"name": "g"}, "functions": [{"name": "f"}]},
        "function_call.name",
        VALUE,
        "is 'g', which is not in 'functions'",
    ),
    "a tool twice": ({"tools": [F, C, F]}, "tools[2].function.name", VALUE, "is 'f', as is another"),
    "a custom tool of a function's name": (
        {"tools": [F, {"type": "custom", "custom": {"name": "f"}}]},
        "tools[1].custom.name",
        VALUE,
        "Give each a name of its own",
    ),
    "a choice without tools": (
        {"tool_choice": "required"},
        "tool_choice",
        TOGETHER,
        "when 'tools' are given",
    ),
    "a named choice without tools": (
        {"tool_choice": F, "tools": []},
        "tool_choice",
        TOGETHER,
        "'tools' are given",
    ),
    "allowed tools without tools": (
        {"tool_choice": allowed(F)},
        "tool_choice",
        TOGETHER,
        "'tools' are given",
    ),
    "a choice that is not there": (
        {"tool_choice": G, "tools": [F, C]},
        "tool_choice.function.name",
        VALUE,
        "is 'g', which is not in 'tools'",
    ),
    "a choice of another type": (
        {"tool_choice": {"type": "custom", "custom": {"name": "f"}}, "tools": [F, C]},
        "tool_choice.custom.name",
        VALUE,
        "as a tool of this type",
    ),
    **{
        f"allowed, {why}": (
            {"tool_choice": allowed(F, tool), "tools": [F, C]},
            "tool_choice.allowed_tools.tools[1]",
            VALUE,
            "is not in 'tools'",
        )
        for why, tool in {
            "but not there": G,
            "of another type": {"type": "custom", "custom": {"name": "f"}},
            "with a text for a function": {"type": "function", "function": "f"},
            "with lists": {"type": ["function"], "function": []},
            "with a list for a name": {"type": "function", "function": {"name": ["f"]}},
            "without anything": {},
        }.items()
    },
    "none allowed, and one required": (
        {"tool_choice": allowed(mode="required"), "tools": [F]},
        "tool_choice.allowed_tools.tools",
        "empty_array",
        "'mode' is 'required'",
    ),
    "one call at a time without tools": (
        {"parallel_tool_calls": False},
        "parallel_tool_calls",
        TOGETHER,
        "when 'tools' are given",
    ),
    "a voice without its modality": ({"audio": VOICE}, "audio", TOGETHER, "'modalities' has 'audio'"),
    "a voice where text is asked for": (
        {"audio": VOICE, "modalities": ["text"]},
        "audio",
        TOGETHER,
        "'modalities' has 'audio'",
    ),
    "the modality without a voice": ({"modalities": ["text", "audio"]}, "modalities", TOGETHER, "the voice"),
}

# What stands right beside it, of which the documentation does not say that it is wrong.
TAKEN: dict[str, dict[str, Any]] = {
    "an empty answer": assistant(content=""),
    "an answer of nothing but a refusal": assistant(refusal="no"),
    "one refusal part": assistant(content=[REFUSAL]),
    "text parts": assistant(content=[TEXT, TEXT]),
    "a spoken answer": assistant(audio={"id": "a"}),
    "an answer to go on with": assistant(content="Well, "),
    "calls and their answers in any order": {"messages": [HI, CALLING_TWICE, ANSWER_2, ANSWER, HI]},
    "the same ids in another turn": {"messages": [CALLING, ANSWER, CALLING, ANSWER]},
    "calls of tools that are not offered any more": {"messages": [CALLING, ANSWER], "tools": [G]},
    "a function's answer": {"messages": [HI, {"role": "function", "name": "f", "content": None}]},
    "no top logprobs, which is the default": {"top_logprobs": 0},
    "no top logprobs, and no logprobs": {"top_logprobs": 0, "logprobs": False},
    "a stream without options": {"stream": True, "stream_options": None},
    "a stream with options": {"stream": True, "stream_options": {"include_usage": True}},
    "top logprobs": {"top_logprobs": 0, "logprobs": True},
    "one limit, the other null": {"max_tokens": 1, "max_completion_tokens": None},
    "the bias of token ids": {"logit_bias": {"0": 1, "4294967295": -1}},
    "no tools, and no choice of one": {"tool_choice": "none", "tools": []},
    "no tools, and an automatic choice": {"tool_choice": "auto", "parallel_tool_calls": True},
    "no functions, and no call of one": {"function_call": "none"},
    "a function's call": {"function_call": {"name": "f"}, "functions": [{"name": "f"}]},
    "a choice of a custom tool": {"tool_choice": C, "tools": [F, C]},
    "allowed tools of both types": {"tool_choice": allowed(C, F, mode="required"), "tools": [F, C]},
    "nothing allowed, nothing required": {"tool_choice": allowed(), "tools": [F]},
    "one call at a time": {"parallel_tool_calls": False, "tools": [F]},
    "a voice": {"audio": VOICE, "modalities": ["audio"]},
    "text only": {"modalities": ["text"]},
    "a prediction beside all else": {
        "prediction": {"type": "content", "content": "x"},
        "n": 2,
        "logprobs": True,
        "presence_penalty": 1,
    },
    "JSON that no message asks for": {"response_format": {"type": "json_object"}},
}
