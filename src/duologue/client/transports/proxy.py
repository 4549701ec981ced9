"""Which proxy a request goes through: the same rule for every transport.

A proxy that the client was given is asked for everything. Else `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
`NO_PROXY` are honoured, in either case, and a loopback host is never asked through a proxy. Nothing else of
the system is read: no netrc, no system settings.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib import request as environment
from urllib.parse import urlsplit

from ...protocol.errors import DuologueError
from ...protocol.transport import TransportError
from ..options import is_absolute

__all__ = ["ProxyRule", "by_way_of", "proxy_for", "proxy_rule"]

# The URL of the proxy for a URL, None for a direct connection. Raises `TransportError`.
ProxyRule = Callable[[str], str | None]


def proxy_rule(proxy: str | None) -> ProxyRule:
    """The rule of a client with the option `proxy`; None for none at all. Raises `DuologueError`."""
    if proxy is not None and not _is_usable(proxy):
        raise DuologueError(
            "proxy must be an http:// URL, such as http://user:password@host:3128. For other kinds of "
            "proxies pass an http_client."
        )

    def rule(_url: str) -> str | None:
        return proxy

    return rule


def proxy_for(url: str) -> str | None:
    """The rule of the environment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    if environment.proxy_bypass_environment(parts.netloc):  # type: ignore[attr-defined] # not in typeshed
        return None
    proxies = environment.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not _is_usable(proxy):
        raise TransportError(
            "connect", "of the environment's proxies only one with an http:// URL can be used"
        )
    return proxy


def _is_usable(proxy: str) -> bool:
    return is_absolute(proxy) and urlsplit(proxy).scheme == "http"


def by_way_of(proxy: str | None) -> str:
    """What is said of a proxy when there is no connection: where it is, and not who asks it."""
    place = urlsplit(proxy or "").netloc.rpartition("@")[2]
    return f" (by way of the proxy {place})" if place else ""
