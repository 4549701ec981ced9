"""What every response object knows beyond its fields: how it stood on the wire.

A missing field reads as `None`, because `if delta.content is not None` is the most written line of this
field. Whether it was missing, null, or a value of a newer protocol is asked for, through `obj.wire`.

Each object has one hidden slot, `_wire`, that is never encoded, compared or set from JSON. It holds

- nothing, for an object that was made by hand, and for one whose fields are all required: the fast path
  let it pass, so every field was there;
- the `bytes` of the event, for an object decoded by the fast path that stands at its class's `_home`
  (its usual place in the event: the first choice, its delta, ...);
- an `Origin`, for an object elsewhere, or one whose JSON was looked at. Only the latter is made with its
  `fields`, and only it may have unknown ones: the fast path lets none pass.

The bytes are parsed again only when somebody asks, so a loop that reads fields pays nothing for it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import msgspec

from ._json import json_text, plain
from ._origin import Origin, Place

__all__ = [
    "ABSENT",
    "Open",
    "Origin",
    "Place",
    "Wire",
    "WireClass",
    "WireObject",
    "dump",
    "may_have_unknown",
    "plain",
    "recast",
    "unknown_fields",
]

# The default of a field that the protocol requires and that some server leaves out all the same.
ABSENT: Any = None

if TYPE_CHECKING:
    _T = TypeVar("_T")
    Open = Annotated[_T, "open"]
else:

    class Open:
        """`Open[Literal["a", "b"]]`: any string to the decoder; `wire.is_known` asks for the listed ones."""

        def __class_getitem__(cls, literal: Any) -> Any:
            return Annotated[str, msgspec.Meta(extra={"known": get_args(literal)})]


class _Slot:
    """Stands before Struct in the bases: slots that are no fields, so JSON can neither set nor see them.

    `_response` is what a client puts there: the HTTP response that a top-level object came with. It must
    not refer back to that object, which the garbage collector does not see (`gc=False`).
    """

    __slots__ = ("_response", "_wire")
    _wire: bytes | Origin
    _response: Any


_wire_of = _Slot.__dict__["_wire"].__get__
_response_of = _Slot.__dict__["_response"].__get__


class WireObject(_Slot, msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The base of every response type.

    Unknown fields are kept (`wire.extra`, and as attributes), so what a newer server sends is never lost.
    The `model_…` and `to_…` methods are those that users of openai-python know.
    """

    # The usual place of this class in an event; see the module's docstring.
    _home: ClassVar[Place] = ()
    # Fields that the protocol requires on the wire even when they are null.
    _nullable: ClassVar[frozenset[str]] = frozenset()
    # Fields that a client adds: what it made of the others. They are on no wire.
    _derived: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def _variant(cls, fields: Mapping[str, Any]) -> WireClass:
        """The class for this JSON object where a union stands, of which the decoder knows only `cls`."""
        del fields
        return cls

    @property
    def wire(self) -> Wire:
        """How this object stood on the wire: `.raw`, `.extra`, `.has`, `.is_null`, `.is_known`."""
        return Wire(self)

    @property
    def _request_id(self) -> str | None:
        """The `x-request-id` of the HTTP response this came with; openai-python's name for it."""
        response = self._http_response
        return None if response is None else response.request_id

    @property
    def _http_response(self) -> Any:
        return _hidden(self, _response_of)

    if not TYPE_CHECKING:  # a checker must still catch a misspelt field

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_"):
                unknown = unknown_fields(self)
                if name in unknown:
                    return unknown[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return _restore, (type(self), values, _origin(self))

    def __copy__(self) -> Self:
        return self.model_copy()

    def __replace__(self, /, **changes: Any) -> Self:
        return self.model_copy(update=changes)

    # The family of methods known from openai-python.

    @property
    def model_extra(self) -> dict[str, Any]:
        """The unknown fields this object came with."""
        return self.wire.extra

    @property
    def model_fields_set(self) -> set[str]:
        """The names that were on the wire and those set since; of an object made by hand, those not None."""
        return set(_present(self))

    def to_dict(self) -> dict[str, Any]:
        """JSON values of every field this object came with, unknown ones included."""
        return dump(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """The JSON text of `to_dict()`."""
        return json_text(dump(self), indent)

    def model_dump(
        self, *, mode: str = "python", exclude_unset: bool = False, exclude_none: bool = False
    ) -> dict[str, Any]:
        """A dict of all fields, None where missing; `mode` makes no difference, all values are JSON's."""
        del mode
        return dump(self, every_field=not exclude_unset, without_none=exclude_none)

    def model_dump_json(
        self, *, indent: int | None = None, exclude_unset: bool = False, exclude_none: bool = False
    ) -> str:
        """The JSON text of `model_dump()`."""
        return json_text(self.model_dump(exclude_unset=exclude_unset, exclude_none=exclude_none), indent)

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """An object of this type from a mapping, read as an answer is: what is missing is None.

        Raises `ValueError` naming the path of what is of the wrong type. An object of this type passes.
        """
        from ._build import build

        return build(cls, obj)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray) -> Self:
        """An object of this type from JSON text, read as `model_validate` does; raises `ValueError`."""
        from ._build import build_from_json

        return build_from_json(cls, json_data)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; `update` replaces fields by name, unchecked. `deep` copies what they hold, too."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        if deep:
            from copy import deepcopy

            values = deepcopy(values)
        return recast(type(self), self, **{**values, **(update or {})})


_W = TypeVar("_W", bound=WireObject)

# For classes that have a field `type`, inside of which `type[...]` cannot be written.
WireClass: TypeAlias = type[WireObject]


class Wire:
    """A view of how an object stood on the wire. Names are those of the JSON object."""

    __slots__ = ("_object",)

    def __init__(self, obj: WireObject) -> None:
        self._object = obj

    @property
    def raw(self) -> bytes:
        """The bytes it was decoded from, exactly; of an object made by hand, its encoding."""
        origin = _origin(self._object)
        own = origin.own_bytes() if origin is not None else None
        return own if own is not None else self._object.to_json().encode()

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that this version of the protocol does not know."""
        return unknown_fields(self._object)

    @property
    def names(self) -> set[str]:
        """The names of the fields that were there."""
        return set(self._fields())

    def has(self, name: str) -> bool:
        """Whether the field was there, null or not."""
        return name in self._fields()

    def is_null(self, name: str) -> bool:
        """Whether the field was there and null."""
        return self._fields().get(name, 0) is None

    def is_known(self, name: str) -> bool:
        """Whether an enum field holds a value that this version of the protocol lists."""
        return getattr(self._object, name) in _known_values(type(self._object), name)

    def _fields(self) -> dict[str, Any]:
        origin = _origin(self._object)
        return _present(self._object) if origin is None else origin.own_fields()


def dump(obj: WireObject, *, every_field: bool = False, without_none: bool = False) -> dict[str, Any]:
    """JSON values of `obj`: the fields it came with in their order, then those set since.

    A field that came as null and still is None stays null. `every_field` adds the missing ones as they
    read, `without_none` leaves every None out.
    """
    values = _present(obj)
    if every_field:
        values.update({name: getattr(obj, name) for name in _sent(obj) if name not in values})
    return {
        name: _dump_value(value, every_field, without_none)
        for name, value in values.items()
        if not (without_none and value is None)
    }


def _present(obj: WireObject) -> dict[str, Any]:
    """The fields that `obj` came with and those set since; of one made by hand, those that say something."""
    origin = _origin(obj)
    known = _sent(obj)
    if origin is None:
        held = {name: getattr(obj, name) for name in known}
        return {name: value for name, value in held.items() if value is not None or name in obj._nullable}
    values = {
        name: getattr(obj, name) if name in known else value for name, value in origin.own_fields().items()
    }
    for name, default in _defaults(type(obj)).items():
        if name in known and name not in values and (value := getattr(obj, name)) != default:
            values[name] = value
    return values


def _sent(obj: WireObject) -> tuple[str, ...]:
    """The fields of `obj` that can be on a wire."""
    derived = obj._derived
    if not derived:
        return obj.__struct_fields__
    return tuple(name for name in obj.__struct_fields__ if name not in derived)


@functools.cache
def _defaults(cls: type[WireObject]) -> dict[str, Any]:
    """What each field of `cls` reads as when it was missing."""
    defaults: dict[str, Any] = {}
    for field in msgspec.structs.fields(cls):
        if field.default_factory is not msgspec.NODEFAULT:
            defaults[field.name] = field.default_factory()
        else:
            defaults[field.name] = None if field.required else field.default
    return defaults


def _dump_value(value: Any, every_field: bool, without_none: bool) -> Any:
    if isinstance(value, WireObject):
        return dump(value, every_field=every_field, without_none=without_none)
    if isinstance(value, list):
        return [_dump_value(item, every_field, without_none) for item in value]
    if isinstance(value, dict):
        return {name: _dump_value(item, every_field, without_none) for name, item in value.items()}
    return value


def _hidden(obj: WireObject, slot: Callable[[WireObject], Any]) -> Any:
    """The content of a hidden slot, None while it is empty."""
    try:
        return slot(obj)
    except AttributeError:
        return None


def _origin(obj: WireObject) -> Origin | None:
    """The origin of `obj`; None for one made by hand."""
    found = _hidden(obj, _wire_of)
    if isinstance(found, bytes):
        found = obj._wire = Origin(found, obj._home)
    return cast("Origin | None", found)


def unknown_fields(obj: WireObject) -> dict[str, Any]:
    """The fields that `obj` came with and does not know; none for one of the decoder's fast path."""
    found = _hidden(obj, _wire_of)
    fields = found.fields if isinstance(found, Origin) else None
    if fields is None or (known := _names(type(obj))).issuperset(fields):
        return {}
    return {name: value for name, value in fields.items() if name not in known}


def may_have_unknown(obj: WireObject) -> bool:
    """Whether `obj` may have unknown fields, or what is in it: not if the decoder's fast path made it."""
    found = _hidden(obj, _wire_of)
    return found is None or (isinstance(found, Origin) and found.fields is not None)


@functools.cache
def _names(cls: type[WireObject]) -> frozenset[str]:
    return frozenset(cls.__struct_fields__)


def _restore(cls: type[WireObject], values: dict[str, Any], origin: Origin | None) -> WireObject:
    obj = cls(**values)
    if origin is not None:
        obj._wire = origin
    return obj


def recast(cls: type[_W], obj: WireObject, **changes: Any) -> _W:
    """`obj` as an object of `cls`, a class with more fields than its own, with `changes`."""
    values = {name: getattr(obj, name) for name in obj.__struct_fields__}
    made = _restore(cls, {**values, **changes}, _origin(obj))
    response = _hidden(obj, _response_of)
    if response is not None:
        made._response = response
    return cast("_W", made)


@functools.cache
def _known_values(cls: type[WireObject], name: str) -> frozenset[Any]:
    for field in msgspec.structs.fields(cls):
        if field.name == name and (known := _listed_values(field.type)):
            return known
    raise ValueError(f"{cls.__name__}.{name} is not a field with a list of known values")


def _listed_values(hint: Any) -> frozenset[Any]:
    """The values that a type hint lists, as `Open[...]` or as `Literal[...]`, wherever in a union."""
    if get_origin(hint) is Literal:
        return frozenset(get_args(hint))
    if get_origin(hint) is Annotated:
        return frozenset(value for meta in hint.__metadata__ for value in meta.extra["known"])
    if get_origin(hint) in (Union, types.UnionType):
        return frozenset[Any]().union(*map(_listed_values, get_args(hint)))
    return frozenset()
