"""The response objects inside a response object: telling each how it stood on the wire."""

from __future__ import annotations

import functools
from typing import Any, TypeAlias, TypeVar, cast, get_args, get_origin

import msgspec

from ._wire import Origin, Place, WireObject

__all__ = ["Link", "become", "link", "skipping"]

W = TypeVar("W", bound=WireObject)

# The name of a field that holds response objects, whether in a list, of which class, and whether it is whole:
# all its fields are required, so what the strict decoder passed was all there, and need not know its place.
Link: TypeAlias = tuple[str, bool, type[WireObject], bool]


def link(obj: WireObject, raw: bytes, place: Place) -> None:
    """Tell every object below `obj`, which stands at `place`, where in `raw` it stands."""
    for name, many, _, whole in _links(type(obj)):
        value = None if whole else getattr(obj, name)
        if value is None:
            continue
        if many:
            for at, item in enumerate(value):
                item._wire = Origin(raw, (*place, name, at))
                link(item, raw, (*place, name, at))
        else:
            value._wire = Origin(raw, (*place, name))
            link(value, raw, (*place, name))


def become(cls: type[W], obj: Any, value: dict[str, Any], raw: bytes | None, place: Place = ()) -> W:
    """`obj`, made by `skipping(cls)`, as one of `cls` that knows the JSON object it was made from.

    So does every object below it. Raises `ValueError` where a union stands that wants another class.
    """
    if cls._variant(value) is not cls:
        raise ValueError(f"another class than {cls.__name__} stands here")
    obj.__class__ = cls
    obj._wire = Origin(raw, place, value)
    for name, many, held, _ in _links(cls):
        inner = value.get(name)
        if inner is None:
            continue
        made = getattr(obj, name)
        if many:
            for at, item in enumerate(inner):
                become(held, made[at], item, raw, (*place, name, at))
        else:
            become(held, made, inner, raw, (*place, name))
    return cast("W", obj)


@functools.cache
def skipping(cls: type[WireObject]) -> type[msgspec.Struct]:
    """A class with the fields of `cls`, and the same inside it, that skips unknown ones; see `become`.

    Python lets one class take the place of another only if they have the same slots.
    """
    inner: dict[str, Any] = {
        name: list[skipping(held)] if many else skipping(held)  # type: ignore[misc]  # made at run time
        for name, many, held, _ in _links(cls)
    }
    default: Any = msgspec.field
    fields = []
    for field in msgspec.structs.fields(cls):
        hint = inner.get(field.name, field.type)
        if field.name in inner and type(None) in get_args(field.type):
            hint |= None
        same = default(default=field.default, default_factory=field.default_factory)
        fields.append((field.name, hint, same))
    made = msgspec.defstruct(
        cls.__name__, fields, bases=cls.__bases__, kw_only=True, forbid_unknown_fields=False
    )
    msgspec.json.Decoder(made)  # before two threads can both be the first to use it, which crashes msgspec
    return made


@functools.cache
def _links(cls: type[WireObject]) -> tuple[Link, ...]:
    """The fields of `cls` that hold response objects."""
    links: list[Link] = []
    for field in msgspec.structs.fields(cls):
        for hint in (field.type, *get_args(field.type)):
            many = get_origin(hint) is list
            held = get_args(hint)[0] if many else hint
            if isinstance(held, type) and issubclass(held, WireObject):
                whole = all(inner.required for inner in msgspec.structs.fields(held))
                links.append((field.name, many, held, whole))
                break
    return tuple(links)
