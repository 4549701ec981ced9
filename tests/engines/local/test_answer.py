"""Whole answers: what holds a model to a form, its thoughts, and the deprecated functions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duologue_pocket
import numpy as np
import openai
import pytest

from duologue.engine import Finish, Reasoning, Text, ToolArguments, ToolCall, Usage
from duologue.engines.local import LocalEngine, default_engine
from duologue.engines.local.gguf import GGUF
from duologue.engines.local.prediction import MAX_DRAFT
from duologue.engines.local.tokenizer import Tokenizer
from duologue.run import run_server

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
FUNCTION = {"name": "set_age", "parameters": SCHEMA}


def person(text: str) -> dict:
    said = json.loads(text)
    assert set(said) == {"name", "age"}
    assert isinstance(said["name"], str)
    assert isinstance(said["age"], int)
    return said


# --- constraints -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"temperature": 0}, id="temperature 0"),
        pytest.param({"temperature": 2}, id="temperature 2"),
        pytest.param({"temperature": 2, "top_p": 0.1}, id="top_p"),
        pytest.param({"temperature": 1, "presence_penalty": 2, "frequency_penalty": 2}, id="penalties"),
        pytest.param({"temperature": 2, "logit_bias": "letters"}, id="other tokens selected"),
        pytest.param({"temperature": 2, "logit_bias": "end"}, id="the end selected"),
        pytest.param({"temperature": 1, "prediction": {"type": "content", "content": "{}"}}, id="prediction"),
    ],
)
async def test_whatever_else_is_asked_the_answer_keeps_to_its_schema(ask, model, parameters):
    """An answer that is not cut off is what the schema describes, and ends where that is complete."""
    biased = {
        "letters": {str(i): 100 for i, piece in enumerate(model.tokenizer.pieces) if piece.isalpha()},
        "end": {str(i): 100 for i in model.ends},
    }
    if "logit_bias" in parameters:
        bias = {
            i: value for i, value in biased[parameters["logit_bias"]].items() if int(i) not in model.forbidden
        }
        parameters = {**parameters, "logit_bias": bias}
    answer = await ask("Who are you?", n=6, seed=1, max_tokens=150, response_format=FORMAT, **parameters)
    whole = [text for text, reason in zip(answer.texts, answer.reasons, strict=True) if reason == "stop"]
    assert len(whole) >= 3
    for text in whole:
        person(text)


async def test_a_prediction_changes_no_constrained_answer(ask):
    asked = {"response_format": FORMAT, "temperature": 1.2, "max_tokens": 150}
    for seed in range(6):
        plain = await ask("Who are you?", seed=seed, **asked)
        prediction = {"type": "content", "content": plain.text[:30] + '", "age": 31}'}
        answer = await ask("Who are you?", seed=seed, prediction=prediction, **asked)
        assert (answer.text, answer.reasons) == (plain.text, plain.reasons)


FIXED = {
    "type": "object",
    "properties": {"thing": {"const": 'the thin, "thick" thing 4.25'}, "unit": {"enum": ["metre"]}},
    "required": ["thing", "unit"],
    "additionalProperties": False,
}
FIXED_FORMAT = {"type": "json_schema", "json_schema": {"name": "thing", "schema": FIXED, "strict": True}}


@pytest.mark.parametrize("temperature", [0, 2])
async def test_forced_text_is_in_the_tokenizers_own_tokens(pocket, plan, tmp_path, make_request, temperature):
    """Not in others that spell the same: so says a trained model, and one that would say anything."""
    plan.metadata["llama.context_length"] = 256
    for engine, path in ((pocket, duologue_pocket.path()), (None, plan.write(tmp_path))):
        engine = engine or LocalEngine(path)
        request = make_request(
            "Hello", response_format=FIXED_FORMAT, temperature=temperature, seed=1, logprobs=True
        )
        events = [event async for event in engine.generate(request)]
        await engine.close()
        said = [event for event in events if isinstance(event, Text)]
        text = "".join(event.text for event in said)
        assert json.loads(text) == {"thing": 'the thin, "thick" thing 4.25', "unit": "metre"}
        tokenizer = Tokenizer(GGUF(path))
        own = [tokenizer.pieces[token] for token in tokenizer.encode(text)]
        assert [bytes(entry.bytes) for event in said for entry in event.logprobs] == own
        assert events[-1].completion_tokens == len(own)


async def test_forced_text_obeys_stop_and_limit(ask, model):
    whole = (await ask("Hello", response_format=FIXED_FORMAT)).text
    tokens = [model.tokenizer.pieces[token].decode() for token in model.tokenizer.encode(whole)]
    for limit in (1, 2, 16, 17, 18, len(tokens) - 1):
        cut = await ask("Hello", response_format=FIXED_FORMAT, max_tokens=limit)
        assert (cut.text, cut.reasons, cut.usage[1]) == ("".join(tokens[:limit]), ["length"], limit)
    stopped = await ask("Hello", response_format=FIXED_FORMAT, stop="thick")
    before = whole.partition("thick")[0]
    assert (stopped.text, stopped.reasons) == (before, ["stop"])
    assert len("".join(tokens[: stopped.usage[1] - 1])) < len(before + "thick")


async def test_a_forced_call_takes_few_steps(ask, model, make_request, count_steps):
    """What the grammar leaves no choice about is read in one go, and counted token by token."""
    tools = [{"type": "function", "function": {"name": "ping_the_other_host"}}]
    asked = {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False, "temperature": 2}
    answer = await ask("Hello", **asked)
    (call,) = [event for event in answer.events if isinstance(event, ToolCall)]
    assert (call.name, answer.reasons) == ("ping_the_other_host", ["tool_calls"])
    inner = model.tokenizer.encode('\n{"name": "ping_the_other_host", "arguments": {}}\n')
    assert answer.usage[1] == len(inner) + 2
    assert count_steps(model, make_request("Hello", **asked)) == -(-answer.usage[1] // (MAX_DRAFT + 1))


async def test_a_constrained_answer_may_be_cut_off(ask):
    answer = await ask("Who are you?", response_format=FORMAT, max_tokens=4, temperature=0)
    assert (answer.reasons, answer.usage[1]) == (["length"], 4)


# --- the deprecated functions ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with (
        run_server(default_engine()) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client,
    ):
        yield client


FORCED = {
    "model": "pocket",
    "messages": [{"role": "user", "content": "Maria is 31 years old."}],
    "functions": [FUNCTION],
    "function_call": {"name": "set_age"},
    "seed": 1,
    "max_tokens": 150,
}


def test_functions_are_answered_with_a_function_call(client):
    (choice,) = client.chat.completions.create(**FORCED).choices
    assert choice.finish_reason == "function_call"
    assert choice.message.content is None
    assert choice.message.tool_calls is None
    assert choice.message.function_call.name == "set_age"
    person(choice.message.function_call.arguments)


def test_a_function_call_is_streamed(client):
    chunks = [chunk.choices[0] for chunk in client.chat.completions.create(**FORCED, stream=True)]
    calls = [choice.delta.function_call for choice in chunks if choice.delta.function_call]
    assert calls[0].name == "set_age"
    assert all(call.name is None for call in calls[1:])
    person("".join(call.arguments for call in calls))
    assert len(calls) > 3
    assert chunks[-1].finish_reason == "function_call"


def test_functions_need_not_be_called(client):
    asked = {**FORCED, "function_call": "none", "max_tokens": 20}
    (choice,) = client.chat.completions.create(**asked).choices
    assert choice.message.function_call is None
    assert choice.message.content


CUSTOM = [{"type": "custom", "custom": {"name": "set_age"}}]
TOOLS = [{"type": "function", "function": FUNCTION}]


@pytest.mark.parametrize(
    "forced",
    [
        pytest.param({"tools": TOOLS, "tool_choice": "required"}, id="required"),
        pytest.param(
            {"tools": TOOLS, "tool_choice": TOOLS[0] | {"function": {"name": "set_age"}}}, id="named"
        ),
        pytest.param({"tools": CUSTOM, "tool_choice": "required"}, id="custom"),
        pytest.param({"functions": [FUNCTION], "function_call": {"name": "set_age"}}, id="functions"),
    ],
)
async def test_a_call_that_is_cut_before_its_name_is_none(ask, forced):
    """The answer is empty, and ends for its length; cut behind its name, it is a call of that name."""
    called = []
    for limit in (1, 6, 10, 13, 17):
        answer = await ask("Maria is 31 years old.", max_tokens=limit, temperature=0, **forced)
        assert (answer.text, answer.reasons, answer.usage[1]) == ("", ["length"], limit)
        called.append([event.name for event in answer.events if isinstance(event, ToolCall)])
    assert called[:3] == [[], [], []]
    assert called[-1] == ["set_age"]


def test_an_answer_that_is_cut_before_its_call_is_a_legal_one(client):
    """Its content is the empty text, since it has nothing else."""
    cut = client.chat.completions.create(**FORCED | {"max_tokens": 3})
    assert cut.choices[0].finish_reason == "length"
    assert cut.choices[0].message.content == ""
    assert cut.choices[0].message.function_call is None
    chunks = [*client.chat.completions.create(**FORCED | {"max_tokens": 3}, stream=True)]
    assert [chunk.choices[0].delta.function_call for chunk in chunks] == [None] * len(chunks)
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_a_forced_call_is_told_in_events(ask):
    answer = await ask("Maria is 31.", tools=TOOLS, tool_choice="required", parallel_tool_calls=False, seed=1)
    kinds = [type(event) for event in answer.events]
    assert kinds.count(ToolCall) == 1
    assert Text not in kinds
    person("".join(event.text for event in answer.events if isinstance(event, ToolArguments)))
    assert answer.reasons == ["tool_calls"]


# --- thoughts --------------------------------------------------------------------------------------------


async def test_thoughts_are_told_and_counted_apart(plan, script, make_request):
    """The model writes `<think>`, two letters, `</think>`, and three more."""
    tokens = plan.metadata["tokenizer.ggml.tokens"]
    begin, end = len(tokens), len(tokens) + 1
    tokens += ["<think>", "</think>"]
    plan.metadata["tokenizer.ggml.token_type"] += [4, 4]
    plan.metadata["tokenizer.chat_template"] += "{# it may <think> first #}"
    embedding, kind = plan.tensors["token_embd.weight"]
    more = np.random.default_rng(1).normal(0, 0.3, (2, embedding.shape[1])).astype(np.float32)
    plan.tensors["token_embd.weight"] = (np.concatenate([embedding, more]), kind)
    engine = script([begin, *b"Hm", end, *b"Yes"])
    request = make_request("?", temperature=0, logprobs=True)
    events = [event async for event in engine.generate(request)]
    await engine.close()
    assert [event.text for event in events if isinstance(event, Reasoning)] == ["H", "m"]
    said = [event for event in events if isinstance(event, Text)]
    assert "".join(event.text for event in said) == "Yes"
    assert [entry.token for event in said for entry in event.logprobs] == ["Y", "e", "s"]
    assert events[-2] == Finish("stop")
    usage = events[-1]
    assert isinstance(usage, Usage)
    assert (usage.completion_tokens, usage.reasoning_tokens) == (8, 2)
