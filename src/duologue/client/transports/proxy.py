"""Which proxy a request goes through: the same rule for every transport.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured, in either case. Nothing else of the
system is read: no netrc, no system settings. A loopback host is never asked through a proxy.
"""

from __future__ import annotations

from urllib import request as environment
from urllib.parse import urlsplit

from ...protocol.transport import TransportError

__all__ = ["proxy_for"]


def proxy_for(url: str) -> str | None:
    """The URL of the proxy for `url`, None for a direct connection. Raises `TransportError`."""
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
    if urlsplit(proxy).scheme != "http":
        raise TransportError("connect", "only proxies with an http:// address are supported")
    return proxy
