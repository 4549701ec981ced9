"""The routes as a table, and how a request finds its line in it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..protocol.errors import APIStatusError, NotFoundError
from .asgi import Scope
from .exchange import Exchange

if TYPE_CHECKING:
    from .app import App

__all__ = ["PATH_ID", "Handler", "Route", "Router", "shown_path"]

# What answers a request: given the app, the exchange, and the id in the path ("" where there is none).
Handler: TypeAlias = Callable[["App", Exchange, str], Awaitable[None]]


# The id in a path: `{name}` or `{name:path}`.
PATH_ID = re.compile(r"\{(\w+)(:path)?\}")


class Route(NamedTuple):
    """One line of the table.

    `path` stands without `/v1`; `{name}` in it is an id without a slash, `{name:path}` one that may have some.
    The rest is for `/openapi.json`: the class of the answer (None where it has none of ours), the class of the
    body that is taken, the statuses of errors beside those that every route has, and the fields of the query.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: type[Any] | None = None
    body: type[Any] | None = None
    errors: Sequence[int] = ()
    query: Mapping[str, str] = MappingProxyType({})  # what each field of the query means
    open: bool = False  # answers to anybody: without a key, and under any Host
    absent: bool = False  # of the protocol, but all that it says is that this server has no such thing


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
            paths = dict.fromkeys(shown_path(route.path) for route in self.routes if not route.absent)
            raise NotFoundError(
                f"There is nothing at {scope['path']}. This server has {', '.join(paths)}, each with or without "
                "/v1 before it.",
                code="unknown_url",
            )
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            taken = ", ".join(name for name, route in methods.items() if not route.absent) or ", ".join(
                methods
            )
            raise APIStatusError(
                f"{scope['path']} does not take {scope['method']}, but {taken}.",
                status_code=405,
                code="method_not_allowed",
                headers={"allow": taken},
            )
        return methods[method], argument

    def _at(self, path: str) -> tuple[dict[str, Route] | None, str]:
        if "{" not in path and path in self._table:
            return self._table[path], ""
        for pattern, methods in self._patterns:
            if match := pattern.fullmatch(path):
                return methods, match[1]
        return None, ""


def _pattern(path: str) -> re.Pattern[str]:
    """What a path with an id matches; an id is never empty."""
    before, name, after = re.split(r"(\{[^}]*\})", path)
    return re.compile(
        f"{re.escape(before)}({'.+' if ':path' in name else '[^/]+'}){re.escape(after)}", re.DOTALL
    )


def shown_path(path: str) -> str:
    """A path as people write it: `/models/{model}`."""
    return PATH_ID.sub(r"{\1}", path)
