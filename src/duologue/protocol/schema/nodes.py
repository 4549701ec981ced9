"""The kinds of values that types are made of. Each knows its JSON schema, and reads JSON values.

msgspec reads whatever type it reads as it is meant here (`exact`); these readers are for the rest: unions of
several classes, bounds of other libraries, keys that may be null in JSON and absent in Python.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from .errors import Mismatch
from .names import Definitions

__all__ = [
    "Anything",
    "Choice",
    "Dict",
    "Items",
    "Leaf",
    "Named",
    "Node",
    "Noted",
    "Tuple",
    "Union",
    "kind_of",
]

# The JSON schema words for what a JSON value is.
KINDS: Mapping[type, str] = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string",
    list: "array", dict: "object",
}  # fmt: skip


def kind_of(value: Any) -> str:
    """The JSON schema `type` of a JSON value; of what is none, the name of its class."""
    return KINDS.get(type(value), type(value).__name__)


class Node(ABC):
    """One kind of value. `exact` says that msgspec reads the type of it as this does, but for its parts."""

    exact: bool = True

    @abstractmethod
    def schema(self, definitions: Definitions) -> dict[str, Any]:
        """Its JSON schema; those of the classes in it go to `definitions`."""

    @abstractmethod
    def read(self, value: Any, path: str) -> Any:
        """The Python value for a JSON value; raises `Mismatch`."""

    def likes(self, value: Any) -> bool:  # noqa: ARG002 - others look
        """Whether a JSON value looks like one of this kind. A union tries those that do first."""
        return False

    def parts(self) -> Iterable[Node]:
        """The nodes inside of it."""
        return ()


class Leaf(Node):
    """A value without parts, which msgspec reads: a number, a text, a date. `kinds` are its JSON types."""

    def __init__(
        self, tp: Any, schema: Mapping[str, Any], kinds: Sequence[str], *, exact: bool = True
    ) -> None:
        self.type = tp
        self.exact = exact
        self._schema = schema
        self._kinds = kinds

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        del definitions
        return dict(self._schema)

    def read(self, value: Any, path: str) -> Any:
        try:
            return msgspec.convert(value, self.type)
        except msgspec.ValidationError as error:
            raise Mismatch((path, str(error))) from None

    def likes(self, value: Any) -> bool:
        # Any text is a `str`, so the other kinds of texts are looked at before it.
        return kind_of(value) in self._kinds and self.type is not str


class Anything(Node):
    """Any value; strict mode has no schema for it."""

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        del definitions
        return {}

    def read(self, value: Any, path: str) -> Any:
        del path
        return value


class Choice(Node):
    """One of a list of values, each with the JSON value that stands for it: a `Literal` or an `Enum`."""

    def __init__(self, values: Iterable[tuple[Any, Any]], *, exact: bool = True) -> None:
        self.exact = exact
        self._values = {(_json_type(plain), plain): value for plain, value in values}

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        del definitions
        by_kind: dict[str, list[Any]] = {}
        for kind, value in self._values:
            by_kind.setdefault(KINDS[kind], []).append(value)
        options = [_listed(kind, values) for kind, values in by_kind.items()]
        return options[0] if len(options) == 1 else {"anyOf": options}

    def read(self, value: Any, path: str) -> Any:
        if self.likes(value):
            return self._values[type(value), value]
        known = ", ".join(repr(plain) for _, plain in self._values)
        raise Mismatch((path, f"Expected one of {known}, got {_shown(value)}"))

    def likes(self, value: Any) -> bool:
        return not isinstance(value, (list, dict)) and (type(value), value) in self._values


def _json_type(value: Any) -> type:
    """The type that a value has when it comes out of JSON: an `IntEnum`'s is an int."""
    return next(kind for kind in (bool, int, float, str, type(None)) if isinstance(value, kind))


def _listed(kind: str, values: list[Any]) -> dict[str, Any]:
    if kind == "null":
        return {"type": "null"}
    return {"type": kind, "const": values[0]} if len(values) == 1 else {"type": kind, "enum": values}


class Items(Node):
    """A list of values of one kind, read into a list, set, frozenset or tuple. `bounds` as in `msgspec.Meta`."""

    def __init__(
        self, item: Node, build: Callable[[list[Any]], Any], bounds: Mapping[str, int], exact: bool
    ) -> None:
        self.exact = exact
        self._item = item
        self._build = build
        self._bounds = bounds

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "items": self._item.schema(definitions)}
        if self._build in (set, frozenset):
            schema["uniqueItems"] = True
        return schema | _sizes(self._bounds, "minItems", "maxItems")

    def read(self, value: Any, path: str) -> Any:
        items = _expect(value, list, path)
        _check_size(items, self._bounds, path)
        return self._build([self._item.read(item, f"{path}[{at}]") for at, item in enumerate(items)])

    def likes(self, value: Any) -> bool:
        return isinstance(value, list)

    def parts(self) -> Iterable[Node]:
        return (self._item,)


class Tuple(Node):
    """A list with a kind for each place, read into a tuple or named tuple. The last ones may have defaults."""

    def __init__(self, items: Sequence[Node], build: Callable[[list[Any]], Any]) -> None:
        self._items = items
        self._build = build

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        length = len(self._items)
        inner = [item.schema(definitions) for item in self._items]
        return {"type": "array", "prefixItems": inner, "items": False, "minItems": length, "maxItems": length}

    def read(self, value: Any, path: str) -> Any:
        items = _expect(value, list, path)
        if len(items) != len(self._items):
            raise Mismatch((path, f"Expected a list of {len(self._items)} items, got {len(items)}"))
        pairs = enumerate(zip(self._items, items, strict=True))
        return self._build([node.read(item, f"{path}[{at}]") for at, (node, item) in pairs])

    def likes(self, value: Any) -> bool:
        return isinstance(value, list) and len(value) == len(self._items)

    def parts(self) -> Iterable[Node]:
        return self._items


class Dict(Node):
    """An object with any keys. Strict mode has no schema for it."""

    def __init__(self, key: Node, value: Node, bounds: Mapping[str, int], exact: bool) -> None:
        self.exact = exact
        self._key = key
        self._value = value
        self._bounds = bounds

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        values = self._value.schema(definitions)
        schema: dict[str, Any] = {"type": "object", "additionalProperties": values or True}
        return schema | _sizes(self._bounds, "minProperties", "maxProperties")

    def read(self, value: Any, path: str) -> Any:
        found = _expect(value, dict, path)
        _check_size(found, self._bounds, path)
        return {
            self._key.read(key, path): self._value.read(item, f"{path}.{key}") for key, item in found.items()
        }

    def likes(self, value: Any) -> bool:
        return isinstance(value, dict)

    def parts(self) -> Iterable[Node]:
        return self._key, self._value


class Union(Node):
    """A value of one of several kinds: the first that takes it, those that look like it before the others."""

    def __init__(self, options: Sequence[Node]) -> None:
        self._options = options

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        return {"anyOf": [option.schema(definitions) for option in self._options]}

    def read(self, value: Any, path: str) -> Any:
        found: list[Sequence[tuple[str, str]]] = []
        for option in sorted(self._options, key=lambda option: not option.likes(value)):
            try:
                return option.read(value, path)
            except Mismatch as error:
                found.append(error.errors)
        # Those that went furthest into the value are what was meant.
        deepest = max((len(errors[0][0]) for errors in found), default=0)
        raise Mismatch(*(error for errors in found if len(errors[0][0]) == deepest for error in errors))

    def likes(self, value: Any) -> bool:
        return any(option.likes(value) for option in self._options)

    def parts(self) -> Iterable[Node]:
        return self._options


class Around(Node):
    """A kind whose values are those of another one, `inner`."""

    inner: Node

    def read(self, value: Any, path: str) -> Any:
        return self.inner.read(value, path)

    def likes(self, value: Any) -> bool:
        return self.inner.likes(value)

    def parts(self) -> Iterable[Node]:
        return (self.inner,)


class Noted(Around):
    """A kind of value with words of its own: a description, a title, examples."""

    def __init__(self, inner: Node, words: Mapping[str, Any]) -> None:
        self.inner = inner
        self._words = words

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        return {**self.inner.schema(definitions), **self._words}


class Named(Around):
    """A kind that has a name, and may hold itself: `type Tree = list[Tree]`. `inner` is set once it is known."""

    def __init__(self, name: str) -> None:
        self.inner: Node = Union(())
        self._name = name

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        return definitions.refer(self, self._name, lambda: self.inner.schema(definitions))


def _expect(value: Any, kind: type, path: str) -> Any:
    if not isinstance(value, kind):
        raise Mismatch((path, f"Expected `{KINDS[kind]}`, got {_shown(value)}"))
    return value


def _shown(value: Any) -> str:
    """A value in an error: a short text or number itself, of others the kind."""
    if isinstance(value, (list, dict)) or (isinstance(value, str) and len(value) > 50):
        return f"`{kind_of(value)}`"
    return repr(value)


def _sizes(bounds: Mapping[str, int], least: str, most: str) -> dict[str, int]:
    words = (("min_length", least), ("max_length", most))
    return {word: bounds[name] for name, word in words if name in bounds}


def _check_size(value: Any, bounds: Mapping[str, int], path: str) -> None:
    least, most = bounds.get("min_length", 0), bounds.get("max_length")
    if len(value) < least or (most is not None and len(value) > most):
        raise Mismatch((path, f"Expected {least} to {most or 'any number of'} items, got {len(value)}"))
