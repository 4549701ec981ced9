"""What the members of a class are: of a dataclass, a TypedDict, a Struct."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from .docstring import Docstring, read_docstring
from .errors import SchemaError
from .hints import class_hints, is_typed_dict, resolved, strip_qualifiers
from .objects import NO_DEFAULT

__all__ = ["Member", "Outline", "class_doc", "default_of", "outline"]

# Factories of defaults that make the same each time, and hold nothing of anybody's.
PLAIN_FACTORIES = (list, dict, set, frozenset, tuple)


class Member(NamedTuple):
    """One member: its name in Python and in JSON, its type, whether it must be given.

    `optional`: in JSON it may be null for "absent". `default` is what JSON can say of its default.
    """

    name: str
    key: str
    hint: Any
    required: bool = True
    optional: bool = False
    default: Any = NO_DEFAULT
    description: str | None = None


class Outline(NamedTuple):
    """A class: what makes one of its members' values, what its JSON has besides, and its members.

    `exact`: msgspec makes the same of the same JSON.
    """

    build: Callable[..., Any]
    members: Sequence[Member]
    constants: Mapping[str, Any]
    exact: bool = True


def outline(tp: Any, path: str) -> Outline | None:
    """The outline of a class, or of `Box[int]`; None for a class of another kind."""
    cls = get_origin(tp) or tp
    if dataclasses.is_dataclass(cls):
        return _dataclass(tp, path)
    if is_typed_dict(cls):
        return _typed_dict(tp)
    if issubclass(cls, msgspec.Struct):
        return _struct(tp, path)
    return None


def class_doc(tp: Any) -> Docstring:
    """What a class's own docstring says; not what it inherits, nor what is made of its signature."""
    cls = get_origin(tp) or tp
    doc = cls.__dict__.get("__doc__")
    return read_docstring(None if doc and doc.startswith(f"{cls.__name__}(") else doc)


def default_of(value: Any) -> Any:
    """A default as JSON says it; `NO_DEFAULT` for None, and for what has no form in JSON."""
    if value is None:
        return NO_DEFAULT
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return NO_DEFAULT


def _dataclass(tp: Any, path: str) -> Outline:
    cls = get_origin(tp) or tp
    hints, said = class_hints(tp), class_doc(tp).parameters
    for name, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar) and not hasattr(cls, name):
            raise SchemaError(f"{path}.{name}", "an `InitVar` is no part of the value; give it a default.")
    members = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        factory = field.default_factory
        required = field.default is dataclasses.MISSING and factory is dataclasses.MISSING
        default = factory() if factory in PLAIN_FACTORIES else field.default
        members.append(
            Member(
                field.name, field.name, hints[field.name], required,
                default=NO_DEFAULT if default is dataclasses.MISSING else default_of(default),
                description=field.metadata.get("description") or said.get(field.name),
            )
        )  # fmt: skip
    exact = _ascii(members) and all(field.init for field in dataclasses.fields(cls))
    return Outline(tp, members, {}, exact)


def _typed_dict(tp: Any) -> Outline:
    cls = get_origin(tp) or tp
    said = class_doc(tp).parameters
    members = []
    for name, qualified in class_hints(tp).items():
        hint, required = strip_qualifiers(qualified)
        if required is None:
            required = name in cls.__required_keys__
        members.append(Member(name, name, hint, required, not required, description=said.get(name)))
    return Outline(dict, members, {}, _ascii(members))


def _ascii(members: Sequence[Member]) -> bool:
    """Whether all names are ASCII; of others msgspec 0.22 finds none that was not encoded before (its #1126)."""
    return all(member.key.isascii() for member in members)


def _struct(tp: Any, path: str) -> Outline:
    cls = get_origin(tp) or tp
    config = cls.__struct_config__
    if config.array_like:
        raise SchemaError(
            path, "a Struct that is `array_like` has no keys for a model to go by; take that out."
        )
    resolved(cls, {cls.__name__: cls})  # msgspec's own errors name no place
    said = class_doc(tp).parameters
    members = []
    for field in msgspec.structs.fields(tp):
        factory = field.default_factory
        default = factory() if factory in PLAIN_FACTORIES else field.default
        optional = msgspec.UnsetType in get_args(field.type)
        members.append(
            Member(
                field.name, field.encode_name, field.type, field.required, optional,
                NO_DEFAULT if default in (msgspec.NODEFAULT, msgspec.UNSET) else default_of(default),
                said.get(field.name),
            )
        )  # fmt: skip
    constants = {} if config.tag is None else {config.tag_field: config.tag}
    return Outline(tp, members, constants)
