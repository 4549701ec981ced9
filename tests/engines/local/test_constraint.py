"""What holds an answer to a grammar: masks, and the proof that answers at any temperature are valid."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

import jsonschema
import numpy as np
import pytest

from duologue.engine import Finish, Text, ToolArguments, ToolCall
from duologue.engines.local import constraint
from duologue.engines.local.constraint import Constraint, Constraints, GrammarError
from duologue.protocol.errors import BadRequestError, InternalServerError
from support.random_schemas import random_object, random_root

TEMPERATURES = (0.7, 1.0, 1.5, 2.0)
PROMPTS = ("Maria is 31 and lives in Oslo.", "Hello", "What is the weather in Paris?")
# So many answers are asked for at once.
TOGETHER = 50


@pytest.fixture(scope="module")
def constraints(model) -> Constraints:
    return model.constraints


def logits(held: Constraint, vocabulary: int) -> np.ndarray:
    values = np.zeros(vocabulary, np.float32)
    held.mask(values)
    return values


def follow(held: Constraint, tokens: list[int]) -> None:
    for token in tokens:
        held.accept(token)


async def answers(pocket, requests: list[Any]) -> list[list[Any]]:
    """The events of each request's answer, in the order of the requests."""

    async def answer(request: Any) -> list[Any]:
        return [event async for event in pocket.generate(request)]

    found: list[list[Any]] = []
    for start in range(0, len(requests), TOGETHER):
        found += await asyncio.gather(*map(answer, requests[start : start + TOGETHER]))
    return found


def check(value: Any, schema: dict[str, Any]) -> None:
    formats = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(schema, format_checker=formats).validate(value)


async def test_200_random_schemas_hold_at_any_temperature(pocket, make_request):
    """Every answer that is not cut off is valid, and most are not cut off."""
    requests, schemas = [], []
    for seed in range(200):
        choose = random.Random(seed)
        schemas.append(random_root(choose))
        wanted = {"name": "x", "schema": schemas[-1], "strict": choose.random() < 0.5}
        requests.append(
            make_request(
                choose.choice(PROMPTS),
                response_format={"type": "json_schema", "json_schema": wanted},
                temperature=choose.choice(TEMPERATURES),
                seed=seed,
                max_tokens=120,
            )
        )
    whole = 0
    for events, schema in zip(await answers(pocket, requests), schemas, strict=True):
        (finish,) = (event for event in events if isinstance(event, Finish))
        if finish.reason != "length":
            whole += 1
            check(json.loads("".join(event.text for event in events if isinstance(event, Text))), schema)
    assert whole >= 150


async def test_200_forced_calls_are_valid(pocket, make_request):
    """By `required`, by name, and of allowed tools: each is of an offered tool, and follows its schema."""
    requests, offers = [], []
    for seed in range(200):
        choose = random.Random(seed)
        schemas = {f"tool_{index}": random_object(choose, 1) for index in range(choose.randint(1, 2))}
        tools = [
            {"type": "function", "function": {"name": name, "parameters": schema}}
            for name, schema in schemas.items()
        ]
        one = {"type": "function", "function": {"name": choose.choice(list(schemas))}}
        choice: Any = choose.choice(("required", one, {"mode": "required", "tools": [one]}))
        if "mode" in choice:
            choice = {"type": "allowed_tools", "allowed_tools": choice}
        if choice != "required":
            schemas = {one["function"]["name"]: schemas[one["function"]["name"]]}
        parallel = choose.random() < 0.3
        offers.append((schemas, parallel and choice is not one))
        requests.append(
            make_request(
                choose.choice(PROMPTS),
                tools=tools,
                tool_choice=choice,
                parallel_tool_calls=parallel,
                temperature=choose.choice(TEMPERATURES),
                seed=seed,
                max_tokens=64,
            )
        )
    whole = 0
    for events, (schemas, many) in zip(await answers(pocket, requests), offers, strict=True):
        assert not any(isinstance(event, Text) for event in events)
        (finish,) = (event for event in events if isinstance(event, Finish))
        names = {event.index: event.name for event in events if isinstance(event, ToolCall)}
        assert set(names.values()) <= schemas.keys()
        assert many or len(names) <= 1
        if finish.reason == "length":
            continue
        assert finish.reason == "tool_calls"
        whole += 1
        for index, name in names.items():
            arguments = "".join(
                event.text for event in events if isinstance(event, ToolArguments) and event.index == index
            )
            check(json.loads(arguments), schemas[name])
    assert whole >= 120


# --- masks -----------------------------------------------------------------------------------------------


def test_only_what_the_grammar_allows_is_left(model, constraints):
    held = constraints.begin('start: "yes" | "no"')
    left = np.flatnonzero(np.isfinite(logits(held, len(model.tokenizer))))
    pieces = {model.tokenizer.pieces[token] for token in left}
    assert b"n" in pieces
    assert all(b"yes".startswith(piece) or b"no".startswith(piece) for piece in pieces)


def test_what_is_left_keeps_its_logits(constraints):
    held = constraints.begin('start: "a"')
    allowed = held.allowed()
    values = np.arange(len(allowed), dtype=np.float64)
    held.mask(values)
    assert (values == np.where(allowed, np.arange(len(allowed)), -np.inf)).all()


def test_the_way_to_the_end(model, constraints):
    """The end may come where the text may be whole; where nothing else may, it is done."""
    held = constraints.begin("start: /[0-9]{1,2}/")
    ends = list(model.ends)
    assert not held.allowed()[ends].any()
    (one,) = model.tokenizer.encode("1")
    held.accept(one)
    assert held.allowed()[ends].all()
    assert not held.done
    held.accept(one)
    assert held.done


def test_a_fork_goes_its_own_way(model, constraints):
    (a,), (b,) = model.tokenizer.encode("a"), model.tokenizer.encode("b")
    one = constraints.begin("start: /a[bc]+/")
    other = one.fork()
    one.accept(a)
    assert (one.allowed()[a], one.allowed()[b]) == (False, True)
    assert (other.allowed()[a], other.allowed()[b]) == (True, False)
    assert constraints.begin("start: /a[bc]+/").allowed()[a]


def test_a_token_that_is_not_allowed_is_not_accepted(model, constraints):
    with pytest.raises(BadRequestError, match="left no way on"):
        constraints.begin('start: "a"').accept(model.tokenizer.encode("b")[0])


def test_control_tokens_are_no_text(model, constraints):
    """Any text at all leaves them out, but those that end the answer."""
    allowed = constraints.begin("start: /(?s:.*)/").allowed()
    control = sorted(model.tokenizer.control)
    assert {i for i in control if allowed[i]} == set(model.ends)
    for token, piece in enumerate(model.tokenizer.pieces):
        if token not in model.tokenizer.control and piece.isascii():
            assert allowed[token], piece


def test_a_control_token_can_be_asked_for_by_its_id(model, constraints):
    token = min(model.tokenizer.control - model.ends)
    held = constraints.begin(f"start: <[{token}]>")
    assert list(np.flatnonzero(held.allowed())) == [token]


def test_a_grammar_that_becomes_too_complex_is_an_error(model, constraints):
    """Of the one answer that it is for."""
    held = constraints.begin('start: /[0-9]{500}/ "a" without_end\nwithout_end: "b" without_end')
    values = np.zeros(len(model.tokenizer), np.float32)
    follow(held, model.tokenizer.encode("1" * 500))

    def go_on() -> None:
        for token in model.tokenizer.encode("abbb"):
            held.accept(token)
            held.mask(values)

    with pytest.raises(BadRequestError, match="became too complex") as caught:
        go_on()
    assert caught.value.code == "constraint_too_complex"
    with pytest.raises(BadRequestError, match="became too complex"):
        held.mask(values)


@pytest.mark.parametrize(
    ("grammar", "words"),
    [
        pytest.param("start: foo", "unknown name", id="an unknown rule"),
        pytest.param('start: "a', "lexer error", id="an open string"),
        pytest.param("start: /(?=a)/", "look-ahead", id="what no automaton can do"),
        pytest.param("start: x\nx: x", "no text satisfies it", id="a rule that is only itself"),
        pytest.param("", "Empty grammar", id="nothing"),
        pytest.param("start: " + "a" * 2**20, "larger than", id="too much"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(grammar, words, constraints):
    assert words in constraints.check(grammar)
    with pytest.raises(GrammarError, match=words):
        constraints.begin(grammar)


def test_a_grammar_that_can_be_used_has_nothing_wrong(constraints):
    assert constraints.check('start: "a"') == ""


def test_without_the_package_the_error_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(InternalServerError, match="pip install llguidance") as caught:
        Constraints(model.tokenizer, model.ends).begin('start: "a"')
    assert (caught.value.status_code, caught.value.code) == (501, "constraints_unavailable")


def test_a_mask_costs_little(model, constraints):
    """Well below the milliseconds that a token takes, in free text with a tool on offer as in JSON."""
    held = constraints.begin('start: %json {"type": "object"}')
    total = 0.0
    loop = asyncio.new_event_loop()
    values = np.zeros(len(model.tokenizer), np.float32)
    for token in model.tokenizer.encode('{"a": [1, 2, {"b": "some words here"}], "c": null, "d": -1.5e3'):
        start = loop.time()
        held.mask(values)
        total += loop.time() - start
        values[:] = 0
        held.accept(token)
    loop.close()
    assert total < 0.1
    assert constraint.MAX_COMPILED > 1
