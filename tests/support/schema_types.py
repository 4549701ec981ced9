"""Types of every kind that an answer may have, with a value each and what the model is to write for it."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import annotated_types as at
import msgspec
import pydantic
import pydantic.dataclasses
from typing_extensions import Doc, ReadOnly, TypeAliasType

T = TypeVar("T")
S = TypeVar("S", bound=int)
UserId = NewType("UserId", int)
Ids = TypeAliasType("Ids", list[int])
Pairs = TypeAliasType("Pairs", list[tuple[T, T]], type_params=(T,))


class Color(enum.Enum):
    """A color."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 3


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"
    NONE = None


@dataclass
class Point:
    """A place on the map."""

    x: int
    y: Annotated[int, "how far north"] = 0


@dataclass
class Tree:
    label: str
    children: list[Tree] = field(default_factory=list)


@dataclass
class Circle:
    radius: float


@dataclass
class Square:
    side: float


@dataclass
class Labelled(Generic[T]):
    label: str
    item: T


@dataclass
class LabelledPoint(Labelled[Point]):
    extra: bool


@dataclass
class Defaults:
    shape: Circle | Square = field(default_factory=lambda: Circle(1.0))
    odd: Annotated[float | None, "may be nothing"] = float("nan")
    either: list[int] | tuple[int, str] | str = ""


@dataclass
class Documented:
    """Something.

    Attributes:
        size: in metres
    """

    size: float
    hidden: int = field(init=False, default=3)
    weight: float = field(default=1.5, metadata={"description": "in kilograms"})


class Address(TypedDict):
    street: str
    number: NotRequired[int]
    note: NotRequired[str | None]


class Base(TypedDict, total=False):
    a: int


class Derived(Base):
    b: ReadOnly[str]


class Cat(msgspec.Struct, tag="cat"):
    name: str


class Dog(msgspec.Struct, tag="dog"):
    name: str
    age: int = 1


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str
    maybe: int | msgspec.UnsetType = msgspec.UNSET


class Box(msgspec.Struct, Generic[T]):
    item: T


class Pair(NamedTuple):
    first: int
    second: str


class User(pydantic.BaseModel):
    """A user."""

    name: str = pydantic.Field(description="in full", min_length=1)
    age: int | None = None
    tags: set[str] = set()
    home: Point | None = pydantic.Field(default=None, description="where")


class Node(pydantic.BaseModel):
    value: int
    next: Optional[Node] = None  # noqa: UP045


class Bird(pydantic.BaseModel):
    kind: Literal["bird"]
    wings: int


class Fish(pydantic.BaseModel):
    kind: Literal["fish"]
    fins: int = 3


class Pond(pydantic.BaseModel):
    animal: Annotated[Bird | Fish, pydantic.Field(discriminator="kind")]
    link: pydantic.AnyUrl
    pair: tuple[int, str]
    price: Decimal


class Wrapper(pydantic.BaseModel, Generic[T]):
    item: T


class Numbers(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class Range:
    low: int
    high: int = pydantic.Field(default=9, le=10)


@dataclass
class Bounded:
    percent: Annotated[int, at.Interval(ge=0, le=100)]
    word: Annotated[str, at.Len(1, 8), pydantic.Field(pattern="^[a-z]+$", description="lower case")]
    few: Annotated[list[int], at.MaxLen(3)]
    doc: Annotated[str, Doc("said by Doc")] = ""


UTC = dt.timezone.utc  # noqa: UP017
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")

# Each type by a name: a value, and the schema of it (of the value alone, where it has to be put into an object).
CASES: dict[str, tuple[Any, Any]] = {
    "bool": (bool, True),
    "int": (int, -3),
    "float": (float, 2.5),
    "str": (str, 'a "quoted" \\ line\n'),
    "bytes": (bytes, b"\x00\xffabc"),
    "None": (type(None), None),
    "datetime": (dt.datetime, dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
    "date": (dt.date, dt.date(2026, 2, 3)),
    "time": (dt.time, dt.time(4, 5, 6, tzinfo=UTC)),
    "timedelta": (dt.timedelta, dt.timedelta(days=1, seconds=5)),
    "local datetime": (Annotated[dt.datetime, msgspec.Meta(tz=False)], dt.datetime(2026, 2, 3, 4, 5, 6)),
    "UUID": (uuid.UUID, ID),
    "Decimal": (Decimal, Decimal("12.50")),
    "Literal": (Literal["a", "b"], "b"),
    "Literal of one": (Literal["a"], "a"),
    "Literal of kinds": (Literal["a", 1, None], 1),
    "Literal of truth": (Literal[True, "auto"], True),
    "Enum": (Color, Color.BLUE),
    "IntEnum": (Level, Level.HIGH),
    "Enum of kinds": (Mixed, Mixed.NONE),
    "list": (list[int], [1, 2]),
    "set": (set[str], {"a"}),
    "frozenset": (frozenset[int], frozenset({1})),
    "tuple of one kind": (tuple[int, ...], (1, 2, 3)),
    "tuple": (tuple[int, str], (1, "a")),
    "pair of one kind": (tuple[float, float], (1.0, 2.5)),
    "NamedTuple": (Pair, Pair(1, "a")),
    "Optional": (Optional[int], None),  # noqa: UP045
    "union": (int | str, "a"),
    "union of texts": (Union[dt.date, Color, str], dt.date(2026, 2, 3)),  # noqa: UP007
    "union of classes": (Circle | Square, Square(2.0)),
    "union of tagged": (Cat | Dog, Dog("Rex", 3)),
    "union of lists": (list[int] | list[str], ["a"]),
    "NewType": (UserId, UserId(7)),
    "alias": (Ids, [1, 2]),
    "generic alias": (Pairs[int], [(1, 2)]),
    "type variable with a bound": (list[S], [1]),  # type: ignore[valid-type]
    "defaults that JSON has not": (Defaults, Defaults(Square(2.0), None, (1, "a"))),
    "union with texts of bounds": (
        Annotated[str, at.MaxLen(3)] | list[str] | Point | Circle | None,
        Point(1, 2),
    ),
    "described": (Annotated[int, "how many"], 3),
    "bounded by msgspec": (Annotated[int, msgspec.Meta(ge=0, description="not below 0")], 0),
    "bounded by others": (Bounded, Bounded(5, "abc", [1, 2])),
    "dataclass": (Point, Point(1, 2)),
    "dataclass with a docstring": (Documented, Documented(1.5, weight=2.5)),
    "dataclass inside of itself": (Tree, Tree("a", [Tree("b"), Tree("c", [Tree("d")])])),
    "generic dataclass": (Labelled[Color], Labelled("a", Color.RED)),
    "of a generic dataclass": (LabelledPoint, LabelledPoint("a", Point(1), True)),
    "list of dataclasses": (list[Point], [Point(1), Point(2, 3)]),
    "TypedDict": (Address, {"street": "Elm", "number": 3, "note": None}),
    "TypedDict without a key": (Address, {"street": "Elm", "note": None}),
    "TypedDict of another": (Derived, {"b": "x"}),
    "Struct": (Box[int], Box(3)),
    "generic Struct": (Box[list[Point]], Box([Point(1)])),
    "Struct with other keys": (Renamed, Renamed("Ann")),
    "model": (User, User(name="Ann", age=3, tags={"x"}, home=Point(1))),
    "model inside of itself": (Node, Node(value=1, next=Node(value=2))),
    "model with all kinds": (
        Pond,
        Pond(
            animal=Fish(kind="fish"),
            link=pydantic.AnyUrl("https://x.org/"),
            pair=(1, "a"),
            price=Decimal("1.5"),
        ),
    ),
    "generic model": (Wrapper[int], Wrapper[int](item=3)),
    "root model": (Numbers, Numbers([1, 2])),
    "pydantic dataclass": (Range, Range(1)),
    "list of models": (list[User], [User(name="A")]),
    "models or none": (Bird | Fish | None, Bird(kind="bird", wings=2)),
    "url": (pydantic.AnyUrl, pydantic.AnyUrl("https://x.org/")),
    "dataclass with models": (Labelled[User], Labelled("a", User(name="B"))),
}


def written(schema: dict[str, Any], value: Any) -> Any:
    """The JSON value that a model writes for a Python one: every key of the schema, null where there is none."""
    plain = msgspec.to_builtins(value, enc_hook=_plain)
    wrapped = schema["properties"].keys() == {"value"} and not (
        isinstance(plain, dict) and plain.keys() == {"value"}
    )
    plain = {"value": plain} if wrapped else plain
    return json.loads(json.dumps(_filled(schema, plain, schema.get("$defs", {}))))


def _filled(schema: dict[str, Any], value: Any, definitions: dict[str, Any]) -> Any:
    """A value with null for what is absent, in it and inside of it."""
    if "$ref" in schema:
        return _filled(definitions[schema["$ref"].rpartition("/")[2]], value, definitions)
    if "anyOf" in schema:
        fitting = [part for part in schema["anyOf"] if _fits(part, value, definitions)]
        return _filled(fitting[0], value, definitions) if fitting else value
    if isinstance(value, dict):
        inner = schema["properties"]
        return {
            name: _filled(part, value[name], definitions) if name in value else None
            for name, part in inner.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_filled(schema["items"], item, definitions) for item in value]
    return value


def _fits(schema: dict[str, Any], value: Any, definitions: dict[str, Any]) -> bool:
    if "$ref" in schema:
        return _fits(definitions[schema["$ref"].rpartition("/")[2]], value, definitions)
    if isinstance(value, dict):
        return value.keys() <= schema.get("properties", {}).keys()
    return schema.get("type") == "array" and isinstance(value, (list, tuple))


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
