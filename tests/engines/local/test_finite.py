"""Numbers that a model writes as JSON: whatever it likes best, a double can hold them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from duologue.engines.local.constraint import Constraint, Constraints
from duologue.engines.local.grammar import json_rule


@pytest.fixture(scope="module")
def constraints(model) -> Constraints:
    return model.constraints


def held_to(constraints: Constraints, schema: dict) -> Constraint:
    return constraints.begin(f"start: {json_rule(schema)}")


def write(model, held: Constraint, text: str) -> str:
    """As much of the text as the constraint lets through; characters that it does not are left out."""
    rest, written = text.encode(), b""
    while rest:
        allowed = held.allowed()
        ways = [token for token in np.flatnonzero(allowed) if rest.startswith(model.tokenizer.pieces[token])]
        if ways:
            token = max(ways, key=lambda token: len(model.tokenizer.pieces[token]))
            held.accept(int(token))
            written += model.tokenizer.pieces[token]
            rest = rest[len(model.tokenizer.pieces[token]) :]
        else:
            rest = rest[1:]
    return written.decode()


NUMBER = {"type": "number"}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        pytest.param("6.02e23", "6.02e23", id="an exponent"),
        pytest.param("1e999", "1e99", id="an exponent of three digits"),
        pytest.param("1e308", "1e30", id="where the digits count, too"),
        pytest.param("1e307", "1e307", id="the largest"),
        pytest.param("1E+00307", "1E+00307", id="zeros in front"),
        pytest.param("1e-99999", "1e-99999", id="as small as it likes"),
        pytest.param("-12345e305", "-12345e30", id="a negative one"),
        pytest.param("9" * 400, "9" * 308, id="digits"),
        pytest.param("9" * 400 + "e1", "9" * 308 + "e", id="digits and an exponent"),
        pytest.param("0." + "9" * 400, "0." + "9" * 400, id="digits behind the point"),
    ],
)
def test_a_number_ends_before_it_is_too_large(text, written, model, constraints):
    assert write(model, held_to(constraints, NUMBER), text) == written
    if written[-1] != "e":
        assert math.isfinite(float(written))


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "object"}, id="any object"),
        pytest.param({"type": "object", "properties": {"a": NUMBER}}, id="a property"),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "number", "minimum": 0}}}, id="a bound below"
        ),
        pytest.param({"type": "object", "properties": {"a": {"type": "integer"}}}, id="an integer"),
    ],
)
def test_wherever_it_stands(schema, model, constraints):
    text = write(model, held_to(constraints, schema), '{"a": ' + "9" * 400 + "}")
    assert json.loads(text)["a"] > 1e300
    assert math.isfinite(float(json.loads(text)["a"]))


def test_in_lists(model, constraints):
    text = write(model, held_to(constraints, {"type": "array"}), "[1e999, -1e999, 2]")
    assert text == "[1e99, -1e99, 2]"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        pytest.param({"type": "string"}, "1e999", id="a text"),
        pytest.param({"type": "string"}, "about 1e999, or -1e999", id="within a text"),
        pytest.param({"enum": ["about 1e999", "about 1e99"]}, "about 1e999", id="one of several"),
        pytest.param({"type": "string", "pattern": "^, [0-9]{400}$"}, ", " + "9" * 400, id="a pattern"),
    ],
)
def test_a_text_that_looks_like_one_is_a_text(schema, text, model, constraints):
    assert write(model, held_to(constraints, schema), json.dumps(text)) == json.dumps(text)


def test_a_fork_goes_on_with_the_number(model, constraints):
    held = held_to(constraints, NUMBER)
    write(model, held, "1e30")
    assert write(model, held.fork(), "9") == ""
    assert write(model, held.fork(), "7") == "7"
    assert write(model, held, "7") == "7"


async def test_answers_are_finite(ask, model):
    """Of a model that would write nothing but nines and exponents."""
    (nine,), (e,) = model.tokenizer.encode("9"), model.tokenizer.encode("e")
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": NUMBER}}
    answer = await ask("Hello", response_format=wanted, logit_bias={str(nine): 90, str(e): 99}, temperature=0)
    assert "e99" in answer.text
    assert math.isfinite(json.loads(answer.text))
