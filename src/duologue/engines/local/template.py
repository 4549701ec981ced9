"""A model's chat template: Jinja, in a sandbox, with what the templates in model files expect to be there.

The template is the model file's own program. The sandbox keeps it from everything but its arguments, and bounds
what it makes and how long it computes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.nodes
from jinja2.exceptions import SecurityError

from ...protocol.errors import BadRequestError
from .forms import Form, Thoughts, form_of, thoughts_of
from .sandbox import Sandbox

__all__ = ["MAX_WRITTEN", "ChatTemplate"]

# The most of a template's own words that an error repeats.
MAX_WORDS = 300
# The most characters that a template may write, and the most that may say how it wants the date.
MAX_WRITTEN = 64 * 2**20
MAX_DATE = 100


class ChatTemplate:
    """A template's source, compiled. `constants` are the names it finds besides the messages.

    `variables` are the names that it looks at, `tools` among them where the model knows tools. `form` and
    `thoughts` are how the model writes calls and thoughts, None where nobody can tell; `one_call` says that it
    knows but one call at a time. Raises `jinja2.TemplateSyntaxError` for a source that does not parse.
    """

    def __init__(self, source: str, **constants: Any) -> None:
        self._sandbox = Sandbox()
        self._sandbox.globals["raise_exception"] = _refuse
        self._template = self._sandbox.from_string(source, globals=constants)
        names = self._sandbox.parse(source).find_all(jinja2.nodes.Name)
        self.variables = frozenset(name.name for name in names if name.ctx == "load")
        self.form: Form | None = form_of(source)
        self.thoughts: Thoughts | None = thoughts_of(source)
        self.knows_developer = "developer" in source
        # Such a template refuses messages with several calls, so there should never be any.
        self.one_call = "only supports single tool-calls" in source

    @functools.cached_property
    def opens_thoughts(self) -> bool:
        """Whether it begins the thoughts itself where they are wanted. Then no answer begins any."""
        if self.thoughts is None:
            return False
        wanted = {"reasoning_effort": "high", "enable_thinking": True}
        try:
            prompt = self.render([{"role": "user", "content": "Hello"}], datetime.now(), variables=wanted)
        except BadRequestError:
            return False
        return prompt.rstrip().endswith(self.thoughts.open)

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

        def strftime_now(form: str) -> str:
            if len(form) > MAX_DATE:
                raise SecurityError(f"it wants a date in more than {MAX_DATE} characters")
            return now.strftime(form)

        written = 0
        pieces: list[str] = []
        self._sandbox.begin()
        try:
            for piece in self._template.generate(
                {
                    **(variables or {}),
                    "messages": messages,
                    "tools": tools or None,
                    "add_generation_prompt": True,
                    "strftime_now": strftime_now,
                }
            ):
                written += len(piece)
                if written > MAX_WRITTEN:
                    raise SecurityError(f"it writes more than {MAX_WRITTEN} characters")
                pieces.append(piece)
        except Exception as error:  # whatever a template's code may raise
            reason = str(error) or type(error).__name__
            raise BadRequestError(
                f"The model's chat template does not take these messages: {reason[:MAX_WORDS]}",
                param="messages",
            ) from error
        return "".join(pieces)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
