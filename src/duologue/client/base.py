"""What both clients are: their options, and the transport that they share with their copies."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from ..protocol.errors import DuologueError
from .options import ApiKey, ClientOptions, Options, Timeout, omit, public_url, resolve

if TYPE_CHECKING:
    from ssl import SSLContext

    from .pacing import Gate

__all__ = ["BaseClient", "Carrier", "checked_key", "checked_network", "over_httpx2"]

T = TypeVar("T")


class Carrier(Generic[T]):
    """A transport that is made at the first request: to import one takes longer than all of the rest."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.made: T | None = None

    def get(self) -> T:
        """The transport."""
        if self.made is None:
            with self._lock:
                if self.made is None:
                    self.made = self._make()
        return self.made


class BaseClient(Generic[T]):
    """The options of a client, and its transport."""

    _options: Options
    _carrier: Carrier[T]
    _gate: Gate | None

    def __init__(self, options: ClientOptions, make: Callable[[], T], *, in_process: bool) -> None:
        self._options = resolve(options, os.environ, in_process=in_process)
        self._carrier = Carrier(make)
        self._gate = _gate(self._options)

    @property
    def api_key(self) -> ApiKey | None:
        """The key, or the function that gives it."""
        return self._options.api_key

    @property
    def organization(self) -> str | None:
        """The organization that is asked for."""
        return self._options.organization

    @property
    def project(self) -> str | None:
        """The project that is asked for."""
        return self._options.project

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._options.base_url

    @property
    def timeout(self) -> Timeout:
        """The deadlines of a call."""
        return self._options.timeout

    @property
    def max_retries(self) -> int:
        """How often a request that failed is sent again."""
        return self._options.max_retries

    def with_options(self, **options: Unpack[ClientOptions]) -> Self:
        """A client with some options changed that shares the connections of this one.

        Headers and query parameters are added to those that there are.
        """
        copy = object.__new__(type(self))
        copy._options = self._options.updated(options)
        copy._carrier = self._carrier
        copy._gate = _gate(copy._options) if "max_concurrency" in options else self._gate
        return copy

    copy = with_options

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {public_url(self._options.base_url)}>"

    def _given_key(self) -> str | Awaitable[str] | None:
        """The key for one call, from the function that gives it if there is one."""
        key = self._options.api_key
        return key() if callable(key) else key


def _gate(options: Options) -> Gate | None:
    if options.max_concurrency is None:
        return None
    from .pacing import Gate

    return Gate(options.max_concurrency)


def checked_key(key: Any) -> str | None:
    """`key` as it can be sent. Raises `DuologueError` for what a function should not have returned."""
    if key is None or (isinstance(key, str) and key):
        return key
    raise DuologueError(
        f"api_key must be a text that is not empty, or a function that returns one, not {type(key).__name__}."
    )


def checked_network(proxy: str | None, ssl_context: SSLContext | None, **carriers: object) -> dict[str, Any]:
    """What the transports of this package are told of the network.

    `carriers` are what may stand in place of them. Raises `DuologueError` for what excludes each other.
    """
    names = [name for name, value in carriers.items() if value is not None]
    names += ["proxy"] * (proxy is not omit) + ["ssl_context"] * (ssl_context is not None)
    if names[1:] and names != ["proxy", "ssl_context"]:
        raise DuologueError(f"{names[0]} and {names[1]} exclude each other: each says how requests are sent.")
    network: dict[str, Any] = {"ssl_context": ssl_context}
    if proxy is not omit:
        from .transports.proxy import proxy_rule

        network["proxy"] = proxy_rule(proxy)
    return network


def over_httpx2(client: Any, wanted: str, transport: str) -> Any:
    """The transport over a client of httpx2. Raises `DuologueError` without that package, `TypeError`."""
    try:
        import httpx2
    except ImportError:
        raise DuologueError(
            "http_client is for a client of httpx2, which is not installed: pip install httpx2."
        ) from None
    if not isinstance(client, getattr(httpx2, wanted)):
        kind = f"{type(client).__module__}.{type(client).__qualname__}"
        raise TypeError(f"http_client must be an httpx2.{wanted}, not {kind}.")
    from .transports import httpx2 as transports

    return getattr(transports, transport)(client)
