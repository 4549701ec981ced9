"""A model's chat template: Jinja, in a sandbox, with what the templates in model files expect to be there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ...protocol.errors import BadRequestError

__all__ = ["ChatTemplate"]

# The most of a template's own words that an error repeats.
MAX_WORDS = 300


class ChatTemplate:
    """A template's source, compiled. `constants` are the names it finds besides the messages.

    Raises `jinja2.TemplateSyntaxError` for a source that does not parse.
    """

    def __init__(self, source: str, **constants: Any) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        self._template = environment.from_string(source, globals=constants)
        self.knows_developer = "developer" in source

    def render(self, messages: Sequence[dict[str, Any]], now: datetime) -> str:
        """The prompt as text, up to where the assistant begins to speak.

        Raises `BadRequestError` where the template refuses the messages or cannot digest them.
        """
        try:
            return self._template.render(
                messages=messages, tools=None, add_generation_prompt=True, strftime_now=now.strftime
            )
        except Exception as error:  # whatever a template's code may raise
            raise BadRequestError(
                f"The model's chat template does not take these messages: {str(error)[:MAX_WORDS]}",
                param="messages",
            ) from error


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """JSON as it is: Jinja's own filter would escape it for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)
