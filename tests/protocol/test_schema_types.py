"""Python types as strict schemas, and answers as their values: every kind of type, whole and as it begins."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NotRequired, Optional, TypedDict, TypeVar, get_args

import annotated_types
import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from duologue import ParseError, SchemaError, TypedFormat, typed_format
from duologue.protocol.schema.form import MAX_KEPT
from duologue.protocol.schema.names import NAME
from support.schema_page import PAGE, page_with, table
from support.schema_types import CASES, Bird, Cat, Dog, Fish, Labelled, Node, Point, Tree, User, written
from support.strict import accepted, strict_faults


def parts(form: TypedFormat[Any]) -> dict[str, Any]:
    param: Any = form.to_param()
    assert param["type"] == "json_schema"
    return param["json_schema"]


def check_both_ways(tp: Any, value: Any) -> None:
    """The schema is strict and lets the value's JSON pass; the JSON is read as the value, and as it begins."""
    form = typed_format(tp)
    schema = parts(form)["schema"]
    assert strict_faults(schema) == []
    plain = written(schema, value)
    jsonschema.validate(plain, schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    text = json.dumps(plain, ensure_ascii=False)
    assert accepted(schema, text)
    for form_text in (text, text.encode(), json.dumps(plain, indent=1)):
        read = form.parse(form_text)
        assert read == value
        assert type(read) is type(value)
    partial = form.partial()
    for character in text:
        partial.feed(character)
        _ = partial.value
        assert partial.error is None
    assert partial.complete
    assert partial.value == (plain["value"] if partial.value != plain else plain)


@pytest.mark.parametrize(("tp", "value"), CASES.values(), ids=CASES)
def test_every_kind_of_type(tp, value):
    """Accepted by the rules of strict mode, by jsonschema and by llguidance, and read back."""
    check_both_ways(tp, value)


# --- random types --------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "name", "items", "class_", "is_x", "Zoë"])
LEAVES = st.sampled_from(
    [
        (int, st.integers(-(2**53), 2**53)),
        (float, st.floats(allow_nan=False, allow_infinity=False, width=32)),
        (str, st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8)),
        (bool, st.booleans()),
        (Literal["x", "y"], st.sampled_from(["x", "y"])),
        (Annotated[int, msgspec.Meta(ge=0, le=9)], st.integers(0, 9)),
        (enum.Enum("Shade", {"DARK": "dark", "LIGHT": "light"}), None),
    ]
).map(lambda case: case if case[1] is not None else (case[0], st.sampled_from(list(case[0]))))


def lists(inner):
    tp, values = inner
    return list[tp], st.lists(values, max_size=3)


def optional(inner):
    tp, values = inner
    return Optional[tp], st.none() | values  # noqa: UP045


def tuples(inner):
    return tuple[tuple(tp for tp, _ in inner)], st.tuples(*(values for _, values in inner))


def dataclass(fields):
    cls = dataclasses.make_dataclass("Made", [(name, tp) for name, (tp, _) in fields.items()])
    return cls, st.builds(cls, **{name: values for name, (_, values) in fields.items()})


def struct(fields):
    cls = msgspec.defstruct("Made", [(name, tp) for name, (tp, _) in fields.items()], rename="kebab")
    return cls, st.builds(cls, **{name: values for name, (_, values) in fields.items()})


def typed_dict(fields):
    optional = {name: case for name, case in fields.items() if type(None) not in get_args(case[0])}
    hints = {name: NotRequired[tp] if name in optional else tp for name, (tp, _) in fields.items()}
    given = {name: values for name, (_, values) in fields.items() if name not in optional}
    maybe = {name: values for name, (_, values) in optional.items()}
    return TypedDict("Made", hints), st.fixed_dictionaries(given, optional=maybe)  # type: ignore[operator]


def union(inner):
    """Of a list and a class: kinds that JSON tells apart."""
    first, second = inner
    made, values = dataclass({"only": first})
    return list[second[0]] | made, values | st.lists(second[1], max_size=2)


def compound(inner):
    fields = st.dictionaries(NAMES, inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(lists),
        inner.map(optional),
        st.lists(inner, min_size=1, max_size=3).map(tuples),
        fields.map(dataclass),
        fields.map(struct),
        fields.map(typed_dict),
        st.tuples(inner, inner).map(union),
    )


TYPES = st.recursive(LEAVES, compound, max_leaves=5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_values_of_random_types(data):
    """Read back as they were; see above for what else."""
    tp, values = data.draw(TYPES)
    value = data.draw(values)
    if (
        isinstance(tp, type)
        and tp.__name__ == "Made"
        and {"value"} == set(getattr(tp, "__annotations__", ()))
    ):
        return
    check_both_ways(tp, value)


@pytest.mark.parametrize(("make", "name"), [(dataclasses.make_dataclass, "größe"), (TypedDict, "façade")])
def test_a_name_beyond_ascii_that_nobody_has_encoded_before(make, name):
    """Found all the same, though msgspec finds such a name only once it was encoded."""
    assert typed_format(make("Made", {name: list[int]}.items())).parse(f'{{"{name}": [1]}}')


# --- what is sent --------------------------------------------------------------------------------------


def test_the_parameter_of_a_request():
    """`json_schema` with a name, `strict`, and a description if there is one."""
    assert typed_format(Point).to_param() == {
        "type": "json_schema",
        "json_schema": {
            "name": "Point",
            "schema": {
                "type": "object",
                "description": "A place on the map.",
                "properties": {
                    "x": {"type": "integer"},
                    "y": {"type": "integer", "description": "how far north (default: 0)"},
                },
                "required": ["x", "y"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
    named = parts(typed_format(list[Point], name="points", description="All of them."))
    assert (named["name"], named["description"]) == ("points", "All of them.")
    assert list(named["schema"]["properties"]) == ["value"]


@pytest.mark.parametrize(
    ("tp", "name"),
    [
        (Labelled[Point], "Labelled_Point"),
        (list[int], "list_int"),
        (Cat | Dog, "Cat_Dog"),
        (Annotated[int, "x"], "int"),
        (type("Größe 1", (Point,), {}), "Gr_e_1"),
        (type("x" * 80, (Point,), {}), "x" * 64),
    ],
    ids=str,
)
def test_names_are_those_of_the_types(tp, name):
    """With the letters that the API takes."""
    assert parts(typed_format(tp))["name"] == name
    assert NAME.fullmatch(name)


def test_names_that_are_none_are_refused():
    """A given name is not changed behind anybody's back."""
    with pytest.raises(SchemaError, match="a name has 1 to 64 of a-z"):
        typed_format(Point, name="my point")


def test_descriptions_stand_where_they_are_written():
    """Of classes, members and parameters, from notes and docstrings; a described class is written out."""
    user = parts(typed_format(User))["schema"]
    assert user["description"] == "A user."
    assert user["properties"]["name"]["description"] == "in full"
    documented = parts(typed_format(CASES["dataclass with a docstring"][0]))["schema"]
    assert documented["description"] == "Something."
    assert documented["properties"]["size"]["description"] == "in metres"
    assert documented["properties"]["weight"]["description"] == "in kilograms (default: 1.5)"
    assert "hidden" not in documented["properties"]
    bounded = parts(typed_format(CASES["bounded by others"][0]))["schema"]["properties"]
    assert bounded["doc"]["description"] == 'said by Doc (default: "")'
    assert bounded["percent"] == {"type": "integer", "minimum": 0, "maximum": 100}
    assert bounded["word"] == {
        "type": "string", "minLength": 1, "maxLength": 8, "pattern": "^[a-z]+$", "description": "lower case",
    }  # fmt: skip

    @dataclasses.dataclass
    class House:
        where: Annotated[Point, "of its door"]

    where = parts(typed_format(House))["schema"]["properties"]["where"]
    assert where["description"] == "of its door"
    assert where["required"] == ["x", "y"]


def test_a_class_that_holds_itself_is_defined_under_its_name():
    """pydantic's, too; at the top it is written out once more."""
    assert list(parts(typed_format(Thread))["schema"]["$defs"]) == ["Thread"]


def test_classes_of_one_name_are_two():
    """Each has its own definition."""
    other = dataclasses.make_dataclass("Point", [("z", float)])
    schema = parts(typed_format(tuple[list[Point], list[other]]))["schema"]  # type: ignore[valid-type]
    assert schema["$defs"].keys() == {"Point", "Point_2"}
    assert typed_format(list[Point] | list[other]).parse('{"value": [{"z": 1.5}]}') == [other(1.5)]  # type: ignore[valid-type]


def test_the_schema_of_a_type_is_made_once():
    """A bounded number of them is kept."""
    assert typed_format(Tree) is typed_format(Tree)
    assert typed_format(Tree) is not typed_format(Tree, name="other")
    first = typed_format(Tree)
    for at in range(MAX_KEPT):
        typed_format(Tree, name=f"n{at}")
    assert typed_format(Tree) is not first
    unhashable = Annotated[int, ["a list"]]
    assert typed_format(unhashable).parse('{"value": 1}') == 1


def test_what_is_a_format_already():
    """One of ours is itself; a `response_format` as it is sent is taken as it is, and read as JSON."""
    form = typed_format(Point)
    assert typed_format(form) is form
    sent = {"type": "json_object"}
    assert typed_format(sent).to_param() is sent
    assert typed_format(sent).parse('{"a": [1]}') == {"a": [1]}
    with pytest.raises(ParseError):
        typed_format(sent).parse('{"a": [1')


def test_without_strict():
    """The schema is sent as it is: open objects, optional keys, sets; and read all the same."""
    form = typed_format(dict[str, set[int]], strict=False)
    assert parts(form) == {
        "name": "dict_str_set_int",
        "strict": False,
        "schema": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        },
    }
    assert form.parse('{"a": [1, 1]}') == {"a": {1}}
    assert typed_format(dict[str, Cat | Point], strict=False).parse('{"a": {"x": 1, "y": 2}}') == {
        "a": Point(1, 2)
    }
    point = parts(typed_format(Point, strict=False))["schema"]
    assert point["required"] == ["x"]
    assert "$ref" not in point
    assert "$defs" not in point
    tree = parts(typed_format(Tree, strict=False))["schema"]
    assert tree["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    bounded = Annotated[dict[str, Cat | Point], annotated_types.MaxLen(1)]
    with pytest.raises(ParseError, match="Expected 0 to 1 items, got 2"):
        typed_format(bounded, strict=False).parse('{"a": {"x": 1}, "b": {"x": 1}}')
    assert typed_format(dict[str, int] | int | Cat, strict=False).parse('{"value": {"a": 1}}') == {"a": 1}
    assert typed_format(Any, strict=False).parse('{"value": [1, {"a": null}]}') == [1, {"a": None}]


class Open(msgspec.Struct):
    inner: dict[str, Point]


class Extra(User, extra="allow"):
    pass


class Odd(enum.Enum):
    PAIR = (1, 2)


@dataclasses.dataclass
class Initial:
    a: int
    b: dataclasses.InitVar[int]


def doubled(number: int) -> int:
    if number < 0:
        raise ValueError("below nothing")
    return number * 2


@dataclasses.dataclass
class Order:
    pieces: Annotated[int, "how many", pydantic.AfterValidator(doubled)]


class Thread(pydantic.BaseModel):
    answers: list[Thread]


class Unwritten(pydantic.BaseModel):
    run: Callable[[], int]


class Listed(msgspec.Struct, array_like=True):
    a: int


class Anywhere(TypedDict):
    what: list[Any]


T = TypeVar("T")


class LostStruct(msgspec.Struct):
    a: Nowhere  # type: ignore[name-defined]  # noqa: F821 - that is what is tested


@dataclasses.dataclass
class Endless(Generic[T]):
    item: T
    more: Endless[list[T]] | None


Circle = TypeAliasType("Circle", "Circle")
Nested = TypeAliasType("Nested", "list[Nested] | int")


REFUSED: dict[str, tuple[Any, str, str]] = {
    "dict": (dict[str, int], "dict[str, int]", "keys that are not known"),
    "dict inside": (Open, "Open.inner", "keys that are not known"),
    "dict in a list": (list[dict[str, int]], "list[dict[str, int]][]", "keys that are not known"),
    "model with extra keys": (Extra, "Extra", "keys that are not known"),
    "anything": (Any, "Any", "any value may stand here"),
    "anything in a list": (Anywhere, "Anywhere.what", "a list of anything"),
    "list": (list, "list", "a list of anything"),
    "no JSON": (list[complex], "list[complex][]", "complex has no form in JSON"),
    "function": (print, "print", "has no form in JSON"),
    "enum of tuples": (Odd, "Odd", "its values have no form in JSON"),
    "enum of nothing": (enum.Enum("None_", {}), "None_", "its values have no form in JSON"),
    "InitVar": (Initial, "Initial.b", "no part of the value"),
    "model without JSON": (Unwritten, "Unwritten", "Cannot generate a JsonSchema"),
    "Struct as a list": (Listed, "Listed", "`array_like`"),
    "bounds of another kind": (Annotated[int, msgspec.Meta(min_length=3)], "int", "Can only set"),
    "named tuple without types": (collections.namedtuple("Bare", "a b"), "Bare", "its fields have no types"),
    "annotation that is no type": (
        dataclasses.make_dataclass("Broken", [("a", "1 / 0")]),
        "Broken",
        "is no type (ZeroDivisionError",
    ),
    "member of a Struct that nobody knows": (
        LostStruct,
        "LostStruct",
        "must stand at the top of their module",
    ),
    "without end": (Endless[int], "Endless[int]", "without end"),
    "an alias of itself": (Circle, "Circle", "nothing but itself"),
    "unknown name": (
        dataclasses.make_dataclass("Lost", [("a", "Nowhere")]),
        "Lost",
        "must stand at the top of their module",
    ),
}


@pytest.mark.parametrize(("tp", "path", "reason"), REFUSED.values(), ids=REFUSED)
def test_types_that_cannot_be_asked_for(tp, path, reason):
    """Refused before anything is sent, with the place and what to do."""
    with pytest.raises(SchemaError) as caught:
        typed_format(tp)
    assert caught.value.path == path
    assert reason in caught.value.reason


# --- what comes back -----------------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, str, str, str]] = {
    "no JSON": (Point, "Sorry!", "$", "not JSON"),
    "nothing": (Point, "", "$", "not JSON"),
    "cut": (Point, '{"x": 1', "$", "not JSON"),
    "bad Unicode": (Point, '{"x": "\ud83d"}', "$", "not JSON"),
    "too deep": ({"type": "json_object"}, "[" * 100_000, "$", "not JSON"),
    "another type": (Point, '{"x": "1"}', "$.x", "Expected `int`, got `str`"),
    "inside of a list": (
        list[Point],
        '{"value": [{"x": 1}, {"x": null}]}',
        "$[1].x",
        "Expected `int`, got `null`",
    ),
    "missing": (Point, "{}", "$", "missing required field `x`"),
    "not wrapped": (list[int], "[1]", "$", "Expected `object`"),
    "not wrapped, read by us": (Cat | Point, '{"x": 1}', "$", "Expected an object with the key `value`"),
    "union": (Cat | Point, '{"value": {"x": "a"}}', "$.x", "Expected `int`"),
    "none of a Literal": (
        Literal[True, "auto"],
        '{"value": "no"}',
        "$",
        "Expected one of True, 'auto', got 'no'",
    ),
    "bounds of others": (
        CASES["bounded by others"][0],
        '{"percent": 101, "word": "A", "few": [1,2,3,4], "doc": ""}',
        "$.percent",
        "Expected `int` <= 100",
    ),
    "no object, read by us": (CASES["bounded by others"][0], "3", "$", "Expected `object`, got `int`"),
    "another tag": (
        Cat | Point,
        '{"value": {"type": "cow", "name": "x"}}',
        "$.type",
        "Expected 'cat', got 'cow'",
    ),
    "a long text": (Literal[True, "a"], json.dumps({"value": "x" * 60}), "$", "got `string`"),
    "tuple": (tuple[int, Cat | Point], '{"value": [1]}', "$", "Expected a list of 2 items, got 1"),
    "model": (User, '{"name": ""}', "$.name", "at least 1 character"),
    "model inside of itself": (Node, '{"value": 1, "next": {"value": "x"}}', "$.next.value", "valid integer"),
    "models": (list[Bird | Fish], '{"value": [{"kind": "cow"}]}', "$[0].kind", "Input should be 'bird'"),
    "optional key": (TypedDict("D", {"a": NotRequired[int]}), '{"a": "x"}', "$.a", "Expected `int`"),
}


@pytest.mark.parametrize(("tp", "text", "path", "reason"), WRONG.values(), ids=WRONG)
def test_answers_that_are_no_value(tp, text, path, reason):
    """A `ParseError` keeps the text, and says what is wrong where; it is a ValueError, too."""
    with pytest.raises(ParseError) as caught:
        typed_format(tp).parse(text)
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.text == text
    assert error.path == path
    assert reason in error.errors[0][1]
    assert f"at `{path}`" in str(error)


def test_every_mistake_is_named():
    """Not only the first."""
    with pytest.raises(ParseError) as caught:
        typed_format(CASES["bounded by others"][0]).parse(
            '{"percent": 101, "word": "A", "few": [1, 2, 3, 4]}'
        )
    assert [path for path, _ in caught.value.errors] == ["$.percent", "$.word", "$.few"]


def test_checks_of_a_class_count():
    """What its `__post_init__` raises is a mistake of the answer."""

    @dataclasses.dataclass
    class Even:
        number: int

        def __post_init__(self):
            if self.number % 2:
                raise ValueError("odd")

    assert typed_format(Even).parse('{"number": 2}') == Even(2)
    for tp, text in ((Even, '{"number": 3}'), (Even | Point, '{"value": {"number": 3}}')):
        with pytest.raises(ParseError, match="odd"):
            typed_format(tp).parse(text)


def test_checks_may_raise_anything():
    """Whatever it is, it is a mistake of the answer, which is not lost."""

    class Known(pydantic.BaseModel):
        key: str

        @pydantic.model_validator(mode="after")
        def look_up(self):
            return {}[self.key]

    for tp, text, told in (
        (Known, '{"key": "a"}', "KeyError: 'a'"),
        (set[Known.__base__], '{"value": [{}]}', "TypeError: unhashable"),
    ):
        with pytest.raises(ParseError, match=told) as caught:
            typed_format(tp).parse(text)
        assert (caught.value.text, caught.value.path) == (text, "$")


def test_validators_beside_a_type():
    """What pydantic's notes say counts in types that are not pydantic's, too."""
    form = typed_format(Order)
    assert parts(form)["schema"]["properties"]["pieces"] == {"type": "integer", "description": "how many"}
    assert form.parse('{"pieces": 3}') == Order(6)
    with pytest.raises(ParseError, match=r"below nothing - at `\$.pieces`"):
        form.parse('{"pieces": -3}')


def test_an_alias_written_in_quotes():
    """It may hold itself before Python 3.12, too."""
    check_both_ways(Nested, [1, [2, []]])


def test_pydantic_is_not_imported_for_others():
    """It costs more than all of this package."""
    code = (
        "import sys, dataclasses\n"
        "from duologue import tool, typed_format\n"
        "@dataclasses.dataclass\n"
        "class A: x: int\n"
        "typed_format(list[A]).parse('{\"value\": []}')\n"
        "tool(lambda: 1).to_param()\n"
        "print('pydantic' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert result.stdout == "False\n"


def test_the_table_of_the_reference_is_up_to_date():
    """`PYTHONPATH=tests python -m support.schema_page` writes it."""
    assert PAGE.read_text("utf-8") == page_with(table())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement `type` came with Python 3.12")
def test_aliases_that_hold_themselves():
    """`type` statements, generic or not; msgspec has no decoder for them."""
    namespace: dict[str, Any] = {}
    exec("type Nested = list[Nested] | int\ntype Tree[T] = tuple[T, list[Tree[T]]]", namespace)
    check_both_ways(namespace["Nested"], [1, [2, []]])
    check_both_ways(namespace["Tree"][int], (1, [(2, []), (3, [])]))
