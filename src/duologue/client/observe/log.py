"""Logging, under the name `duologue.client`.

INFO tells of each answer, each retry, and how each call ended; DEBUG also of requests, headers and deviations.
What may be secret is replaced in headers, and nothing of a body is logged unless the option `log_bodies` asks
for it. Like every library this one leaves the levels and the handlers to the program; the environment variable
`DUOLOGUE_LOG`, `debug` or `info`, sets them up for a program that does not.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...protocol.errors import APIError
from ...protocol.response import APIResponse
from ...protocol.transport import Headers, Request
from ..options import public_url

if TYPE_CHECKING:
    from ..call import Call
    from . import Ending

__all__ = ["REDACTED", "observer", "redacted"]

REDACTED = "<redacted>"

# How much of one body, or of one read of it, is logged.
MAX_LOGGED_BYTES = 16 * 1024

_log = logging.getLogger("duologue.client")

_LEVELS: Mapping[str, int] = {"debug": logging.DEBUG, "info": logging.INFO}
_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"

# Headers that may hold a secret, or say who asks.
_SECRET = re.compile(
    "auth|cookie|token|secret|password|credential|session|key$|api-?key|goog-api|^openai-(organization|project)$"
)
_NO_SECRET = re.compile("^x-ratelimit-")
_URL = re.compile("location$")  # a header that holds a URL, and that a key in its query


def _set_up(environ: Mapping[str, str]) -> None:
    wanted = environ.get("DUOLOGUE_LOG", "")
    level = _LEVELS.get(wanted.lower())
    if wanted and level is None:
        _log.warning("DUOLOGUE_LOG is %.40r, which is none of its values: %s", wanted, ", ".join(_LEVELS))
    if level is not None:
        logging.basicConfig(format=_FORMAT)  # does nothing where the program has handlers of its own
        logging.getLogger("duologue").setLevel(level)


_set_up(os.environ)


def observer(call: Call) -> _Log | None:
    """Who logs what becomes of a call; None where nobody reads it."""
    return _Log(bodies=call.options.log_bodies) if _log.isEnabledFor(logging.INFO) else None


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as they may be shown."""
    return {name: _shown(name, value) for name, value in headers.items()}


class _Log:
    def __init__(self, *, bodies: bool) -> None:
        self._bodies = bodies and _log.isEnabledFor(logging.DEBUG)
        self._secrets: list[str] = []
        self._what = ""

    def sends(self, request: Request, retry: int) -> None:
        self._what = f"{request.method} {public_url(request.url)}"
        size = len(request.body or b"")
        _log.debug(
            "%s: attempt %d, %d bytes, headers %s", self._what, retry + 1, size, redacted(request.headers)
        )
        if self._bodies:
            self._secrets = _secrets(request.headers)
            self._body("sent", request.body or b"")

    def answered(self, response: APIResponse) -> None:
        seconds = response.timings.headers or 0.0
        _log.info(
            "%s: %d after %.3f s, request id %s",
            self._what,
            response.status_code,
            seconds,
            response.request_id,
        )
        _log.debug("%s: headers %s", self._what, redacted(response.headers))

    def retries(self, why: APIResponse | APIError, pause: float) -> None:
        reason = f"status {why.status_code}" if isinstance(why, APIResponse) else type(why).__name__
        _log.info("%s: again in %.3f s, because of %s", self._what, pause, reason)

    def receives(self, data: bytes, chunks: int, now: float) -> None:
        del chunks, now
        if self._bodies and data:
            self._body("received", data)

    def ends(self, ending: Ending) -> None:
        fields: dict[str, object] = {}
        if ending.response is not None and ending.response.timings.chunks:
            fields["chunks"] = ending.response.timings.chunks
        if ending.usage is not None:
            fields["tokens"] = ending.usage.total_tokens
        if ending.error is not None:
            fields |= _told(ending.error)
        said = "".join(f", {name} {value}" for name, value in fields.items())
        _log.info("%s: %s after %.3f s%s", self._what, ending.outcome, ending.duration, said)
        if ending.response is not None and ending.response.deviations:
            rules = ", ".join(deviation.rule for deviation in ending.response.deviations)
            _log.debug("%s: the server deviates from the protocol: %s", self._what, rules)

    def _body(self, what: str, data: bytes) -> None:
        text = data[:MAX_LOGGED_BYTES].decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        _log.debug("%s: %s %s", self._what, what, text)


def _shown(name: str, value: str) -> str:
    if _is_secret(name):
        return REDACTED
    return public_url(value) if _URL.search(name.lower()) else value


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(name.lower())) and not _NO_SECRET.search(name.lower())


def _secrets(headers: Headers) -> list[str]:
    """The secrets themselves, which a server may repeat in what it says."""
    values = [value.rpartition(" ")[2] for name, value in headers.items() if _is_secret(name)]
    return [value for value in values if value]


def _told(error: BaseException) -> dict[str, object]:
    """What may be told of an error. Not its text, which may quote what was asked."""
    values = {name: getattr(error, name, None) for name in ("status_code", "code", "phase", "reason")}
    known = {name: value for name, value in values.items() if value is not None}
    return {"error": type(error).__name__, **known}
