"""The rules of strict mode, said once more in another way: what is wrong with a schema that should be strict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["accepted", "strict_faults"]

FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
ANNOTATIONS = {"title", "description", "default"}
# Each type, and the keywords that may stand beside it.
KEYWORDS = {
    "string": {"pattern", "format", "minLength", "maxLength"},
    "number": {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
    "boolean": set(),
    "null": set(),
}
KEYWORDS["integer"] = KEYWORDS["number"]
ANY_TYPE = set().union(*KEYWORDS.values())


def strict_faults(schema: dict[str, Any]) -> list[str]:
    """What the API would refuse in a schema; an empty list for one that it takes."""
    faults = list(_faults(schema, "schema", schema.get("$defs", {})))
    if schema.get("type") != "object":
        faults.append("schema: the root is no object")
    return faults


def _faults(schema: Any, where: str, definitions: dict[str, Any]) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{where}: {schema!r} is no schema"
        return
    keywords = set(schema)
    if where == "schema":
        keywords.discard("$defs")
        for name, inner in definitions.items():
            yield from _faults(inner, f"$defs.{name}", definitions)
    if "$ref" in keywords:
        if keywords != {"$ref"}:
            yield f"{where}: siblings of $ref"
        target = schema["$ref"]
        if target != "#" and target.removeprefix("#/$defs/") not in definitions:
            yield f"{where}: {target} is nowhere"
        return
    if "anyOf" in keywords:
        if extra := keywords - ANNOTATIONS - {"anyOf"}:
            yield f"{where}: {extra} beside anyOf"
        for at, option in enumerate(schema["anyOf"]):
            yield from _faults(option, f"{where}.anyOf.{at}", definitions)
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not kinds or not set(kinds) <= KEYWORDS.keys():
        yield f"{where}: the type {kinds}"
    if extra := keywords - ANNOTATIONS - ANY_TYPE - {"type", "enum", "const"}:
        yield f"{where}: the keywords {extra}"
    if schema.get("format", "date") not in FORMATS:
        yield f"{where}: the format {schema['format']}"
    if "array" in kinds:
        yield from _faults(schema.get("items"), f"{where}.items", definitions)
    if "object" in kinds:
        if schema.get("additionalProperties") is not False:
            yield f"{where}: an open object"
        if sorted(schema.get("required", ["?"])) != sorted(schema.get("properties", {})):
            yield f"{where}: not all is required"
        for name, inner in schema.get("properties", {}).items():
            yield from _faults(inner, f"{where}.{name}", definitions)


def accepted(schema: dict[str, Any], text: str) -> bool:
    """Whether llguidance, held to the schema, would write this text to its end."""
    import llguidance

    vocabulary = llguidance.LLTokenizer("byte")
    grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
    matcher = llguidance.LLMatcher(vocabulary, grammar)
    assert not matcher.is_error(), matcher.get_error()
    tokens = vocabulary.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and bool(matcher.is_accepting())
