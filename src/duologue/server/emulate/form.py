"""Whether the text of a choice has the form that `response_format` asks for.

Schemas are judged by jsonschema, within bounds: the request of a stranger may not keep the server busy. So
patterns are refused, as are references to other documents, and one judgement takes a bounded number of steps.
What cannot be judged is refused before any engine runs, by its path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import msgspec

from ...protocol.errors import BadRequestError, InternalServerError
from ...protocol.wording import short
from ...types.chat.request import JsonObjectFormat, JsonSchemaFormat, ResponseFormat

__all__ = ["MAX_STEPS", "TooMuchError", "form_fault", "quickly", "takes_long"]

# How many keywords of a schema one judgement may look at, those of repeated references counted each time.
MAX_STEPS = 50_000
# What is judged at once, without a thread: some milliseconds at the most.
FEW_STEPS = 200
FEW_CHARACTERS = 100_000
# How many objects and lists a schema may have, and how deep they may be nested.
MAX_NODES = 2_000
MAX_DEPTH = 64
# How many prepared schemas are kept, and how large their JSON may be.
MAX_KEPT = 64
MAX_KEPT_BYTES = 64 * 1024

_PARAM = "response_format.json_schema.schema"
# Their work has no bound that could be told beforehand, or they need what jsonschema does not bring.
REFUSED = frozenset(
    (
        *("$dynamicRef", "$id", "$recursiveRef", "$schema"),
        *("format", "pattern", "patternProperties", "uniqueItems"),
    )
)

Fault = Callable[[str], str | None]
Judge = Callable[[Any], str | None]


def form_fault(form: ResponseFormat) -> Fault:
    """What says what is wrong with a text; None for nothing.

    Raises `BadRequestError` for a schema that cannot be judged, and `InternalServerError`, a 501, where
    jsonschema is not installed.
    """
    if isinstance(form, JsonObjectFormat):
        return lambda text: _read(text, lambda value: None if isinstance(value, dict) else "is no object")
    if not isinstance(form, JsonSchemaFormat) or form.json_schema.schema is None:
        return lambda text: _read(text, lambda _: None)
    judge = _judge_of(form.json_schema.schema)
    return lambda text: _read(text, judge)


def _judge_of(schema: Mapping[str, Any]) -> Judge:
    """The judge by a schema; most programs ask with few schemas, again and again."""
    written = msgspec.json.encode(schema)
    judge = _kept.get(written)
    if judge is None:
        judge = _judge(schema)
        if len(written) <= MAX_KEPT_BYTES:
            with _keeping:
                if len(_kept) >= MAX_KEPT:
                    del _kept[next(iter(_kept))]
                _kept[written] = judge
    return judge


_kept: dict[bytes, Judge] = {}
_keeping = threading.Lock()


def takes_long(form: ResponseFormat | None) -> bool:
    """Whether `form_fault` may have much to do: a schema that it has not been given lately."""
    if not isinstance(form, JsonSchemaFormat) or form.json_schema.schema is None:
        return False
    return msgspec.json.encode(form.json_schema.schema) not in _kept


@contextmanager
def quickly() -> Iterator[None]:
    """Inside, a judgement that takes more than a few steps raises `TooMuchError`."""
    steps.at_most = FEW_STEPS
    try:
        yield
    finally:
        steps.at_most = MAX_STEPS


def _read(text: str, judge: Judge) -> str | None:
    if steps.at_most < MAX_STEPS and len(text) > FEW_CHARACTERS:
        raise TooMuchError
    try:
        words = judge(msgspec.json.decode(text.encode("utf-8", "replace")))
    except msgspec.DecodeError as error:
        words = f"is not JSON: {error}"
    except RecursionError:
        words = "is nested too deeply"
    return None if words is None else f"text that {words}"


def _judge(schema: Mapping[str, Any]) -> Judge:
    schema = {name: value for name, value in schema.items() if name != "$schema"}
    parts = _check_bounds(schema)
    make = _validators()
    from jsonschema import SchemaError  # type: ignore[import-untyped] # it has no types

    try:
        make.check_schema(schema)
    except RecursionError:
        raise _refused("it is nested too deeply") from None
    except SchemaError as error:
        raise _refused(error.message[:200], "".join(map(_step, error.path))) from None
    _check_references(schema, parts)

    def judge(value: Any) -> str | None:
        from referencing import Registry

        steps.left = steps.at_most
        try:
            error = next(iter(make(schema, registry=Registry()).iter_errors(value)), None)
        except TooMuchError:
            if steps.at_most < MAX_STEPS:
                raise
            return f"takes more than {MAX_STEPS} steps to be judged by its schema"
        except ArithmeticError:  # of a number beyond all that floats can hold
            return "holds a number that cannot be judged by its schema"
        if error is None:
            return None
        return f"does not follow the schema at {error.json_path}: {error.message[:200]}"

    return judge


class TooMuchError(Exception):
    """A judgement takes more steps than it may."""


class _Steps(threading.local):
    """What is left of the steps of the judgement that is going on, of which there is one in a thread."""

    at_most = MAX_STEPS
    left = MAX_STEPS


steps = _Steps()


@cache
def _validators() -> Any:
    """jsonschema's class of validators, with its steps counted."""
    try:
        from jsonschema import Draft202012Validator, validators
    except ImportError:
        raise InternalServerError(
            "A JSON schema is judged by jsonschema, which is not installed: pip install 'duologue[serve]'.",
            status_code=501,
            code="schemas_unavailable",
        ) from None

    def counted(keyword: Any) -> Any:
        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
            steps.left -= 1
            if steps.left < 0:
                raise TooMuchError
            return keyword(validator, value, instance, schema)

        return check

    plain: Any = Draft202012Validator
    return validators.extend(plain, {name: counted(found) for name, found in plain.VALIDATORS.items()})


class _Parts(NamedTuple):
    """What a schema holds: its references by their paths, and every place where a schema stands, by identity."""

    references: dict[str, str]
    schemas: set[int]


def _check_bounds(schema: Any) -> _Parts:
    """Refuse what would cost without a bound. A property of a refused keyword's name is no keyword."""
    parts = _Parts({}, set())
    waiting = [(schema, "", 0, True)]
    nodes = 0
    while waiting:
        value, path, depth, words = waiting.pop()
        nodes += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            raise _refused(f"it has more than {MAX_NODES} parts, or is nested more than {MAX_DEPTH} deep")
        if isinstance(value, list):
            inside = [(item, _step(at), words) for at, item in enumerate(value)]
        else:
            inside = [
                (item, _step(name), not (words and name in _NAMED))
                for name, item in value.items()
                if not (words and name in _VALUES)
            ]
            if words:
                _check_keywords(value, path)
                parts.schemas.add(id(value))
                if isinstance(value.get("$ref"), str):
                    parts.references[f"{path}.$ref"] = value["$ref"]
        waiting += [
            (item, path + step, depth + 1, words)
            for item, step, words in inside
            if isinstance(item, (dict, list))
        ]
    return parts


def _step(name: str | int) -> str:
    return f"[{name}]" if isinstance(name, int) else f".{short(name)}"


_NAMED = frozenset(("$defs", "definitions", "dependentSchemas", "properties"))
_VALUES = frozenset(("const", "default", "enum", "examples"))


def _check_keywords(schema: Mapping[str, Any], path: str) -> None:
    found = sorted(name for name in REFUSED & schema.keys() if schema[name] is not False)
    if found:
        raise _refused(f"the keyword {found[0]!r} cannot be judged here; leave it out", f"{path}.{found[0]}")


def _check_references(schema: Mapping[str, Any], parts: _Parts) -> None:
    """Refuse references to other documents, to what is no schema of this one, and to one another in a circle."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    document = DRAFT202012.create_resource(schema)
    resolver = Registry[Any]().with_resource("", document).resolver()
    onward: dict[str, str | None] = {}  # the reference that a reference leads to, if it leads to one
    for path, reference in parts.references.items():
        named = f"the reference {short(reference)!r}"
        if not reference.startswith("#"):
            raise _refused(f"{named} is to another document; put it under '$defs'", path)
        try:
            target = resolver.lookup(reference).contents
        except Unresolvable:
            raise _refused(f"{named} leads nowhere", path) from None
        if not isinstance(target, bool) and id(target) not in parts.schemas:
            # What only looks like a schema was not checked.
            raise _refused(f"{named} leads to what is no schema", path)
        next_one = target.get("$ref") if isinstance(target, Mapping) else None
        onward[reference] = next_one if isinstance(next_one, str) else None
    for path, reference in parts.references.items():
        # Each is followed once: what was passed on the way leads out.
        way: dict[str, None] = {}
        at: str | None = reference
        while at is not None:
            if at in way:
                raise _refused(f"the reference {short(reference)!r} leads in a circle", path)
            way[at] = None
            at = onward[at]
        onward.update(way)


def _refused(why: str, path: str = "") -> BadRequestError:
    where = f"{_PARAM}{path}"
    return BadRequestError(f"'{where}' cannot be used: {why}.", param=where, code="invalid_json_schema")
