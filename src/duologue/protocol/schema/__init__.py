"""Python types as strict JSON schemas, and JSON text as values of those types.

    form = typed_format(list[Step])
    form.to_param()      the `response_format` of a request
    form.parse(text)     the answer as a `list[Step]`
    form.partial()       what there is of it while it streams

A type is read once into nodes (`describe`, `nodes`), which know their JSON schema and read JSON values; `strict`
makes any JSON schema one that the API takes, or says where and why it cannot be.
"""

from __future__ import annotations

from .errors import ParseError, SchemaError
from .form import TypedFormat, typed_format
from .strict import strict_schema

__all__ = ["ParseError", "SchemaError", "TypedFormat", "strict_schema", "typed_format"]
