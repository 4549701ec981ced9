"""What a Python type is made of: annotations into nodes."""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from .classes import Member, class_doc, outline
from .errors import Mismatch, SchemaError
from .foreign import Foreign, is_foreign, is_foreign_note
from .hints import alias_value, class_hints, is_alias, type_name
from .leaves import leaf
from .nodes import Anything, Choice, Dict, Items, Named, Node, Noted, Tuple, Union
from .notes import SIZES, Notes, read_notes
from .objects import Field, Object

__all__ = ["Describer", "describe", "ending", "is_exact", "takes_null"]

# Collections of items of one kind, and what a list of them becomes.
COLLECTIONS: Mapping[Any, Callable[[list[Any]], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    tuple: tuple,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.MutableSequence: list,
    collections.abc.MutableSet: set,
    collections.abc.Sequence: list,
    collections.abc.Set: set,
}
MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def describe(tp: Any) -> Node:
    """The node of a type; raises `SchemaError` for one that JSON has no form for."""
    name = type_name(tp)
    with ending(name):
        return Describer().node(tp, name)


@contextmanager
def ending(name: str) -> Iterator[None]:
    """Raise `SchemaError` for types that go on without end, as one does that holds `Box[list[T]]` in `Box[T]`."""
    try:
        yield
    except RecursionError as error:
        raise SchemaError(
            name, "holds itself with another type each time, without end; write out one."
        ) from error


def is_exact(node: Node) -> bool:
    """Whether msgspec reads the type of a node, and of all in it, as the node does."""
    seen: set[Node] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            if not node.exact:
                return False
            seen.add(node)
            waiting.extend(node.parts())
    return True


def takes_null(node: Node) -> bool:
    """Whether null is a value of a kind."""
    try:
        node.read(None, "")
    except Mismatch:
        return False
    return True


class Describer:
    """Makes the nodes of one type. A class that comes twice is one node, so it may hold itself."""

    def __init__(self) -> None:
        self._known: dict[Any, Node] = {}

    def node(self, tp: Any, path: str, notes: Notes | None = None) -> Node:
        """The node of the type that stands at `path`, with the notes that surround it."""
        notes = notes or Notes({}, {})
        if get_origin(tp) is Annotated:
            inner, *metadata = get_args(tp)
            own = read_notes(metadata)
            if any(map(is_foreign_note, metadata)):
                return _noted(Foreign(tp, path), own.words)
            merged = Notes({}, {**own.bounds, **notes.bounds}, own.foreign or notes.foreign)
            found = self.node(inner, path, merged)
            return _noted(found, own.words)
        if isinstance(tp, typing.NewType):
            return self.node(tp.__supertype__, path, notes)
        if isinstance(tp, TypeVar):
            return Anything() if tp.__bound__ is None else self.node(tp.__bound__, path, notes)
        if is_alias(tp):
            return self._named(tp, lambda: self.node(alias_value(tp), path))
        try:
            return self._combined(tp, path, notes) or self._class(tp, path) or self._leaf(tp, path, notes)
        except SchemaError:
            raise
        except TypeError as error:  # bounds that the type cannot have, and the like
            raise SchemaError(path, str(error)) from error

    def _combined(self, tp: Any, path: str, notes: Notes) -> Node | None:
        """A union, a list of values, or a collection."""
        origin, args = get_origin(tp) or tp, get_args(tp)
        sizes = {name: notes.bounds[name] for name in SIZES if name in notes.bounds}
        if origin in (typing.Union, types.UnionType):
            # msgspec's UNSET says "absent", which is no value.
            options = [self.node(arg, path, notes) for arg in args if arg is not msgspec.UnsetType]
            return options[0] if len(options) == 1 else Union(options)
        if origin is Literal:
            return _choice(args, path)
        if origin in MAPPINGS:
            key, value = args or (str, Any)
            return Dict(self.node(key, path), self.node(value, f"{path}.*"), sizes, not notes.foreign)
        if origin is tuple and args and args[-1] is not ...:
            return Tuple([self.node(arg, f"{path}[{at}]") for at, arg in enumerate(args)], tuple)
        if origin in COLLECTIONS:
            item = self.node(args[0] if args else Any, f"{path}[]")
            return Items(item, COLLECTIONS[origin], sizes, not notes.foreign)
        return None

    def _class(self, tp: Any, path: str) -> Node | None:
        cls = get_origin(tp) or tp
        if not isinstance(cls, type):
            return None
        if is_foreign(cls):
            return self._known.setdefault(tp, Foreign(tp, path))
        if issubclass(cls, enum.Enum):
            choice = _choice(list(cls), path)
            doc = class_doc(cls).text
            return self._named(cls, lambda: _noted(choice, {"description": doc} if doc else {}))
        if issubclass(cls, tuple) and (names := getattr(cls, "_fields", None)) is not None:
            hints = class_hints(tp)
            if len(hints) != len(names):
                raise SchemaError(path, "its fields have no types; make it a `typing.NamedTuple`.")
            items = [self.node(hint, f"{path}.{name}") for name, hint in hints.items()]
            return Tuple(items, lambda values: cls(*values))
        found = None if tp in self._known else outline(tp, path)
        if found is not None:
            made = self._known[tp] = Object(
                type_name(tp), found.build, description=class_doc(tp).text, constants=found.constants
            )
            made.fill([self.field(member, path) for member in found.members], exact=found.exact)
        return self._known.get(tp)

    def field(self, member: Member, path: str) -> Field:
        """The field for a member of the class at `path`."""
        node = self.node(member.hint, f"{path}.{member.name}")
        return Field(
            member.name,
            member.key,
            node,
            required=member.required,
            absent_as_null=member.optional and not takes_null(node),
            default=member.default,
            description=member.description,
        )

    def _leaf(self, tp: Any, path: str, notes: Notes) -> Node:
        if tp is Any or tp is object:
            return Anything()
        found = leaf(tp, notes)
        if found is None:
            raise SchemaError(
                path,
                f"{type_name(tp)} has no form in JSON; use a number, text, list, dataclass, TypedDict, Struct or "
                "pydantic v2 model.",
            )
        return found

    def _named(self, tp: Any, make: Callable[[], Node]) -> Node:
        if tp not in self._known:
            named = self._known[tp] = Named(type_name(tp))
            named.inner = target = make()
            while isinstance(target, Named):
                if target is named:
                    raise SchemaError(type_name(tp), "stands for nothing but itself; say what it is.")
                target = target.inner
        return self._known[tp]


def _noted(node: Node, words: Mapping[str, Any]) -> Node:
    return Noted(node, words) if words else node


def _choice(values: Sequence[Any], path: str) -> Choice:
    """The node of a `Literal` or an `Enum`."""
    plain = [value.value if isinstance(value, enum.Enum) else value for value in values]
    if not plain or not all(isinstance(value, (bool, int, float, str, type(None))) for value in plain):
        raise SchemaError(path, "its values have no form in JSON; use texts, numbers, True, False and None.")
    # msgspec lists texts, whole numbers and None, and of enums no None.
    listed = (str, int) if isinstance(values[0], enum.Enum) else (str, int, type(None))
    whole = all(type(value) in listed for value in plain)
    return Choice(zip(plain, values, strict=True), exact=whole)
