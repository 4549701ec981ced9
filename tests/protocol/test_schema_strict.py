"""JSON schemas made strict: what is kept, what is put in other words, what is refused; nothing else comes out.

The rows cover every case of openai-node's tests of `toStrictJsonSchema`, put in our own words. Where ours differs,
the row says so: `differs` and why. Its 26 cases of keywords that are `undefined` say nothing in Python.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue import DuologueError, SchemaError, strict_schema
from duologue.protocol.schema.limits import (
    MAX_ENUM_TEXT,
    MAX_ENUM_VALUES,
    MAX_LEVELS,
    MAX_LONG_ENUM,
    MAX_PROPERTIES,
    MAX_TEXT,
)
from duologue.protocol.schema.strict import FORMATS, MAX_DEPTH, MAX_SCHEMAS
from support.strict import strict_faults

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
NULLABLE = {"type": ["string", "null"]}


def obj(properties: dict[str, Any], required: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """An object; all is required unless it is said."""
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, **more}


def closed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return obj(properties, additionalProperties=False, **more)


NAME, AGE, ACTIVE = obj({"name": TEXT}), obj({"age": NUMBER}), obj({"active": {"type": "boolean"}})
NAMED = closed({"name": TEXT})

# Whole schemas: what becomes of them, or why they are refused.
WHOLE: dict[str, tuple[Any, Any]] = {
    "root that is a text": (TEXT, "the whole must be an object"),
    # differs: properties are what objects have, so an object is meant
    "root without a type": ({"properties": {"name": TEXT}, "required": ["name"]}, NAMED),
    "root that may be null": ({**NAME, "type": ["object", "null"]}, "the whole must be an object"),
    "no schema": (3, "a schema is an object"),
    "type lists of one": (
        {
            **obj({"user": {**obj({"name": {"type": ["string"]}, "nick": NULLABLE}), "type": ["object"]}}),
            "type": ["object"],
        },
        closed({"user": closed({"name": TEXT, "nick": NULLABLE})}),
    ),
    # differs: definitions that nothing refers to any more are left out, here and below
    "root that is a reference": (
        {"$ref": "#/$defs/In", "$defs": {"In": obj({"name": {"$ref": "#/$defs/Name"}}), "Name": TEXT}},
        closed({"name": {"$ref": "#/$defs/Name"}}, **{"$defs": {"Name": TEXT}}),
    ),
    # differs: what says nothing to a model is left out
    "root with a dialect and an id": (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://x/in.json",
            "$ref": "#/$defs/In",
            "$defs": {"In": NAME},
        },
        NAMED,
    ),
    "root that is a chain of references": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": NAME}},
        NAMED,
    ),
    "root whose references say something, the outer ones first": (
        {
            "$ref": "#/$defs/A",
            "description": "root",
            "$defs": {
                "A": {"$ref": "#/$defs/B", "title": "alias", "description": "alias"},
                "B": {**NAME, "title": "inner", "description": "inner", "$comment": "no"},
            },
        },
        {**NAMED, "title": "alias", "description": "root"},
    ),
    # differs: all definitions are put at the top, under `$defs`
    "definitions inside of definitions": (
        {
            "$ref": "#/$defs/In",
            "$defs": {
                "In": {
                    **obj({"inner": {"$ref": "#/$defs/In/$defs/N"}, "outer": {"$ref": "#/$defs/N"}}),
                    "$defs": {"N": TEXT},
                },
                "N": NUMBER,
            },
        },
        closed(
            {"inner": {"$ref": "#/$defs/N"}, "outer": {"$ref": "#/$defs/N_2"}},
            **{"$defs": {"N": TEXT, "N_2": NUMBER}},
        ),
    ),
    "definitions inside of definitions, in the old words": (
        {
            "$ref": "#/definitions/In",
            "definitions": {
                "In": {
                    **obj({"inner": {"$ref": "#/definitions/In/definitions/N"}}),
                    "definitions": {"N": TEXT},
                },
            },
        },
        closed({"inner": {"$ref": "#/$defs/N"}}, **{"$defs": {"N": TEXT}}),
    ),
    "root references in a circle": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}},
        "in a circle",
    ),
    "root reference in allOf": (
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"$ref": "#/$defs/In"}, "In": NAME}},
        NAMED,
    ),
    "root allOf behind a reference": (
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"allOf": [NAME]}}},
        NAMED,
    ),
    "root reference and allOf in a circle": (
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}},
        "in a circle",
    ),
    "root reference that leads nowhere": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/Missing"}}},
        "where no schema is",
    ),
    "root reference that leads out": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "https://x/y.json#/$defs/In"}}},
        "leads out",
    ),
    "root reference that is no text": ({"$ref": 1}, "`$ref` is a text"),
    "root reference to false": (
        {"$ref": "#/$defs/F", "$defs": {"F": False}},
        "a schema is an object, not False",
    ),
    "root with one schema in allOf": ({"allOf": [NAME]}, NAMED),
    "an id inside of the schema": ({"allOf": [{"$id": "b.json", **NAME}]}, "`$id` begins another schema"),
    "root allOf of objects": ({"allOf": [NAME, AGE]}, closed({"name": TEXT, "age": NUMBER})),
    "root allOf with true": ({"allOf": [True, NAME]}, NAMED),
    "root allOf in allOf": (
        {"allOf": [{"allOf": [NAME, AGE]}, ACTIVE]},
        closed({"name": TEXT, "age": NUMBER, "active": {"type": "boolean"}}),
    ),
    "root allOf with an id": (
        {"$schema": "s", "$id": "i", "allOf": [NAME, AGE]},
        closed({"name": TEXT, "age": NUMBER}),
    ),
    "root allOf of objects that contradict": (
        {"allOf": [NAME, obj({"name": NUMBER})]},
        "differ in `properties.name`",
    ),
    "root anyOf of nothing": ({"type": "object", "anyOf": [False, False]}, "no alternative"),
    "root anyOf of anything": ({"type": "object", "anyOf": [True]}, "a schema is an object, not True"),
    "root anyOf of nothing and anything": (
        {"type": "object", "anyOf": [False, True]},
        "a schema is an object, not True",
    ),
    "root anyOf of one": ({"anyOf": [NAME]}, NAMED),
    "root anyOf of several": ({"anyOf": [NAME, AGE]}, "the whole must be an object"),
    "root reference with validating siblings": (
        # differs: both apply, as since draft 2019-09, and together they are one object
        {"$ref": "#/$defs/T", "properties": {}, "$defs": {"T": NAME}},
        NAMED,
    ),
    "an object is closed": (NAME, NAMED),
    "an object that is open": ({**NAME, "additionalProperties": True}, "keys that are not known"),
    "an object with other texts": ({**NAME, "additionalProperties": TEXT}, "keys that are not known"),
    "an object without properties": ({"type": "object"}, closed({})),
    "all that may be null is required": (
        obj({"a": NULLABLE, "b": {"anyOf": [NUMBER, {"type": "null"}]}}, []),
        closed({"a": NULLABLE, "b": {"anyOf": [NUMBER, {"type": "null"}]}}),
    ),
    # differs: a type is said where only values are listed
    "what may be null by its listed values": (
        obj({"c": {"const": None}, "e": {"enum": [None]}, "n": {"anyOf": [TEXT, {"const": None}]}}, []),
        closed(
            {
                "c": {"type": "null", "const": None},
                "e": {"type": "null", "enum": [None]},
                "n": {"anyOf": [TEXT, {"type": "null", "const": None}]},
            }
        ),
    ),
    "what may not be null by its type": (
        obj({"s": {"type": "string", "enum": ["ready", None]}}, []),
        "schema.s: strict mode has no optional properties",
    ),
    "required values of another type": (
        obj({"a": {"type": "string", "const": None}}),
        closed({"a": {"type": "string", "const": None}}),
    ),
    "what may be null behind references": (
        obj({"n": {"$ref": "#/$defs/A"}}, [], **{"$defs": {"N": NULLABLE, "A": {"$ref": "#/$defs/N"}}}),
        closed({"n": {"$ref": "#/$defs/N"}}, **{"$defs": {"N": NULLABLE}}),
    ),
    "a reference with an escaped path": (
        obj(
            {"v": {"$ref": "#/$defs/A%2Fproperties%2FB"}},
            **{"$defs": {"A/properties/B": NUMBER, "A": obj({"B": TEXT})}},
        ),
        closed({"v": {"$ref": "#/$defs/B"}}, **{"$defs": {"B": TEXT}}),
    ),
    "a reference to a name with a slash": (
        obj({"v": {"$ref": "#/$defs/A~1B"}}, **{"$defs": {"A/B": TEXT}}),
        closed({"v": {"$ref": "#/$defs/A_B"}}, **{"$defs": {"A_B": TEXT}}),
    ),
    "a reference to a name with a space": (
        obj({"v": {"$ref": "#/$defs/A%20B"}}, **{"$defs": {"A B": TEXT}}),
        closed({"v": {"$ref": "#/$defs/A_B"}}, **{"$defs": {"A_B": TEXT}}),
    ),
    "a reference that is badly escaped": (
        obj({"v": {"$ref": "#/$defs/T%2"}}, **{"$defs": {"T%2": TEXT}}),
        "where no schema is",
    ),
    "a reference with a bad tilde": (
        obj({"v": {"$ref": "#/$defs/T~2"}}, **{"$defs": {"T~2": TEXT}}),
        "where no schema is",
    ),
    "a reference into what is no schema": (
        {**obj({"v": {"$ref": "#/default"}}), "default": TEXT},
        "where no schema is",
    ),
    "a reference to false": (
        {**obj({"v": {"$ref": "#/additionalProperties"}}), "additionalProperties": False},
        "not False",
    ),
    # differs: what is referred to becomes a definition
    "a reference into an alternative": (
        obj({"v": {"anyOf": [TEXT, NUMBER]}, "w": {"$ref": "#/properties/v/anyOf/0"}}),
        closed({"v": {"anyOf": [TEXT, NUMBER]}, "w": {"$ref": "#/$defs/0"}}, **{"$defs": {"0": TEXT}}),
    ),
    "a reference beyond the alternatives": (
        obj({"v": {"anyOf": [TEXT]}, "w": {"$ref": "#/properties/v/anyOf/5"}}),
        "where no schema is",
    ),
    "a reference to an index with a zero": (
        obj({"v": {"anyOf": [TEXT]}, "w": {"$ref": "#/properties/v/anyOf/00"}}),
        "where no schema is",
    ),
    "a reference to the list of alternatives": (
        obj({"v": {"anyOf": [TEXT]}, "w": {"$ref": "#/properties/v/anyOf"}}),
        "where no schema is",
    ),
    # differs: the API takes no siblings beside a reference, so it is written out
    "a reference that says something": (
        obj(
            {
                "n": {
                    "$ref": "#/$defs/N",
                    "$comment": "c",
                    "title": "Nick",
                    "description": "d",
                    "default": None,
                }
            },
            [],
            **{"$defs": {"N": NULLABLE}},
        ),
        closed({"n": {**NULLABLE, "title": "Nick", "description": "d"}}),
    ),
    "definitions beside a reference": (
        obj({"v": {"$ref": "#/properties/v/$defs/V", "$defs": {"V": TEXT}}}),
        closed({"v": {"$ref": "#/$defs/V"}}, **{"$defs": {"V": TEXT}}),
    ),
    "an optional reference in a circle": (
        obj({"n": {"$ref": "#/$defs/C"}}, [], **{"$defs": {"C": {"$ref": "#/$defs/C"}}}),
        "in a circle",
    ),
    "a reference that leads nowhere": (obj({"n": {"$ref": "#/$defs/Missing"}}), "schema.n: `$ref` leads to"),
    "a reference that leads out": (obj({"n": {"$ref": "https://x/y"}}), "schema.n: `$ref` leads out"),
    "a reference with another type": (
        obj({"v": {"$ref": "#/$defs/T", "type": "number"}}, **{"$defs": {"T": TEXT}}),
        "differ in `type`",
    ),
    "what is required and nowhere": (obj({"name": TEXT}, ["name", "age"]), "'age' is required and not among"),
    "what is required is no list": (obj({"v": TEXT}, required=1), "`required` is a list of names"),  # type: ignore[arg-type]
    "what is required is no text": (obj({"v": TEXT}, required=["v", 1]), "`required` is a list of names"),  # type: ignore[list-item]
    "an optional property": (obj({"name": TEXT}, []), "schema.name: strict mode has no optional properties"),
    "an optional enum": (obj({"o": {"enum": ["x"]}}, []), "no optional properties"),
    "an optional enum that is none": (obj({"o": {"enum": "x"}}, []), "any value may stand here"),
    "an optional oneOf of the same": (obj({"o": {"oneOf": [{"type": "null"}] * 2}}, []), "could both hold"),
    "an optional not": (obj({"o": {**NULLABLE, "not": {"type": "null"}}}, []), "`not` cannot be enforced"),
    "definitions in the old words": (
        obj({"u": {"$ref": "#/definitions/U"}}, definitions={"U": NAME}),
        closed({"u": {"$ref": "#/$defs/U"}}, **{"$defs": {"U": NAMED}}),
    ),
    "definitions": (
        obj({"u": {"$ref": "#/$defs/U"}}, **{"$defs": {"U": NAME}}),
        closed({"u": {"$ref": "#/$defs/U"}}, **{"$defs": {"U": NAMED}}),
    ),
    "definitions without use": (obj({}, definitions={"U": NAME}), closed({})),
    "deep nesting": (obj({"a": obj({"b": NAME})}), closed({"a": closed({"b": NAMED})})),
    # differs: inside of itself the reference stays, and what is said of it there is left out
    "a list that holds itself": (
        obj(
            {"root": {"$ref": "#/$defs/N", "description": "first"}},
            **{
                "$defs": {
                    "N": obj(
                        {
                            "v": TEXT,
                            "next": {"anyOf": [{"$ref": "#/$defs/N", "description": "d"}, {"type": "null"}]},
                        }
                    )
                }
            },
        ),
        closed(
            {
                "root": {
                    "description": "first",
                    **closed({"v": TEXT, "next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}}),
                }
            },
            **{
                "$defs": {
                    "N": closed({"v": TEXT, "next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}})
                }
            },
        ),
    ),
    "the whole inside of itself": (
        obj({"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}),
        closed({"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}),
    ),
}

# Schemas of one property.
VALUES: dict[str, tuple[Any, Any]] = {
    "nested object": (NAME, NAMED),
    "object that may be null": ({**NAME, "type": ["object", "null"]}, {**NAMED, "type": ["object", "null"]}),
    # differs: the type is said
    "object by its properties": ({"properties": {"name": TEXT}, "required": ["name"]}, NAMED),
    "open object by its properties": (
        {"properties": {"name": TEXT}, "required": ["name"], "additionalProperties": True},
        "keys that are not known",
    ),
    "object of texts by its properties": (
        {"properties": {"name": TEXT}, "required": ["name"], "additionalProperties": TEXT},
        "keys that are not known",
    ),
    # differs: nothing says that it is to be empty
    "object without properties": ({"type": "object"}, "keys that are not known"),
    "object with none": ({"type": "object", "properties": {}}, closed({})),
    "list of objects": ({"type": "array", "items": NAME}, {"type": "array", "items": NAMED}),
    "list of anything": ({"type": "array"}, "a list of anything"),
    "list of anything, or null": ({"type": ["array", "null"]}, "a list of anything"),
    "text or null": (NULLABLE, NULLABLE),
    "list with kinds by place, in the old words": (
        {"type": "array", "items": [TEXT, NUMBER]},
        "a schema is an object, not [",
    ),
    "additionalItems": (
        {"type": "array", "items": TEXT, "additionalItems": NAME},
        "`additionalItems` cannot",
    ),
    "patternProperties": ({**NAME, "patternProperties": {"^x": NAME}}, "keys that are not known"),
    "uniqueItems": (
        {"type": "array", "items": TEXT, "uniqueItems": True},
        "`uniqueItems` cannot be enforced",
    ),
    "contains": ({"type": "array", "items": TEXT, "contains": NAME}, "`contains` cannot be enforced"),
    "propertyNames": ({**closed({}), "propertyNames": TEXT}, "`propertyNames` cannot be enforced"),
    "if, then, else": ({**closed({}), "if": NAME, "then": NAME, "else": NAME}, "`if` cannot be enforced"),
    "dependencies": ({**NAMED, "dependencies": {"name": AGE}}, "`dependencies` cannot be enforced"),
    "dependentSchemas": (
        {**NAMED, "dependentSchemas": {"name": AGE}},
        "`dependentSchemas` cannot be enforced",
    ),
    "dependentRequired": (
        {**NAMED, "dependentRequired": {"name": ["b"]}},
        "`dependentRequired` cannot be enforced",
    ),
    "minContains": ({"type": "array", "items": TEXT, "minContains": 1}, "`minContains` cannot be enforced"),
    "maxContains": ({"type": "array", "items": TEXT, "maxContains": 1}, "`maxContains` cannot be enforced"),
    "minProperties": ({**NAME, "minProperties": 1}, "`minProperties` cannot be enforced"),
    "maxProperties": ({**NAME, "maxProperties": 1}, "`maxProperties` cannot be enforced"),
    "contentEncoding": ({**TEXT, "contentEncoding": "base64"}, "`contentEncoding` cannot be enforced"),
    "contentMediaType": (
        {**TEXT, "contentMediaType": "application/json"},
        "`contentMediaType` cannot be enforced",
    ),
    # differs: it asks for nothing
    "uniqueItems that asks for nothing": ({**TEXT, "uniqueItems": False}, TEXT),
    # differs: these ask for nothing of a text
    "prefixItems of a text": ({**TEXT, "prefixItems": False}, TEXT),
    "anyOf of objects": ({"anyOf": [NAME, AGE]}, {"anyOf": [NAMED, closed({"age": NUMBER})]}),
    "anyOf with the type of all": (
        {"type": "array", "anyOf": [{"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER}]},
        {"anyOf": [{"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER}]},
    ),
    "anyOf with the type of all, behind allOf": (
        {
            "type": "array",
            "anyOf": [{"allOf": [{"type": "array", "items": TEXT}]}, {"type": "array", "items": NUMBER}],
        },
        {"anyOf": [{"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER}]},
    ),
    "anyOf with a type that some have not": (
        {
            "type": ["array", "null"],
            "anyOf": [{"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER}],
        },
        {"anyOf": [{"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER}]},
    ),
    # differs: the types of all alternatives are among those of the whole
    "anyOf with a list type or null": (
        {"type": ["array", "null"], "anyOf": [{"type": "array", "items": TEXT}, {"type": "null"}]},
        {"anyOf": [{"type": "array", "items": TEXT}, {"type": "null"}]},
    ),
    "anyOf of objects with their type": (
        {"type": "object", "anyOf": [{"allOf": [NAME]}, AGE]},
        {"anyOf": [NAMED, closed({"age": NUMBER})]},
    ),
    "anyOf of objects, or null in the type": (
        {"type": ["object", "null"], "anyOf": [NAME, AGE]},
        {"anyOf": [NAMED, closed({"age": NUMBER})]},
    ),
    # differs, as with lists
    "anyOf of an object or null": (
        {"type": ["object", "null"], "anyOf": [NAME, {"type": "null"}]},
        {"anyOf": [NAMED, {"type": "null"}]},
    ),
    # differs: one alternative is no choice
    "anyOf with false": ({"anyOf": [False, TEXT]}, TEXT),
    "anyOf of false": ({"anyOf": [False, False]}, "no alternative"),
    "anyOf with empty keywords of objects": (
        {"properties": {}, "required": [], "anyOf": [TEXT, NUMBER]},
        {"anyOf": [TEXT, NUMBER]},
    ),
    # differs: properties ask for nothing of texts and numbers
    "anyOf of texts with properties": (
        {"properties": {"kind": TEXT}, "anyOf": [TEXT, NUMBER]},
        {"anyOf": [TEXT, NUMBER]},
    ),
    "anyOf of objects with a property that all refine": (
        {
            **obj({"kind": TEXT}),
            "anyOf": [obj({"kind": {**TEXT, "const": "a"}}), obj({"kind": {**TEXT, "const": "b"}})],
        },
        "differ in `properties.kind`",
    ),
    # beyond openai-node: what stands beside alternatives is part of each
    "anyOf of objects with a property of all": (
        {**NAME, "anyOf": [AGE, ACTIVE]},
        {
            "anyOf": [
                closed({"age": NUMBER, "name": TEXT}),
                closed({"active": {"type": "boolean"}, "name": TEXT}),
            ]
        },
    ),
    "oneOf of different types": ({"oneOf": [TEXT, NUMBER]}, {"anyOf": [TEXT, NUMBER]}),
    "oneOf told apart by a property": (
        {
            "oneOf": [obj({"kind": {"const": "a"}}), obj({"kind": {"const": "b"}})],
            "discriminator": {"propertyName": "kind"},
        },
        {
            "anyOf": [
                closed({"kind": {"type": "string", "const": "a"}}),
                closed({"kind": {"type": "string", "const": "b"}}),
            ]
        },
    ),
    "oneOf of different values": (
        {"oneOf": [{"enum": ["a", "b"]}, {"const": "c"}]},
        {"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "string", "const": "c"}]},
    ),
    "oneOf that could both hold": ({"oneOf": [NAME, AGE]}, "could both hold"),
    "oneOf of whole and other numbers": ({"oneOf": [{"type": "integer"}, NUMBER]}, "could both hold"),
    "anyOf and oneOf": ({"anyOf": [TEXT], "oneOf": [TEXT]}, "one list of schemas"),
    "one allOf": ({"allOf": [NAME]}, NAMED),
    "one allOf that is described": ({"description": "d", "allOf": [TEXT]}, {**TEXT, "description": "d"}),
    # differs: definitions are not looked at before something refers to them
    "one allOf beside bad definitions": ({"$defs": False, "allOf": [TEXT]}, TEXT),
    # differs: then any value may stand there
    "one allOf of true": ({"description": "Any", "allOf": [True]}, "any value may stand here"),
    "one allOf of false": ({"allOf": [False]}, "a schema is an object, not False"),
    "one allOf of a list": ({"allOf": [{"type": "array", "items": TEXT}]}, {"type": "array", "items": TEXT}),
    "one allOf of another type": ({**TEXT, "allOf": [NUMBER]}, "differ in `type`"),
    # beyond openai-node: bounds that do not contradict are all kept
    "allOf of texts": (
        {"allOf": [{**TEXT, "minLength": 1}, {"maxLength": 5}]},
        {**TEXT, "minLength": 1, "maxLength": 5},
    ),
    "allOf of texts that differ": (
        {"allOf": [{**TEXT, "minLength": 1}, {**TEXT, "minLength": 2}]},
        "differ in `minLength`",
    ),
    "allOf of objects": ({"allOf": [NAME, AGE]}, closed({"name": TEXT, "age": NUMBER})),
    "allOf of objects with true": ({**NAME, "allOf": [True, AGE]}, closed({"name": TEXT, "age": NUMBER})),
    "allOf with nothing but definitions": ({"allOf": [{"$defs": {"N": TEXT}}, NAME]}, NAMED),
    "allOf in allOf": (
        {"allOf": [{"allOf": [NAME, AGE]}, ACTIVE]},
        closed({"name": TEXT, "age": NUMBER, "active": {"type": "boolean"}}),
    ),
    "allOf of objects that may be null": (
        {"allOf": [{**NAME, "type": ["object", "null"]}, {**AGE, "type": ["object", "null"]}]},
        {**closed({"name": TEXT, "age": NUMBER}), "type": ["object", "null"]},
    ),
    "allOf of closed objects has what is in all": (
        {"allOf": [NAMED, {**obj({"name": TEXT, "y": NUMBER}, ["name"]), "additionalProperties": False}]},
        NAMED,
    ),
    "allOf of closed objects that require others": (
        {"allOf": [NAMED, closed({"name": TEXT, "y": NUMBER})]},
        "differ in `required`",
    ),
    "allOf with names that classes have": (
        {"allOf": [obj({"__class__": TEXT, "keys": TEXT}), NAME]},
        closed({"__class__": TEXT, "keys": TEXT, "name": TEXT}),
    ),
    "allOf with the same property in another order": (
        {
            "allOf": [
                obj({"s": {"type": "string", "title": "T"}}),
                obj({"s": {"title": "T", "type": "string"}}),
            ]
        },
        closed({"s": {"type": "string", "title": "T"}}),
    ),
    "allOf with values in another order": (
        {"allOf": [obj({"s": {"enum": ["a", "b"]}}), obj({"s": {"enum": ["b", "a"]}})]},
        "differ in `properties.s`",
    ),
    "allOf of objects that contradict": (
        {"allOf": [NAME, obj({"name": NUMBER})]},
        "differ in `properties.name`",
    ),
    "allOf of bad properties": (
        {"allOf": [NAME, {"type": "object", "properties": 3}]},
        "differ in `properties`",
    ),
    "allOf of open objects": (
        {"allOf": [NAME, {**AGE, "additionalProperties": TEXT}]},
        "differ in `additional",
    ),
    "anyOf that is described": (
        {"anyOf": [TEXT, NUMBER], "title": "T", "description": "d", "default": 1, "examples": [1, "a"]},
        {"anyOf": [TEXT, NUMBER], "title": "T", "description": 'd (default: 1; examples: [1, "a"])'},
    ),
    "allOf that is none": ({"allOf": False}, "`allOf` is a list"),
    "anyOf that is none": ({"anyOf": TEXT}, "one list of schemas"),
    "an id": ({"$id": "nested.json", **TEXT}, "`$id` begins another schema"),
    "nothing": ({}, "any value may stand here"),
    "true": (True, "a schema is an object, not True"),
    "an unknown type": ({"type": "text"}, "any value may stand here"),
    "an empty enum": ({"type": "string", "enum": []}, "`enum` is a list"),
    "an unknown keyword": ({**TEXT, "maxWords": 3}, "`maxWords` cannot be enforced"),
    "a keyword of somebody's own": ({**TEXT, "x-order": 3}, TEXT),
    "an unknown format": ({**TEXT, "format": "uri"}, "the format 'uri' is none of strict mode"),
    "a pattern that looks ahead": ({**TEXT, "pattern": "^(?!x)"}, "`pattern` cannot be enforced"),
    "a default": ({**TEXT, "default": "x"}, {**TEXT, "description": '(default: "x")'}),
    "a default of null": ({**NULLABLE, "default": None}, NULLABLE),
    "examples": ({**TEXT, "examples": ["a"]}, {**TEXT, "description": '(examples: ["a"])'}),
    "a pair": (
        {"type": "array", "prefixItems": [NUMBER, NUMBER], "items": False, "minItems": 2},
        {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2},
    ),
    "a pair of two kinds": (
        {"type": "array", "prefixItems": [NUMBER, TEXT], "items": False, "minItems": 2},
        "a kind for each place",
    ),
    "a list that begins with a pair": (
        {"type": "array", "prefixItems": [NUMBER, NUMBER]},
        "a kind for each place",
    ),
    **{f"format {name}": ({**TEXT, "format": name}, {**TEXT, "format": name}) for name in sorted(FORMATS)},
    **{
        f"{word} is no keyword of strict mode": ({**TEXT, word: False}, "cannot be enforced")
        for word in (
            "$anchor",
            "$dynamicAnchor",
            "$dynamicRef",
            "$recursiveAnchor",
            "$recursiveRef",
            "contentSchema",
            "else",
            "then",
            "unevaluatedItems",
            "unevaluatedProperties",
        )
    },
    **{
        f"{word} is kept": ({"type": kind, word: 1}, {"type": kind, word: 1})
        for kind, words in {
            "string": ("minLength", "maxLength"),
            "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        }.items()
        for word in words
    },
    "pattern is kept": ({**TEXT, "pattern": "^a+$"}, {**TEXT, "pattern": "^a+$"}),
    "the length of a list is kept": (
        {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
        {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
    ),
}


def check(schema: Any, expected: Any) -> None:
    before = copy.deepcopy(schema)
    if isinstance(expected, str):
        with pytest.raises(SchemaError) as caught:
            strict_schema(schema)
        assert expected in str(caught.value)
    else:
        assert strict_schema(schema) == expected
        assert strict_faults(expected) == []
        assert strict_schema(expected) == expected
    assert schema == before


@pytest.mark.parametrize(("schema", "expected"), WHOLE.values(), ids=WHOLE)
def test_whole_schemas(schema, expected):
    """Each becomes what the row says, or is refused for the reason in the row; it is not changed itself."""
    check(schema, expected)


@pytest.mark.parametrize(("value", "expected"), VALUES.values(), ids=VALUES)
def test_schemas_of_values(value, expected):
    """As above, for the schema of one property; errors name it."""
    schema = obj({"value": value})
    check(schema, expected if isinstance(expected, str) else closed({"value": expected}))
    if isinstance(expected, str):
        with pytest.raises(SchemaError, match=r"^schema\.value"):
            strict_schema(schema)


def test_errors_are_ours_and_of_the_usual_kinds():
    """A `SchemaError` says where and why; programs that catch TypeError or ValueError catch it, too."""
    with pytest.raises(SchemaError) as caught:
        strict_schema(obj({"user": obj({"tags": {"type": "array", "items": {}}})}), name="Order")
    assert isinstance(caught.value, (DuologueError, TypeError, ValueError))
    assert caught.value.path == "Order.user.tags"
    assert caught.value.reason == "a list of anything; say in `items` what is in it: list[str], say."
    assert str(caught.value) == f"Order.user.tags: {caught.value.reason}"


# For a type, whose values are checked when they are read: what cannot be enforced is told to the model.
CHECKED: dict[str, tuple[Any, Any]] = {
    "unknown format": ({**TEXT, "format": "uri"}, {**TEXT, "description": "(format: uri)"}),
    "set": (
        {"type": "array", "items": TEXT, "uniqueItems": True, "description": "Tags."},
        {"type": "array", "items": TEXT, "description": "Tags. (uniqueItems: true)"},
    ),
    "look-ahead": ({**TEXT, "pattern": "^(?!x)"}, {**TEXT, "description": "(pattern: ^(?!x))"}),
    "tuple of two kinds": (
        {"type": "array", "prefixItems": [NUMBER, TEXT], "minItems": 2, "maxItems": 2},
        {
            "type": "array",
            "items": {"anyOf": [NUMBER, TEXT]},
            "minItems": 2,
            "maxItems": 2,
            "description": "(in this order: number, string)",
        },
    ),
    "tuple whose last is optional": (
        {"type": "array", "prefixItems": [NUMBER, NUMBER], "minItems": 1, "maxItems": 2},
        {"type": "array", "items": NUMBER, "minItems": 1, "maxItems": 2},
    ),
    "oneOf": ({"oneOf": [NAME, AGE]}, {"anyOf": [NAMED, closed({"age": NUMBER})]}),
    "keyword of somebody's own": ({**TEXT, "widget": "area"}, TEXT),
    "open object": ({**NAME, "additionalProperties": True}, "keys that are not known"),
    "anything": ({}, "any value may stand here"),
}


@pytest.mark.parametrize(("value", "expected"), CHECKED.values(), ids=CHECKED)
def test_schemas_whose_values_are_checked(value, expected):
    """With `checked`, optional properties are required, too."""
    schema = obj({"value": value}, [])
    if isinstance(expected, str):
        with pytest.raises(SchemaError, match=expected):
            strict_schema(schema, checked=True)
    else:
        assert strict_schema(schema, checked=True) == closed({"value": expected})


def enum(count: int, length: int = 1) -> dict[str, Any]:
    return {"type": "string", "enum": [f"{at:0{length}}" for at in range(count)]}


def nested(levels: int) -> dict[str, Any]:
    return obj({"inner": nested(levels - 1)} if levels > 1 else {})


LIMITS: dict[str, tuple[Any, Any, str]] = {
    "properties": (
        obj({f"p{at}": TEXT for at in range(MAX_PROPERTIES)}),
        obj({f"p{at}": TEXT for at in range(MAX_PROPERTIES + 1)}),
        f"strict mode takes {MAX_PROPERTIES} properties, and here are {MAX_PROPERTIES + 1}",
    ),
    "levels": (nested(MAX_LEVELS), nested(MAX_LEVELS + 1), f"takes {MAX_LEVELS} levels of objects"),
    "enum values": (
        obj({"a": enum(600), "b": enum(MAX_ENUM_VALUES - 600)}),
        obj({"a": enum(600), "b": enum(MAX_ENUM_VALUES - 599)}),
        f"takes {MAX_ENUM_VALUES} values in enums, and here are {MAX_ENUM_VALUES + 1}",
    ),
    "text of a long enum": (
        obj({"a": enum(MAX_LONG_ENUM, 70), "b": enum(300, MAX_ENUM_TEXT // 300)}),
        obj({"b": enum(300, MAX_ENUM_TEXT // 300 + 1)}),
        f"takes {MAX_ENUM_TEXT} characters in one enum of more than {MAX_LONG_ENUM} values",
    ),
    "text": (
        obj({"n" * (MAX_TEXT - 10): TEXT}),
        obj({"n" * (MAX_TEXT - 10): {**TEXT, "const": "c" * 11}}),
        f"takes {MAX_TEXT} characters in names",
    ),
    "depth": (
        # Alternatives are no objects, so only the depth of the schema bounds them.
        obj(
            {
                "a": json.loads(
                    '{"anyOf": [' * (MAX_DEPTH // 2)
                    + '{"type": "null"}'
                    + ', {"type": "string"}]}' * (MAX_DEPTH // 2)
                )
            }
        ),
        obj(
            {
                "a": json.loads(
                    '{"anyOf": [' * (MAX_DEPTH + 1)
                    + '{"type": "null"}'
                    + ', {"type": "string"}]}' * (MAX_DEPTH + 1)
                )
            }
        ),
        f"nested {MAX_DEPTH} deep",
    ),
}


@pytest.mark.parametrize(("most", "over", "words"), LIMITS.values(), ids=LIMITS)
def test_limits(most, over, words):
    """The largest schema passes, one larger is refused with the number."""
    assert strict_faults(strict_schema(most)) == []
    with pytest.raises(SchemaError, match=words):
        strict_schema(over)


def test_references_that_grow_when_they_are_written_out():
    """Each with a description, two in each definition: the work is bounded, and so is the time."""
    definitions = {
        f"D{at}": obj({name: {"$ref": f"#/$defs/D{at + 1}", "description": name} for name in "ab"})
        for at in range(30)
    }
    with pytest.raises(SchemaError, match=f"more than {MAX_SCHEMAS} schemas|nested"):
        strict_schema({**definitions["D0"], "$defs": {**definitions, "D30": NAME}})


def test_a_long_chain_of_definitions():
    """Definitions are worked on one after the other, so their number is not how deep anything goes."""
    definitions = {f"D{at}": obj({"next": {"$ref": f"#/$defs/D{at + 1}"}}) for at in range(2000)}
    strict = strict_schema({**definitions["D0"], "$defs": {**definitions, "D2000": NAME}})
    assert len(strict["$defs"]) == 2000
    assert strict_faults(strict) == []


WORDS = st.sampled_from(
    [
        *(
            "$ref",
            "$defs",
            "allOf",
            "anyOf",
            "oneOf",
            "type",
            "properties",
            "required",
            "additionalProperties",
        ),
        *(
            "items",
            "prefixItems",
            "enum",
            "const",
            "description",
            "default",
            "minItems",
            "format",
            "pattern",
            "not",
        ),
    ]
)
SCRAPS = st.sampled_from(
    [
        *(None, True, False, 0, "string", "object", "array", "#", "#/$defs/a", "#/$defs/b", "a", "", [], {}),
        *(
            ["a"],
            ["string", "null"],
            [1],
            {"a": {"type": "string"}},
            {"type": "string"},
            {"$ref": "#/$defs/a"},
        ),
        *(
            [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}],
            {"a": {"$ref": "#"}},
        ),
    ]
)
GARBAGE = st.recursive(
    SCRAPS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from("ab"), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(WORDS, GARBAGE, max_size=5), st.booleans())
def test_no_schema_breaks_it(schema, checked):
    """Whatever comes in is made strict, and then stays as it is, or is refused by an error of ours."""
    for whole in (schema, obj({"a": schema}, **{"$defs": {"a": schema, "b": {"$ref": "#/$defs/a"}}})):
        try:
            strict = strict_schema(whole, checked=checked)
        except SchemaError:
            continue
        assert strict_faults(strict) == []
        assert strict_schema(strict) == strict
