"""The ASGI app: which routes there are, and the order in which a request is looked at."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import Any, Literal, Unpack

import msgspec

from .._options import check_names
from ..protocol.codec import encode
from ..protocol.errors import DuologueError
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.request import ChatRequest
from ..types.model import Model, ModelList
from .admission import Gate, admit, host_names
from .asgi import Disconnected, Receive, Scope, Send
from .chat import create
from .exchange import Exchange
from .mock import MOCK_ROUTES, NO_STORE_ROUTES
from .models import Models
from .openapi import send_document
from .options import Profile, ServerOptions, ServerSettings
from .routes import Route, Router

__all__ = ["App", "create_app", "server_options"]

_log = logging.getLogger("duologue.server")


def create_app(engine: Any, **options: Unpack[ServerSettings]) -> App:
    """An ASGI app that serves `engine`: an `Engine`, or a function of the request.

    A mapping serves several as the models of one endpoint: `{"small": engine, "agent": function}`; the first
    is the default one. `options` are the fields of `ServerOptions`. Without `api_key` it answers only to
    loopback Hosts, or to those in `allowed_hosts` (`"*"` for all, for an app that is mounted behind somebody
    else's checks). The profile `mock` is for `EchoEngine` alone. Raises `TypeError` or `ValueError` for an
    option, or an engine, that cannot be.
    """
    return App(engine, server_options(options))


def server_options(given: ServerSettings) -> ServerOptions:
    """The options in `given`, checked and complete. Raises `TypeError` or `ValueError` for what cannot be."""
    check_names(given, ServerSettings.__annotations__, "a server")
    hosts = given.get("allowed_hosts")
    if isinstance(hosts, str):
        raise TypeError(f"allowed_hosts must be a list of names, such as [{hosts!r}]")
    names = None if hosts is None else host_names(hosts)
    fields: dict[str, Any] = {**given, "allowed_hosts": names}
    return ServerOptions(**fields)


class App:
    """The app that `create_app` makes. Mount it anywhere: paths match with or without `/v1`."""

    def __init__(self, engine: Any, options: ServerOptions) -> None:
        self._engine = engine
        self.options = options
        self.gate = Gate(options)
        self.models = Models(engine)
        if options.profile == "mock" and not all(life.double for life in self.models.lives):
            raise ValueError(
                "the profile 'mock' says that any stored completion exists, so it is for the echo engine alone: "
                "duologue serve echo --profile mock"
            )
        self.router = Router((*ROUTES, *(MOCK_ROUTES if options.profile == "mock" else NO_STORE_ROUTES)))
        self.failure: BaseException | None = None  # what an engine raised when the server was to start

    def __reduce__(self) -> Any:
        return App, (self._engine, self.options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._answer(Exchange(self.options, scope, receive, send))
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})

    async def start(self) -> None:
        """Start all engines now, which their first requests would do otherwise. A server calls it itself."""
        try:
            for life in self.models.lives:
                await life.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the engines that were started. A server calls it itself; for who mounts the app in another."""
        async with AsyncExitStack() as stack:  # all of them, also where one fails
            for life in reversed(self.models.lives):
                stack.push_async_callback(life.close)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            route, argument = self.router.find(exchange.scope)
            if route.open:
                await route.handler(self, exchange, argument)
            else:
                admit(exchange.scope, self.options)
                with self.gate.enter() as exchange.hold:
                    await route.handler(self, exchange, argument)
        except Disconnected:
            pass
        except Exception as error:
            await exchange.send_error(error)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        for phase, hook in (("startup", self.start), ("shutdown", self.close)):
            await receive()
            try:
                await hook()
            except Exception as error:
                self.failure = error
                # An error of ours says in words what is wrong, and whoever runs the server says it to the user.
                if not isinstance(error, DuologueError):
                    _log.exception("the engine failed at %s", phase)
                await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{phase}.complete"})


class Health(msgspec.Struct):
    """The process is alive."""

    status: Literal["ok"]
    profile: Profile


class Document(msgspec.Struct):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


async def _list_models(app: App, exchange: Exchange, _: str) -> None:
    models = [app.models.describe(name) for name in app.models]
    await exchange.send_json(encode(ModelList(data=models)))


async def _get_model(app: App, exchange: Exchange, name: str) -> None:
    await exchange.send_json(encode(app.models.describe(name)))


async def _health(app: App, exchange: Exchange, _: str) -> None:
    await exchange.send_json(msgspec.json.encode(Health("ok", app.options.profile)))


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/chat/completions",
        create,
        "Answer a conversation, whole or as a stream",
        answer=ChatCompletion,
        body=ChatRequest,
        errors=(404, 501, 502, 504),
    ),
    Route("GET", "/models", _list_models, "List the models", answer=ModelList),
    Route("GET", "/models/{model:path}", _get_model, "One model by its id", answer=Model, errors=(404,)),
    Route("GET", "/openapi.json", send_document, "This document", answer=Document),
    Route("GET", "/health", _health, "Whether the server is alive; answers to anybody", Health, open=True),
)
