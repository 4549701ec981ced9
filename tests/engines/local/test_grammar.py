"""What answers are held to: whatever a model would like to say, the reader finds what was asked for."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest

from duologue.engines.local.forms import Thoughts
from duologue.engines.local.grammar import Calls, Offered, compose, json_rule
from duologue.engines.local.model import Model
from duologue.engines.local.reader import Part, Reader
from duologue.engines.local.schema_values import Place
from duologue.engines.local.schemas import ready
from support.gguf_writer import tiny_model

SCHEMAS: dict[str, dict[str, Any]] = {
    "get": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 6}},
        "required": ["city"],
    },
    "get_all": {"type": "object", "properties": {}},
    "add": {"type": "object", "properties": {"a": {"type": "integer", "maximum": 99}}, "required": ["a"]},
}
TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
SUM = '%lark {\nstart: NUMBER ("+" NUMBER)*\nNUMBER: /[0-9]{1,3}/\n%ignore " "\n}'
ANSWER = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
ARGS_TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{% endfor %}{% if tools %}[TOOL_CALLS]f[ARGS]{% endif %}"
)
TOOLS = [
    *(Offered(name, "json", json_rule(ready(schema, Place("", "")))) for name, schema in SCHEMAS.items()),
    Offered("note", "input", json_rule(ready(TEXT, Place("", "")))),
    Offered("sum", "raw", SUM),
]
CARRIERS = {tool.name: tool.carrier for tool in TOOLS}
STYLES = ("hermes", "think", "llama3", "mistral", "mistral with [ARGS]")


@pytest.fixture(scope="module", params=STYLES)
def model(request, tmp_path_factory) -> Model:
    """A model of each form, whose words mean nothing."""
    plain = request.param.partition(" ")[0]
    file = tiny_model("llama", style=plain)
    if plain != request.param:
        file.metadata["tokenizer.chat_template"] = ARGS_TEMPLATE
    return Model(file.write(tmp_path_factory.mktemp("models")))


def control(model: Model) -> dict[str, int]:
    return {text: i for text, i in model.tokenizer.special.items() if i in model.tokenizer.control}


def thoughts_of(model: Model, *, opened: bool = False) -> Thoughts | None:
    tags = model.prompts.thoughts
    return None if tags is None else Thoughts(tags.open, tags.close, opened)


def wishes(model: Model, choose: random.Random) -> list[int]:
    """Tokens of what a model may want to say: calls, halves of calls, what looks like one, thoughts, text."""
    form = model.prompts.form
    assert form is not None
    thought = [f"{tags.open}\nhm {tags.close}\n\n" for tags in (model.prompts.thoughts,) if tags is not None]
    names = [*CARRIERS, "nobody", "ge"]
    texts = [
        "Hello ", "<", "[", "{", '{"yes": true}', " \n", "é", '"', "1 + 2", *thought, *form.marks,
        form.head, form.closing, form.between, form.tail, '{"city": "x"}', '{"a": 7}', '{"input": "\\n"}', "{}",
    ]  # fmt: skip
    whole = [
        mark + form.head + opening + arguments + form.closing
        for mark in form.marks
        for opening in form.openings
        for arguments in ('{"city": "Rome"}', "{}", '{"a": 1}', '{"input": "a"}', "1+ 2", '"x"')
    ]
    text = "".join(choose.choice([*texts, *whole, *whole]) for _ in range(choose.randint(1, 6)))
    text = text.replace("~", choose.choice(("", " ", "\n"))).replace("#", "abcdefgh1")
    text = "".join(choose.choice(names) if piece == "@" else piece for piece in text)
    if choose.random() < 0.5:
        return model.tokenizer.encode(text)
    return [
        token
        for part in model.tokenizer.split(text)
        for token in ([part] if isinstance(part, int) else model.tokenizer.encode(part))
    ]


def walk(model: Model, grammar: str, choose: random.Random, steps: int = 150) -> tuple[str, bool]:
    """A text that the grammar lets through, and whether it is whole. Where a wish is not allowed, anything is."""
    held = model.constraints.begin(grammar)
    form = model.prompts.form
    assert form is not None
    banned = {i for text, i in control(model).items() if text not in form.marks} - model.ends
    said: list[int] = []
    wanted = wishes(model, choose)
    for _ in range(steps):
        able = [int(i) for i in held.allowed().nonzero()[0] if i not in banned]
        if held.done or (not wanted and any(i in model.ends for i in able)):
            break
        token = wanted.pop(0) if wanted else -1
        if token not in able:
            token = choose.choice([i for i in able if i not in model.ends])
        if token in model.ends:
            break
        said.append(token)
        held.accept(token)
    whole = held.done or bool(held.allowed()[list(model.ends)].any())
    return model.tokenizer.decode(said).decode("utf-8", "replace"), whole


def read(
    model: Model, text: str, thoughts: Thoughts | None, *, marked: bool = False
) -> tuple[list[Part], bool]:
    form = model.prompts.form
    assert form is not None
    reader = Reader(form.only_marked() if marked else form, CARRIERS, thoughts)
    return reader.push(text) + reader.flush(), reader.called


def calls_of(parts: list[Part]) -> list[tuple[str, str]]:
    arguments = {part.index: "" for part in parts if part.kind == "call"}
    for part in parts:
        if part.kind == "arguments":
            arguments[part.index] += part.text
    return [(part.text, arguments[part.index]) for part in parts if part.kind == "call"]


def check_calls(parts: list[Part]) -> None:
    for name, arguments in calls_of(parts):
        if name in SCHEMAS:
            jsonschema.validate(json.loads(arguments), SCHEMAS[name])
        elif name == "sum":
            assert all(number.strip().isdigit() for number in arguments.split("+")), arguments


def content_of(parts: list[Part]) -> str:
    return "".join(part.text for part in parts if part.kind == "content")


@pytest.mark.parametrize("opened", [False, True], ids=["", "thinking"])
@pytest.mark.parametrize("many", [True, False], ids=["many", "one"])
def test_a_call_that_must_come_comes(model, many, opened):
    calls = Calls(model.prompts.form, TOOLS, "must", many)
    thoughts = thoughts_of(model, opened=opened)
    grammar = compose(calls, None, thoughts, control(model))
    counts = set()
    for seed in range(40):
        text, whole = walk(model, grammar, random.Random(seed))
        if whole:
            parts, called = read(model, text, thoughts)
            assert called, text
            assert not content_of(parts), text
            check_calls(parts)
            counts.add(len(calls_of(parts)))
    assert 1 in counts
    assert many or counts == {1}


@pytest.mark.parametrize("opened", [False, True], ids=["", "thinking"])
def test_a_call_that_may_come_is_whole_if_it_comes(model, opened):
    """And text has nothing in it that was to be a call."""
    calls = Calls(model.prompts.form, TOOLS, "may", many=True)
    thoughts = thoughts_of(model, opened=opened)
    grammar = compose(calls, None, thoughts, control(model))
    called_at_all = said_at_all = 0
    for seed in range(80):
        text, whole = walk(model, grammar, random.Random(seed))
        if not whole:
            continue
        parts, called = read(model, text, thoughts)
        check_calls(parts)
        called_at_all += called
        said_at_all += bool(content_of(parts))
        assert called == bool(calls_of(parts)), text
        for mark in model.prompts.form.marked:
            assert mark not in content_of(parts), text
        kinds = [part.kind for part in parts]
        if called:
            assert "content" not in kinds[kinds.index("call") :], text
    assert called_at_all > 1
    assert said_at_all > 1


def test_a_call_that_must_not_come_does_not(model):
    calls = Calls(model.prompts.form, [Offered(name, "raw", "") for name in CARRIERS], "not", many=True)
    thoughts = thoughts_of(model)
    grammar = compose(calls, None, thoughts, control(model))
    said = 0
    for seed in range(60):
        text, _ = walk(model, grammar, random.Random(seed))
        parts, _ = read(model, text, thoughts)
        said += bool(content_of(parts))
        assert calls_of(parts) == [], text
    assert said > 20


@pytest.mark.parametrize("tools", [False, True], ids=["alone", "beside tools"])
def test_an_answer_in_json(model, tools):
    calls = Calls(model.prompts.form.only_marked(), TOOLS, "may", many=True) if tools else None
    thoughts = thoughts_of(model)
    grammar = compose(calls, json_rule(ready(ANSWER, Place("", ""))), thoughts, control(model))
    answered = called_at_all = 0
    for seed in range(60):
        text, whole = walk(model, grammar, random.Random(seed))
        if not whole:
            continue
        parts, called = read(model, text, thoughts, marked=True)
        check_calls(parts)
        called_at_all += called
        if not called:
            jsonschema.validate(json.loads(content_of(parts)), ANSWER)
            answered += 1
        else:
            assert not content_of(parts)
    assert answered > 5
    assert bool(called_at_all) == tools


def test_any_text_needs_no_grammar():
    assert compose(None, None, None, {}) is None
    assert compose(None, None, Thoughts("<think>", "</think>"), {}) is None
