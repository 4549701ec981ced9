"""The routes as a table, and how a request finds its line in it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..protocol.errors import APIStatusError, NotFoundError
from .asgi import Scope
from .exchange import Exchange

if TYPE_CHECKING:
    from .app import App

__all__ = ["Handler", "Route", "Router"]

# What answers a request: given the app, the exchange, and the id in the path ("" where there is none).
Handler: TypeAlias = Callable[["App", Exchange, str], Awaitable[None]]


class Route(NamedTuple):
    """One line of the table.

    `path` stands without `/v1`; `{name}` in it is an id without a slash, `{name:path}` one that may have some.
    The rest is for `/openapi.json`: the class of the answer (None where it has none of ours), the class of the
    body that is taken, and the statuses of errors beside those that every route has.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: type[Any] | None = None
    body: type[Any] | None = None
    errors: Sequence[int] = ()
    open: bool = False  # answers to anybody: without a key, and under any Host


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._table: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._table.setdefault(route.path, {})[route.method] = route
        self._patterns = [(_pattern(path), methods) for path, methods in self._table.items() if "{" in path]

    def find(self, scope: Scope) -> tuple[Route, str]:
        """The route, and the id in the path. Raises what is answered where there is none."""
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        methods, argument = self._at(path.removeprefix("/v1").rstrip("/"))
        if methods is None:
            raise NotFoundError(
                f"There is nothing at {scope['path']}. This server has {', '.join(map(_shown, self._table))}, "
                "each with or without /v1 before it.",
                code="unknown_url",
            )
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            raise APIStatusError(
                f"{scope['path']} does not take {scope['method']}, but {', '.join(methods)}.",
                status_code=405,
                code="method_not_allowed",
                headers={"allow": ", ".join(methods)},
            )
        return methods[method], argument

    def _at(self, path: str) -> tuple[dict[str, Route] | None, str]:
        if "{" not in path and path in self._table:
            return self._table[path], ""
        for pattern, methods in self._patterns:
            if match := pattern.fullmatch(path):
                return methods, match[1]
        return None, ""


_ID = re.compile(r"\{(\w+)(:path)?\}")


def _pattern(path: str) -> re.Pattern[str]:
    """What a path with an id matches; an id is never empty."""
    before, name, after = re.split(r"(\{[^}]*\})", path)
    return re.compile(
        f"{re.escape(before)}({'.+' if ':path' in name else '[^/]+'}){re.escape(after)}", re.DOTALL
    )


def _shown(path: str) -> str:
    """A path as people write it: `/models/{model}`."""
    return _ID.sub(r"{\1}", path)
