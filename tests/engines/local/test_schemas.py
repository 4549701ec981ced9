"""JSON schemas: what is enforced, what is refused and in which words, and what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue.engines.local.grammar import json_rule
from duologue.engines.local.schema_values import Place
from duologue.engines.local.schemas import MAX_DEPTH, MAX_MULTIPLES, MAX_PROPERTIES, blame, ready
from duologue.protocol.errors import BadRequestError

PLACE = Place("response_format", "schema")


def accepts(model: Any, schema: dict[str, Any], text: str) -> bool:
    """Whether an answer that is held to the schema may be the text."""
    held = model.constraints.begin(f"start: {json_rule(ready(schema, PLACE))}")
    try:
        for token in model.tokenizer.encode(text):
            held.accept(token)
    except BadRequestError:
        return False
    return bool(held.allowed()[list(model.ends)].all())


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def in_property(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"]}


# What is wrong with a schema; the keyword that the error names; some of its words.
REFUSED: dict[str, tuple[Any, str, str]] = {
    "not": ({"not": {"type": "string"}}, "not", "cannot be enforced"),
    "uniqueItems": ({"type": "array", "uniqueItems": True}, "uniqueItems", "cannot be enforced"),
    "contains": ({"type": "array", "contains": {}}, "contains", "cannot be enforced"),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, "dependentRequired", "cannot be enforced"),
    "propertyNames": ({"propertyNames": {"pattern": "^x"}}, "propertyNames", "cannot be enforced"),
    "if": ({"if": {}, "then": {}}, "if", "cannot be enforced"),
    "unevaluatedProperties": ({"unevaluatedProperties": False}, "unevaluatedProperties", "cannot be"),
    "additionalItems": ({"additionalItems": False}, "additionalItems", "cannot be enforced"),
    "nullable": ({"type": "string", "nullable": True}, "nullable", "cannot be enforced"),
    "an unknown keyword": ({"type": "string", "mood": "good"}, "mood", "cannot be enforced"),
    "an anchor": ({"$anchor": "x"}, "$anchor", "cannot be enforced"),
    "an id inside": ({"$id": "x"}, "$id", "cannot be enforced"),
    "an encoding": ({"contentEncoding": "base64"}, "contentEncoding", "cannot be enforced"),
    "an unknown format": ({"type": "string", "format": "fancy"}, "format", "Unknown format: fancy"),
    "a pattern with a look-ahead": ({"type": "string", "pattern": "(?=a)"}, "pattern", "look-ahead"),
    "a pattern that is none": ({"type": "string", "pattern": "("}, "pattern", "unclosed group"),
    "a range with nothing in it": ({"type": "integer", "minimum": 2, "maximum": 1}, "m", "Unsatisfiable"),
    "lengths with nothing between": (
        {"type": "string", "minLength": 2, "maxLength": 1},
        "m",
        "Unsatisfiable",
    ),
    "an enum with nothing in it": ({"enum": []}, "enum", "Unsatisfiable"),
    "a type that is none": ({"type": "integre"}, "type", "Invalid type"),
    "two of one at once": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf", "say 'anyOf'"),
    "a reference to nowhere": ({"$ref": "#/$defs/x"}, "$ref", "where no schema is"),
    "a reference to what was no schema": ({"$ref": "#/title"}, "$ref", "where no schema is"),
    "a reference to another document": ({"$ref": "https://example.com/s"}, "$ref", "places in this schema"),
    "a huge number": ({"type": "integer", "maximum": 10**40}, "maximum", "2^53"),
    "a huge number in an enum": ({"enum": [[{"a": 2**60}]]}, "enum", "2^53"),
    "a number without end": ({"type": "number", "minimum": float("inf")}, "minimum", "2^53"),
    "a reference into a const": (
        {"anyOf": [{"$ref": "#/properties/a/anyOf/1/const"}, {"const": {"minProperties": 4}}]},
        "$ref",
        "where no schema is",
    ),
    "a reference to what is read in two ways": ({"$ref": "#/$defs/a%2Fconst"}, "$ref", "'~1'"),
    "names that are required twice": (
        {"type": "object", "required": ["a", "a", "a"], "minProperties": 3},
        "minProperties",
        "'required'",
    ),
    "a control character": ({"const": ["\x01"]}, "const", "control characters"),
    "a control character in a name": ({"properties": {"a\x7f": {}}}, "properties", "control characters"),
    "a control character in a pattern": ({"pattern": r"^[a\x01]\u{2}$"}, "pattern", "control characters"),
    "alternatives that multiply": (
        {"allOf": [{"anyOf": [{"required": [f"{i}{j}"]} for j in range(4)]} for i in range(6)]},
        "",
        "ways to combine",
    ),
    "a format that is called so": ({"type": "string", "format": "unknown"}, "format", "Unknown format"),
    "a format of numbers": ({"type": "integer", "format": "int32"}, "format", "Unknown format"),
    "a multiple of less than nothing": ({"multipleOf": -2}, "multipleOf", "above 0"),
    "a large multiple": ({"type": "integer", "multipleOf": 99991}, "multipleOf", str(MAX_MULTIPLES)),
    "a multiple with many digits": ({"type": "number", "multipleOf": 0.123456}, "multipleOf", "together"),
    "many multiples": ({"anyOf": [{"multipleOf": 3000}] * 2}, "anyOf.1.multipleOf", "together"),
    "many properties": (
        {"type": "object", "properties": {f"p{i}": {} for i in range(MAX_PROPERTIES + 1)}},
        "properties",
        "may have 1000",
    ),
    "a tiny number": ({"type": "number", "minimum": 1e-300}, "minimum", "minimum"),
    "more properties than names": (
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
        "minProperties",
        "'required'",
    ),
    "items as a list": ({"type": "array", "items": [{}]}, "items", "a schema is an object"),
    "a list of schemas that is none": ({"anyOf": {}}, "anyOf", "list of schemas"),
    "properties that are none": ({"properties": []}, "properties", "object of schemas"),
    "a schema that is none": ({"items": 3}, "items", "a schema is an object"),
    "too deep": (nested(MAX_DEPTH + 1), "items", f"{MAX_DEPTH} deep"),
}


@pytest.mark.parametrize(("schema", "keyword", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_enforced_is_refused_by_its_name_and_place(schema, keyword, words, model):
    """Inside of another schema, so that its path must be found."""

    def check(part: Any) -> str:
        return model.constraints.check(f"start: {json_rule(part)}")

    with pytest.raises(BadRequestError) as caught:
        blame(ready(in_property(schema), PLACE), PLACE, check)
    assert caught.value.param == "response_format"
    assert caught.value.code == "invalid_json_schema"
    assert str(caught.value).startswith("schema.properties.a")
    assert not keyword or f".{keyword}" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#"}, id="itself"),
        pytest.param(
            {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}, id="by way of another"
        ),
        pytest.param({"allOf": [{"$ref": "#"}], "type": "object"}, id="beside other keywords"),
    ],
)
def test_a_reference_in_a_circle_is_refused(schema):
    with pytest.raises(BadRequestError, match="leads in a circle"):
        ready(schema, PLACE)


def test_many_references_to_the_same_take_no_time():
    """Each leads to two that lead to two, and so on."""
    pairs = {f"s{i}": {"anyOf": [{"$ref": f"#/$defs/s{i + 1}"}] * 2} for i in range(25)}
    ready({"$defs": {**pairs, "s25": {"type": "null"}}, "$ref": "#/$defs/s0"}, PLACE)


def test_a_reference_to_itself_further_inside_is_none(model):
    tree = {"type": "object", "properties": {"more": {"$ref": "#"}}, "additionalProperties": False}
    assert accepts(model, tree, '{"more": {"more": {}}}')
    assert not accepts(model, tree, '{"more": 1}')


@pytest.mark.parametrize("pointer", ["#/$defs/a~1b%20c~0", "#/$defs/list/anyOf/1"])
def test_references_by_pointers(pointer, model):
    defs = {"a/b c~": {"type": "integer"}, "list": {"anyOf": [{"type": "null"}, {"type": "integer"}]}}
    schema = {"$defs": defs, "type": "array", "items": {"$ref": pointer}}
    assert accepts(model, schema, "[1, 2]")
    assert not accepts(model, schema, '["a"]')


# A schema, a text that follows it, and one that does not.
ENFORCED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unanchored pattern": ({"type": "string", "pattern": "b+"}, '"abbc"', '"ac"'),
    "an anchored pattern": ({"type": "string", "pattern": "^b$"}, '"b"', '"ab"'),
    "a leap year": ({"type": "string", "format": "date"}, '"2000-02-29"', '"1900-02-29"'),
    "a time in a leap year": (
        {"type": "string", "format": "date-time"},
        '"2024-02-29T00:00:00Z"',
        '"2023-02-29T00:00:00Z"',
    ),
    "a date with a pattern": (
        {"type": "string", "format": "date", "pattern": "^20"},
        '"2023-02-28"',
        '"2023-02-29"',
    ),
    "a year that was": ({"format": "date"}, '"0001-01-01"', '"0000-01-01"'),
    "a format": ({"type": "string", "format": "date"}, '"2024-02-29"', '"2024-02-30"'),
    "characters, not bytes": ({"type": "string", "maxLength": 2}, '"éé"', '"ééé"'),
    "a range without the end": ({"type": "integer", "exclusiveMinimum": 3}, "4", "3"),
    "a bound without a type": ({"minimum": 3}, '"x"', "2"),
    "multiples": ({"type": "integer", "multipleOf": 7}, "21", "22"),
    "a const": ({"const": {"a": [1, None]}}, '{"a": [1, null]}', '{"a": [1]}'),
    "types and an enum": ({"type": "string", "enum": ["a", 1]}, '"a"', "1"),
    "one of what excludes each other": ({"oneOf": [{"type": "null"}, {"const": 1}]}, "1", "2"),
    "all of two": (
        {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"maxProperties": 1}]},
        '{"a": 1}',
        '{"b": 1}',
    ),
    "a list that begins with something": (
        {"type": "array", "prefixItems": [{"const": 1}], "items": {"type": "null"}},
        "[1, null]",
        "[null]",
    ),
    "names by a pattern": (
        {"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
        '{"x1": 1}',
        '{"y": 1}',
    ),
    "a property that must be there": (
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]},
        '{"b": 1}',
        '{"a": 1}',
    ),
    "no properties but the named": ({"type": "object", "properties": {"a": {}}}, '{"a": 1}', '{"b": 1}'),
    "any others where it says so": (
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        '{"b": 1}',
        "[]",
    ),
    "a name only once": (
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        '{"a": 1, "b": 2}',
        '{"a": 1, "a": 2}',
    ),
    "a name that is taken, in no other spelling": (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "additionalProperties": {"type": "string"},
        },
        r'{"a": 1, "b\n": "x"}',
        r'{"a": 1, "\u0061": "x"}',
    ),
    "a name that counts, in no other spelling": (
        {"type": "object", "required": ["a"], "minProperties": 2},
        '{"a": 1, "b": 1}',
        r'{"a": 1, "\u0061": 1}',
    ),
    "names by a pattern, in no other spelling": (
        {
            "type": "object",
            "patternProperties": {"^a\\n": {"type": "integer"}},
            "additionalProperties": {"type": "string"},
        },
        r'{"a\n": 1, "b": "x"}',
        r'{"a\u000a": "x"}',
    ),
    "a pattern that excludes control characters": (
        {"type": "string", "pattern": r"^[^\x00-\x1f]+$"},
        '"ab"',
        r'"a\n"',
    ),
    "open where two share the properties": (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        '{"b": 1}',
        '{"a": "x"}',
    ),
    "open where others are required": (
        {"type": "object", "properties": {"a": {}}, "required": ["b"]},
        '{"b": 1}',
        '{"a": 1}',
    ),
    "nothing that is idle": ({"type": "array", "uniqueItems": False}, "[1, 1]", "{}"),
    "true and false": (
        {"type": "object", "properties": {"a": True, "b": False}},
        '{"a": 1}',
        '{"b": 1}',
    ),
    "JSON on one line": ({"type": "array"}, "[1, 2]", "[1,\n2]"),
}


@pytest.mark.parametrize(("schema", "right", "wrong"), ENFORCED.values(), ids=ENFORCED)
def test_what_is_enforced(schema, right, wrong, model):
    assert accepts(model, schema, right)
    assert not accepts(model, schema, wrong)


def test_what_only_says_something_to_people_is_left_out():
    """And with it what would change how llguidance reads the rest."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/x",
        "title": "t",
        "description": "d",
        "x-guidance": {"lenient": True},
        "type": "object",
        "properties": {"a": {"type": "integer", "default": 1, "examples": [2], "x-order": 1}},
        "additionalProperties": False,
    }
    assert ready(schema, PLACE) == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": False,
    }


def test_properties_may_have_the_names_of_keywords(model):
    schema = {"type": "object", "properties": {"title": {"type": "integer"}, "not": {"type": "null"}}}
    assert ready(schema, PLACE)["properties"] == schema["properties"]
    assert accepts(model, schema, '{"title": 1, "not": null}')


def test_a_schema_with_much_in_it(model):
    schema = {"enum": [f"value {index}" for index in range(5000)]}
    assert accepts(model, schema, '"value 4999"')
    assert not accepts(model, schema, '"value 5000"')


def test_many_properties_of_which_any_may_be_missing(model):
    schema = {"type": "object", "properties": {f"p{i}": {"type": "integer"} for i in range(MAX_PROPERTIES)}}
    assert accepts(model, schema, '{"p500": 1, "p999": 2}')


def test_looking_for_what_is_wrong_is_bounded(model):
    """Of many schemas that are wrong only together, the error is of all of them."""
    looked_at = 0

    def check(part: Any) -> str:
        nonlocal looked_at
        looked_at += 1
        return "too large" if len(json.dumps(part)) > 3000 else ""

    schema = ready(
        {"type": "object", "properties": {f"p{i}": {"type": "integer"} for i in range(500)}}, PLACE
    )
    with pytest.raises(BadRequestError, match="schema: the schema cannot be enforced: too large"):
        blame(schema, PLACE, check)
    assert looked_at < 150
