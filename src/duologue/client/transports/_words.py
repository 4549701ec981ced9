"""What an exception of the system or of a library says, for people."""

from __future__ import annotations

import os
from typing import TypeVar

__all__ = ["bare", "distrust", "first_line", "words_of"]

E = TypeVar("E", bound=BaseException)


def bare(error: E) -> E:
    """`error` without the frames that it came through: their variables hold the request, and its key."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def distrust(error: BaseException | None) -> str | None:
    """Why a certificate is not trusted, if that is what `error` comes from."""
    while error is not None:
        reason = getattr(error, "verify_message", None)  # of ssl.SSLCertVerificationError
        if reason:
            return f"{reason}" if reason.endswith(".") else f"{reason}."
        error = error.__cause__ or error.__context__
    return None


def words_of(error: BaseException) -> str:
    """The system's own words where there are any, else the first line of the exception's."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:  # the resolver's numbers are negative
        return os.strerror(number)
    return getattr(error, "strerror", None) or first_line(str(error)) or type(error).__name__


def first_line(text: str) -> str:
    """The first line of a message that goes on to show the bytes it is about."""
    return text.strip().partition("\n")[0].rstrip(":")
