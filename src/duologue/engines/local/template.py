"""A model's chat template: Jinja, in a sandbox, with what the templates in model files expect to be there.

The template is the model file's own program. The sandbox keeps it from everything but its arguments, and the
size of what it makes is bounded. How long it computes is not: Jinja has no way to stop a loop that writes
nothing, so a model file must be trusted that far.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ...protocol.errors import BadRequestError
from .forms import Form, Thoughts, form_of, thoughts_of

__all__ = ["MAX_REPEATED", "MAX_WRITTEN", "ChatTemplate"]

# The most of a template's own words that an error repeats.
MAX_WORDS = 300
# The most characters that a template may write, and the most that it may make by repeating some.
MAX_WRITTEN = 64 * 2**20
MAX_REPEATED = 2**20


class ChatTemplate:
    """A template's source, compiled. `constants` are the names it finds besides the messages.

    `variables` are the names that it looks at, `tools` among them where the model knows tools. `form` and
    `thoughts` are how the model writes calls and thoughts, None where nobody can tell; `one_call` says that it
    knows but one call at a time. Raises `jinja2.TemplateSyntaxError` for a source that does not parse.
    """

    def __init__(self, source: str, **constants: Any) -> None:
        environment = _Sandbox(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        self._template = environment.from_string(source, globals=constants)
        names = environment.parse(source).find_all(jinja2.nodes.Name)
        self.variables = frozenset(name.name for name in names if name.ctx == "load")
        self.form: Form | None = form_of(source)
        self.thoughts: Thoughts | None = thoughts_of(source)
        self.knows_developer = "developer" in source
        # Such a template refuses messages with several calls, so there should never be any.
        self.one_call = "only supports single tool-calls" in source

    def render(
        self,
        messages: Sequence[dict[str, Any]],
        now: datetime,
        *,
        tools: Sequence[dict[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt as text, up to where the assistant begins to speak.

        Raises `BadRequestError` where the template refuses the messages or cannot digest them.
        """
        written = 0
        pieces: list[str] = []
        try:
            for piece in self._template.generate(
                {
                    **(variables or {}),
                    "messages": messages,
                    "tools": tools or None,
                    "add_generation_prompt": True,
                    "strftime_now": now.strftime,
                }
            ):
                written += len(piece)
                if written > MAX_WRITTEN:
                    raise SecurityError(f"it writes more than {MAX_WRITTEN} characters")
                pieces.append(piece)
        except Exception as error:  # whatever a template's code may raise
            raise BadRequestError(
                f"The model's chat template does not take these messages: {str(error)[:MAX_WORDS]}",
                param="messages",
            ) from error
        return "".join(pieces)


class _Sandbox(ImmutableSandboxedEnvironment):
    """No access to anything but the arguments, and no short way to something large."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if (
            _size(left, right) * (abs(right) if operator == "**" and isinstance(right, int) else 1)
            > MAX_REPEATED
        ):
            raise SecurityError(f"it makes something of more than {MAX_REPEATED} pieces")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """The tag that marks, for training, what the assistant says. Here it makes no difference."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _size(left: Any, right: Any) -> int:
    """The size of a product: bits of a number, pieces of anything else."""
    if isinstance(left, int) and isinstance(right, int):
        return left.bit_length() + right.bit_length()
    sequence, count = (right, left) if isinstance(left, int) else (left, right)
    return len(sequence) * count if isinstance(count, int) and hasattr(sequence, "__len__") else 0


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """JSON as it is: Jinja's own filter would escape it for HTML."""
    return json.dumps(value, **{"ensure_ascii": False, "indent": indent, **options})
