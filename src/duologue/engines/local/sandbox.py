"""The sandbox that a chat template runs in: what it may use, and how much it may make and compute.

A template is a program that comes with a model file. Every value that it makes is paid for: before it is made,
or, where it cannot be much larger than what it is made from, at once afterwards. A text costs its characters, a
list its places. Filters and methods that make much out of little are left out, or their work is weighed first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_context
from jinja2.visitor import NodeTransformer

from .meter import PLACE, WEIGHED, Meter, cost

__all__ = ["Sandbox"]

# The most bits of a number, and the most characters that a level of JSON is indented by.
MAX_BITS = 1024
MAX_INDENT = 16

# Filters that give back what they are given, or parts of it, and those that make a text of any value.
PARTS = """
    abs count d default dictsort first float int items last length list map max min reject rejectattr reverse
    select selectattr sort unique
"""
TEXTS = "capitalize e escape indent lower replace safe string title trim upper"

# The methods that values have.
OF_TEXTS = """
    capitalize casefold count endswith find format index isalnum isalpha isdecimal isdigit islower isnumeric
    isspace istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex
    rpartition rsplit rstrip split splitlines startswith strip swapcase title upper
"""
METHODS: Mapping[tuple[type, ...], frozenset[str]] = {
    (str,): frozenset(OF_TEXTS.split()),
    (dict,): frozenset(("copy", "get", "items", "keys", "values")),
    (list, tuple): frozenset(("copy", "count", "index")),
    (int, float, bytes): frozenset(),
}

# What Jinja itself gives to all that is called.
INTERNAL = ("_block_vars", "_loop_vars")
# Filters that only the code generator puts in; a template that names them itself gains nothing.
MADE, CUT, JOINED, STEPS = "made", "cut", "joined", "steps"


class _Metering(NodeTransformer):
    """Puts a filter around every expression that Jinja evaluates without asking its environment."""

    def visit(self, node: nodes.Node, *args: Any, **named: Any) -> Any:
        self.generic_visit(node, *args, **named)
        if isinstance(node, nodes.For):
            node.iter = _filtered(node.iter, STEPS)
        elif isinstance(node, nodes.Concat):
            return _filtered(nodes.List(node.nodes, lineno=node.lineno), JOINED)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            return _filtered(node, CUT)
        elif isinstance(node, (nodes.List, nodes.Dict)) or (
            isinstance(node, nodes.Tuple) and node.ctx == "load"
        ):
            return _filtered(node, MADE)
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Expr:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Metered(CodeGenerator):
    """Compiles the template so."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802  # Jinja's
        super().visit_Template(_Metering().visit(node), frame)


class _Generation(Extension):
    """The tag that marks, for training, what the assistant says. Here it makes no difference."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Namespace(Namespace):
    """Variables of a template. A text of it says nothing of them, or it could be of any size."""

    def __repr__(self) -> str:
        return "<namespace>"


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment without access to anything but a template's arguments. `begin` goes before each rendering.

    Beyond a bound, or where something is not allowed, `jinja2.exceptions.SecurityError` ends the rendering.
    """

    code_generator_class = _Metered
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
        )
        self._meter = Meter()
        self.filters = {
            **{name: self._part(FILTERS[name]) for name in PARTS.split()},
            **{name: self._text(name, FILTERS[name]) for name in TEXTS.split()},
            "join": self._join,
            "tojson": self._to_json,
            MADE: self._made,
            CUT: self._cut,
            JOINED: self._joined,
            STEPS: self._steps,
        }
        del self.globals["lipsum"]
        self.globals["namespace"] = _Namespace
        self.finalize = self._made  # of all that is written

    def begin(self) -> None:
        """Let this thread make and compute as much as one rendering may."""
        self._meter.begin()

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for types, names in METHODS.items():
            if isinstance(obj, types):
                return attr in names
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **named: Any) -> Any:
        self._meter.weigh([args, {name: named[name] for name in named if name not in INTERNAL}])
        method = getattr(obj, "__wrapped__", obj)  # `format` comes wrapped
        owner = getattr(method, "__self__", None)
        if not isinstance(owner, str):
            result = super().call(context, obj, *args, **named)
            self._meter.spend(cost(result))
            return result
        if method.__name__ == "join":
            args = (list(*args),)
            self._meter.spend(len(owner) * len(args[0]))
            self._meter.weigh(args[0])
        elif method.__name__ in WEIGHED:
            self._meter.spend(WEIGHED[method.__name__](owner, *args, **named))
        return self._made(context, super().call(context, obj, *args, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length()
            if (bits * abs(right) if operator == "**" else bits + right.bit_length()) > MAX_BITS:
                raise SecurityError(f"it makes a number of more than {MAX_BITS} bits")
        elif operator == "*":
            sequence, count = (right, left) if isinstance(left, int) else (left, right)
            self._meter.spend(cost(sequence) * max(count, 0) if isinstance(count, int) else 0)
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("it formats with %, which is not known here")
        else:
            self._meter.spend(cost(left) + cost(right))
        return super().call_binop(context, operator, left, right)

    def _part(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter of which a value costs what it has, and the result, too."""

        @pass_context
        def apply(context: Context, value: Any, *args: Any, **named: Any) -> Any:
            self._meter.spend(cost(value))
            return self._cut(context, context.call(function, value, *args, **named))

        return apply

    def _text(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that makes texts of its arguments."""

        @pass_context
        def apply(context: Context, value: Any, *args: Any, **named: Any) -> Any:
            self._meter.weigh([value, args, named])
            if name in WEIGHED:
                self._meter.spend(WEIGHED[name](str(value), *args, **named))
            return self._made(context, context.call(function, value, *args, **named))

        return apply

    @pass_context
    def _join(self, _: Context, value: Any, d: Any = "", attribute: str | int | None = None) -> str:
        items = list(value if attribute is None else map(make_attrgetter(self, attribute), value))
        self._meter.spend(self._meter.weigh(d) * len(items))
        self._meter.weigh(items)
        return str(d).join(map(str, items))

    @pass_context
    def _to_json(
        self,
        _: Context,
        value: Any,
        indent: int | str | None = None,
        ensure_ascii: bool = False,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        """JSON as it is: Jinja's own filter would escape it for HTML."""
        if (len(indent) if isinstance(indent, str) else indent or 0) > MAX_INDENT:
            raise SecurityError(f"it indents JSON by more than {MAX_INDENT} characters")
        encoder = json.JSONEncoder(
            ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )
        return "".join(self._made(_, piece) for piece in encoder.iterencode(value))

    @pass_context
    def _made(self, _: Context, value: Any) -> Any:
        self._meter.weigh(value)
        return value

    @pass_context
    def _cut(self, _: Context, value: Any) -> Any:
        self._meter.spend(cost(value))
        return value

    @pass_context
    def _joined(self, _: Context, values: list[Any]) -> str:
        self._meter.weigh(values)
        return "".join(map(str, values))

    @pass_context
    def _steps(self, _: Context, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._meter.spend(PLACE)
            yield value

    def concat(self, pieces: Iterable[str]) -> str:
        pieces = list(pieces)
        self._meter.spend(sum(map(len, pieces)))
        return "".join(pieces)
