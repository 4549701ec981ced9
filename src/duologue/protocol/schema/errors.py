"""What is raised for a type that cannot be asked for, and for a text that is no value of its type."""

from __future__ import annotations

from ..errors import DuologueError

__all__ = ["Mismatch", "ParseError", "SchemaError", "words_of"]


class SchemaError(DuologueError, TypeError, ValueError):
    """A type or JSON schema that strict mode cannot hold a model to.

    `path` is where (`Order.lines[].price`), `reason` says why, and what to do.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ParseError(DuologueError, ValueError):
    """A text that is not JSON, or no value of the type that was asked for. The text is kept in `text`.

    `errors` are the places (`$.lines[0].price`) with what is wrong there; `path` is the first of them.
    """

    def __init__(self, text: str, errors: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(f"{reason} - at `{path}`" for path, reason in errors))
        self.text = text
        self.errors = errors

    @property
    def path(self) -> str:
        """The first place that is wrong; `$` is the whole value."""
        return self.errors[0][0]


def words_of(error: BaseException) -> str:
    """What an exception says, and of which kind it is. One whose text cannot be had is its kind alone."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its class is anybody's
        return type(error).__name__


class Mismatch(Exception):  # noqa: N818 - becomes a ParseError, with its text
    """A JSON value that is none of its type: the path to it, and what is wrong."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__(*errors)
        self.errors = errors
