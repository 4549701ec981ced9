"""The parameters of a function, as the object of arguments that a model writes."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin

from ..protocol.schema.classes import Member, default_of
from ..protocol.schema.describe import Describer, ending
from ..protocol.schema.docstring import Docstring, read_docstring
from ..protocol.schema.errors import SchemaError
from ..protocol.schema.hints import resolved
from ..protocol.schema.nodes import Node
from ..protocol.schema.objects import NO_DEFAULT, Object

__all__ = ["Context", "Signature", "function_name", "signature_of"]

C = TypeVar("C")


class _FromTheCaller:
    """Marks the parameter that a runner fills, and no model sees."""


# `db: Context[Database]` is a `Database` that whoever runs the tools hands in.
Context: TypeAlias = Annotated[C, _FromTheCaller()]


class Signature(NamedTuple):
    """How a function is called: its arguments as a node, and who gets what. `context` is the parameter for it.

    `needs_context` says that None will not do for it.
    """

    arguments: Node
    positional: tuple[str, ...]
    context: str | None
    doc: Docstring
    needs_context: bool = False


def function_name(function: Callable[..., Any]) -> str:
    """The name of a function, of what a partial calls, or of the class of an object that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__)


def signature_of(function: Callable[..., Any], name: str, *, bound: bool) -> Signature:
    """The signature of a function; `bound` leaves out its first parameter, which is `self`.

    Raises `SchemaError` for parameters that no model could fill.
    """
    given: set[str] = set()
    inner = function
    while isinstance(inner, functools.partial):
        given |= inner.keywords.keys()
        inner = inner.func
    annotated = inner if inspect.isroutine(inner) else type(inner).__call__
    hints = resolved(annotated)
    doc = read_docstring(inspect.getdoc(inner if inspect.isroutine(inner) else type(inner)))
    members: list[Member] = []
    positional: list[str] = []
    context, needs_context = None, False
    for parameter in _parameters(function, name)[1 if bound else 0 :]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SchemaError(
                f"{name}({parameter})", "a model cannot know what to give here; name each parameter."
            )
        if parameter.name in given:
            continue
        if parameter.name not in hints:
            raise SchemaError(f"{name}({parameter.name})", "has no annotation; say of which type it is.")
        hint = hints[parameter.name]
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(parameter.name)
        if _is_context(hint):
            context = parameter.name
            needs_context = parameter.default is parameter.empty and not _may_be_none(hint)
        else:
            members.append(_member(parameter, hint, doc.parameters))
    arguments = Object(name, dict)
    describer = Describer()
    with ending(name):
        arguments.fill([describer.field(member, name) for member in members])
    return Signature(arguments, tuple(positional), context, doc, needs_context)


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:  # some functions that are written in C
        raise SchemaError(name, f"{error}; call it from a function with annotations.") from error


def _is_context(hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):  # `Context[Database] | None`
        return any(map(_is_context, get_args(hint)))
    return get_origin(hint) is Annotated and any(isinstance(item, _FromTheCaller) for item in get_args(hint))


def _may_be_none(hint: Any) -> bool:
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return type(None) in get_args(inner) or inner in (Any, object)


def _member(parameter: inspect.Parameter, hint: Any, said: Mapping[str, str]) -> Member:
    required = parameter.default is parameter.empty
    return Member(
        parameter.name,
        parameter.name,
        hint,
        required=required,
        optional=not required,
        default=NO_DEFAULT if required else default_of(parameter.default),
        description=said.get(parameter.name),
    )
