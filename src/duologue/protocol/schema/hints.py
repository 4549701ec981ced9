"""Type hints of classes and functions: names resolved, type variables replaced, qualifiers taken off."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from .errors import SchemaError, words_of

__all__ = [
    "alias_value",
    "class_hints",
    "is_alias",
    "is_typed_dict",
    "resolved",
    "strip_qualifiers",
    "substituted",
    "type_name",
]

# A name shows so many values of a `Literal`.
MAX_SHOWN = 10


def resolved(owner: Any, names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`typing.get_type_hints` with all of `Annotated` kept; raises `SchemaError` for what is no type."""
    with _annotations_of(type_name(owner)):
        return typing.get_type_hints(owner, localns=dict(names) if names else None, include_extras=True)


def is_alias(tp: Any) -> bool:
    """Whether a type is a `type Name = ...`, or `Name[int]`, or one made by `TypeAliasType`."""
    return type(get_origin(tp) or tp).__name__ == "TypeAliasType"


def alias_value(tp: Any) -> Any:
    """What an alias stands for; of `Name[int]`, with `int` for its variable. Raises `SchemaError`."""
    alias = get_origin(tp) or tp
    with _annotations_of(alias.__name__):
        names = vars(sys.modules[alias.__module__])
        owner = types.SimpleNamespace(__annotations__={"value": alias.__value__}, __globals__=names)
        value = typing.get_type_hints(owner, include_extras=True)["value"]
    return substituted(value, dict(zip(alias.__type_params__, get_args(tp), strict=False)))


@contextmanager
def _annotations_of(name: str) -> Iterator[None]:
    """Whatever their evaluation raises becomes a `SchemaError`: in quotes, they may be any expression."""
    try:
        yield
    except NameError as error:
        raise SchemaError(
            name, f"{error}; types that annotations name must stand at the top of their module."
        ) from error
    except Exception as error:
        raise SchemaError(
            name, f"has an annotation that is no type ({words_of(error)}); write it anew."
        ) from error


def class_hints(tp: Any) -> dict[str, Any]:
    """The annotations of a class and its bases, in order; of `Box[int]`, with `int` for `Box`'s variable."""
    cls = get_origin(tp) or tp
    bindings: dict[Any, dict[Any, Any]] = {}
    _bind(tp, {}, bindings)
    hints: dict[str, Any] = {}
    for name, hint in resolved(cls, {cls.__name__: cls}).items():
        # A TypedDict has no bases at run time, and says itself what they say.
        owner = next((c for c in cls.__mro__ if name in inspect.get_annotations(c)), cls)
        hints[name] = substituted(hint, bindings.get(owner, {}))
    return hints


def _bind(tp: Any, outer: Mapping[Any, Any], bindings: dict[Any, dict[Any, Any]]) -> None:
    """What the type variables of each generic base stand for."""
    cls = get_origin(tp) or tp
    own = dict(zip(getattr(cls, "__parameters__", ()), get_args(tp), strict=False))
    bindings[cls] = {variable: substituted(hint, outer) for variable, hint in own.items()}
    for base in getattr(cls, "__orig_bases__", ()):
        if isinstance(get_origin(base), type):
            _bind(base, bindings[cls], bindings)


def substituted(hint: Any, bindings: Mapping[Any, Any]) -> Any:
    """A hint with type variables replaced."""
    if isinstance(hint, TypeVar):
        return bindings.get(hint, hint)
    variables = getattr(hint, "__parameters__", ())
    if not variables or isinstance(hint, type) or not bindings:
        return hint
    return hint[tuple(bindings.get(variable, variable) for variable in variables)]


def is_typed_dict(tp: Any) -> bool:
    """Whether a class is a TypedDict, of `typing` or of `typing_extensions`."""
    return isinstance(tp, type) and issubclass(tp, dict) and hasattr(tp, "__total__")


def strip_qualifiers(hint: Any) -> tuple[Any, bool | None]:
    """A TypedDict's hint without `Required`, `NotRequired`, `ReadOnly`; whether it is required, None if unsaid."""
    required: bool | None = None
    while (name := getattr(get_origin(hint), "_name", None)) in ("Required", "NotRequired", "ReadOnly"):
        if name != "ReadOnly":
            required = name == "Required"
        (hint,) = get_args(hint)
    return hint, required


def type_name(tp: Any) -> str:
    """A name for people: `Box[int]`, `Cat | Dog`."""
    origin, args = get_origin(tp), get_args(tp)
    if origin is Annotated:
        return type_name(args[0])
    if origin is Literal:
        shown = [*map(repr, args[:MAX_SHOWN]), *(["..."] if len(args) > MAX_SHOWN else [])]
        return f"Literal[{', '.join(shown)}]"
    if tp is ...:
        return "..."
    if origin in (Union, types.UnionType):
        return " | ".join(map(type_name, args))
    if origin is not None and args:
        return f"{type_name(origin)}[{', '.join(map(type_name, args))}]"
    return "None" if tp is type(None) else str(getattr(tp, "__name__", None) or tp)
