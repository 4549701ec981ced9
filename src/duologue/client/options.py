"""What a client is set up with: its options, their defaults, and what the environment says of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple, TypedDict
from urllib.parse import urlsplit

from .._options import check_names
from ..protocol.dialect import DIALECTS, Dialect
from ..protocol.errors import DuologueError
from ..protocol.retry import MAX_RETRIES

__all__ = [
    "CARRIERS",
    "MAX_PARALLEL_TOOLS",
    "MAX_TURNS",
    "NOT_GIVEN",
    "TOOL_TIMEOUT_S",
    "ApiKey",
    "ClientOptions",
    "NotGiven",
    "Omit",
    "Options",
    "Timeout",
    "is_absolute",
    "mapping",
    "omit",
    "resolve",
]

OPENAI_URL = "https://api.openai.com/v1"
# An application in this process is asked under a loopback name, which servers without a key insist on.
APP_URL = "http://localhost/v1"

# The largest answer that is read whole, in bytes; streams have no limit but that of one event.
MAX_RESPONSE_BYTES = 64 * 1024 * 1024

# Of a conversation with tools, unless the caller says otherwise: completions, calls at a time, seconds for a call.
MAX_TURNS = 10
MAX_PARALLEL_TOOLS = 16
TOOL_TIMEOUT_S = 600.0

# The longest deadline in seconds, some thirty years: the system's clocks take no more.
MAX_TIMEOUT_S = 10**9
_TIMEOUTS: Mapping[str, float] = {"connect": 5.0, "headers": 600.0, "idle": 600.0}

# What the resolver takes: labels of 1 to 63 characters, or an address.
_HOST = re.compile(r"(?:[!-\-/-~]{1,63}\.)*[!-\-/-~]{1,63}\.?")

# What carries the requests of a client, which takes one of these beside its options when it is made.
CARRIERS = ("app", "http_client", "transport", "proxy", "ssl_context")

ApiKey = str | Callable[[], str | Awaitable[str]]


class Omit:
    """What stands for a parameter or a header that is not sent; `omit` is the one object."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "omit"


# None would be sent as null. `Any`, because it may stand in the place of every parameter.
omit: Final[Any] = Omit()
NOT_GIVEN: Final[Any] = omit
NotGiven = Omit


@dataclass(frozen=True, slots=True, init=False)
class Timeout:
    """Deadlines in seconds; None waits for ever.

    `connect`: until the connection stands. `headers`: from there until the answer begins. `idle`: between
    any two bytes of the answer. `total`: for the whole call, its retries and its stream included.
    `idle_content`: until the next chunk of a stream, for gateways that send comments for ever. Only time that
    is spent waiting counts.

    A number in the first place, as in `Timeout(10, connect=2)`, is for those of the first three that are not
    named; so is a plain number in the place of a `Timeout`.
    """

    connect: float | None
    headers: float | None
    idle: float | None
    total: float | None
    idle_content: float | None

    def __init__(
        self,
        default: float | None = omit,
        /,
        *,
        connect: float | None = omit,
        headers: float | None = omit,
        idle: float | None = omit,
        total: float | None = None,
        idle_content: float | None = None,
    ) -> None:
        given = {"connect": connect, "headers": headers, "idle": idle}
        for name, seconds in given.items():
            if seconds is omit:
                seconds = _TIMEOUTS[name] if default is omit else default
            object.__setattr__(self, name, seconds)
        object.__setattr__(self, "total", total)
        object.__setattr__(self, "idle_content", idle_content)

    @classmethod
    def of(cls, value: float | Timeout | None) -> Timeout:
        """A `Timeout` from what a caller may give for one. Raises `DuologueError`, or `TypeError`."""
        timeout = value if isinstance(value, Timeout) else cls(value)
        for name, seconds in asdict(timeout).items():
            if seconds is None:
                continue
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
                raise TypeError(
                    "timeout must be a number of seconds, a duologue.Timeout of such numbers, or None for no "
                    f"deadline; {name} is of the type {type(seconds).__name__}."
                )
            if not 0 < seconds <= MAX_TIMEOUT_S:
                raise DuologueError(
                    f"timeout: {name} must be more than 0 seconds and at most {MAX_TIMEOUT_S}, "
                    "or None for no deadline."
                )
        return timeout

    def within(self, seconds: float) -> Timeout:
        """These deadlines, with a `total` of at most so many seconds."""
        total = seconds if self.total is None else min(self.total, seconds)
        return Timeout(**{**asdict(self), "total": total})


class ClientOptions(TypedDict, total=False):
    """The options of a client. Those with a variable are read from the environment when left out."""

    api_key: ApiKey | None
    """Sent as `Authorization: Bearer …`; a function is called before each call. `OPENAI_API_KEY`."""

    organization: str | None
    """`OPENAI_ORG_ID`."""

    project: str | None
    """`OPENAI_PROJECT_ID`."""

    base_url: str | None
    """Where the API is, most often ending in `/v1`. `OPENAI_BASE_URL`, else OpenAI."""

    fallback_base_urls: Sequence[str]
    """Where else to ask, with the same key: a request that failed and may be sent again goes to the next of
    them at once, round and round, until the first chunk of a stream. `max_retries` counts."""

    timeout: float | Timeout | None
    """A `Timeout`; a number sets connect, headers and idle."""

    max_retries: int
    """How often a request that failed is sent again. Default 2."""

    default_headers: Mapping[str, str | None] | None
    """Headers of every request; None removes one that would be sent."""

    default_query: Mapping[str, object] | None
    """Query parameters of every request."""

    accumulate: bool
    """Whether a stream builds its `completion`. False keeps memory flat. Default true."""

    dialect: Dialect
    """What is done about deviations from the protocol, which are listed in `deviations`: `repair`, the default;
    `strict`, which makes an error of what the protocol forbids; `off`, which repairs nothing."""

    send_reasoning: bool
    """Whether the messages of earlier answers are sent back with their reasoning, under the name it came with:
    some servers demand it, others refuse it. Default false."""

    on_truncated: Literal["raise", "return"]
    """What a stream that ends too early does: raise, the default, or just end."""

    max_concurrency: int | None
    """At most so many requests at once, streams that are being read included, over this client and its copies; a
    copy with a number of its own counts for itself. Further ones wait their turn, and so do those that would go
    over the limits that the server tells in its `x-ratelimit-…` headers. Default None: neither."""

    max_event_bytes: int
    """The largest event of a stream. Default 32 MiB."""

    max_response_bytes: int
    """The largest answer that is not streamed. Default 64 MiB."""

    log_bodies: bool
    """Whether logging at the level DEBUG shows what is sent and received, prompts and answers. Default false."""


class Options(NamedTuple):
    """`ClientOptions`, checked and complete. `max_event_bytes` None is the protocol's default."""

    api_key: ApiKey | None = None
    organization: str | None = None
    project: str | None = None
    base_url: str = OPENAI_URL
    fallback_base_urls: Sequence[str] = ()
    timeout: Timeout = Timeout()
    max_retries: int = MAX_RETRIES
    default_headers: Mapping[str, str | None] = {}
    default_query: Mapping[str, object] = {}
    accumulate: bool = True
    dialect: Dialect = "repair"
    send_reasoning: bool = False
    on_truncated: Literal["raise", "return"] = "raise"
    max_concurrency: int | None = None
    max_event_bytes: int | None = None
    max_response_bytes: int = MAX_RESPONSE_BYTES
    log_bodies: bool = False

    @property
    def servers(self) -> tuple[str, ...]:
        """Where to ask, in that order."""
        return (self.base_url, *self.fallback_base_urls)

    def __repr__(self) -> str:
        return f"<Options for {public_url(self.base_url)}>"  # the others may hold secrets

    def updated(self, given: ClientOptions) -> Options:
        """These options with those of `given` in their place; headers and query are added to.

        Raises `DuologueError` for a value that cannot be, `TypeError` for a name that is no option.
        """
        check_names(given, (*self._fields, *CARRIERS), "a client")
        for name in CARRIERS:
            if name in given:
                raise TypeError(f"{name} is for a new client: a copy shares the connections of its original.")
        values: dict[str, Any] = {**given}
        if "timeout" in values:
            values["timeout"] = Timeout.of(values["timeout"])
        for name in ("default_headers", "default_query"):
            if name in values:
                values[name] = {**getattr(self, name), **mapping(name, values[name])}
        options = self._replace(**values)
        options._check()
        return options

    def _check(self) -> None:
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise DuologueError("max_retries must be a number from 0; 0 sends every request once.")
        if self.max_concurrency is not None and not is_count(self.max_concurrency):
            raise DuologueError("max_concurrency must be a number from 1, or None for no limit.")
        if self.on_truncated not in ("raise", "return"):
            raise DuologueError('on_truncated must be "raise" or "return".')
        if self.dialect not in DIALECTS:
            raise DuologueError(f"dialect must be one of {', '.join(DIALECTS)}.")
        for name in ("max_event_bytes", "max_response_bytes"):
            value = getattr(self, name)
            if not is_count(value) and not (name == "max_event_bytes" and value is None):
                raise DuologueError(f"{name} must be a whole number of bytes, more than 0.")
        if isinstance(self.fallback_base_urls, str):
            raise TypeError("fallback_base_urls must be a list of URLs.")
        for name, url in [
            ("base_url", self.base_url),
            *(("fallback_base_urls", url) for url in self.servers[1:]),
        ]:
            if not is_absolute(url):
                raise DuologueError(
                    f"{name} must be an absolute http or https URL such as {OPENAI_URL}, "
                    f"not {public_url(url)!r}."
                )
        if self.api_key is None and any(map(_is_openai, self.servers)) and not self._has_own_authorization():
            raise DuologueError(
                "OpenAI needs a key: pass api_key=..., or set the environment variable OPENAI_API_KEY. "
                "For another server, set base_url or OPENAI_BASE_URL."
            )

    def _has_own_authorization(self) -> bool:
        return any(name.lower() == "authorization" for name in self.default_headers)


_ENVIRONMENT: Mapping[str, str] = {
    "api_key": "OPENAI_API_KEY",
    "organization": "OPENAI_ORG_ID",
    "project": "OPENAI_PROJECT_ID",
    "base_url": "OPENAI_BASE_URL",
}


def resolve(given: ClientOptions, environ: Mapping[str, str], *, in_process: bool) -> Options:
    """The options of a new client.

    A client of an application in this process does not read the environment: what is set there is meant
    for servers elsewhere.
    """
    values: dict[str, Any] = {} if in_process else _from_environment(environ)
    values["base_url"] = values.get("base_url") or (APP_URL if in_process else OPENAI_URL)
    values |= {name: value for name, value in given.items() if value is not None or name not in _ENVIRONMENT}
    return Options().updated(values)  # type: ignore[arg-type] # names are checked there


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {option: environ.get(variable) for option, variable in _ENVIRONMENT.items()}
    return {option: value for option, value in values.items() if value}


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """What was given for `name`, {} for None. Raises `TypeError` for what is no mapping."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of names to values, not {type(value).__name__}.")
    return value or {}


def is_count(value: object) -> bool:
    """Whether it is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def public_url(url: str) -> str:
    """`url` as it may be shown: without user, password, query and fragment, which may hold secrets."""
    if is_absolute(url):
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    if "@" in str(url):  # where the password begins and ends is anybody's guess
        return "(not shown: it may hold a password)"
    return re.split("[?#]", str(url), maxsplit=1)[0]


def is_absolute(url: str) -> bool:
    """Whether `url` is one of a server: http or https, with a host whose name can be looked up."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
        host = parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode()
    except (ValueError, AttributeError, TypeError):
        return False
    return parts.scheme in ("http", "https") and _HOST.fullmatch(host) is not None


def _is_openai(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")
