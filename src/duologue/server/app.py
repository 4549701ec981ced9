"""The ASGI app: routes, and the order in which a request is looked at."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from ..engine import Engine, as_engine
from ..protocol.checks import decode_request
from ..protocol.codec import encode, to_text
from ..protocol.errors import APIStatusError, BadRequestError, NotFoundError
from ..protocol.write import ChunkWriter
from ..types.chat.request import ChatRequest
from ..types.model import Model, ModelList
from .admission import admit, read_body
from .answer import Answer
from .asgi import Disconnected, Receive, Scope, Send
from .emulate import Emulator
from .exchange import Exchange
from .options import Profile, ServerOptions
from .support import Verdict, check_declaration, check_support

__all__ = ["App", "create_app"]

_log = logging.getLogger("duologue.server")


def create_app(
    engine: Any,
    *,
    api_key: str | None = None,
    profile: Profile = "strict",
    allowed_hosts: Collection[str] | None = None,
    **options: Any,
) -> App:
    """An ASGI app that serves `engine`: an `Engine`, or a function of the request.

    Without `api_key` it answers only to loopback Hosts, or to those in `allowed_hosts` (`"*"` for all, for an
    app that is mounted behind somebody else's checks). `options` are the other fields of `ServerOptions`.
    """
    hosts = None if allowed_hosts is None else frozenset(host.lower() for host in allowed_hosts)
    settings = ServerOptions(api_key=api_key, profile=profile, allowed_hosts=hosts, **options)
    return App(as_engine(engine), settings)


class App:
    """The app that `create_app` makes. Mount it anywhere: paths match with or without `/v1`."""

    def __init__(self, engine: Engine, options: ServerOptions) -> None:
        check_declaration(engine)
        self.engine = engine
        self.options = options
        self._made = int(time.time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._answer(Exchange(self.options, scope, receive, send))
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})

    async def _answer(self, exchange: Exchange) -> None:
        try:
            route, argument = _route(exchange.scope)
            if route is not App.health:
                admit(exchange.scope, self.options)
            await route(self, exchange, argument)
        except Disconnected:
            pass
        except Exception as error:
            await exchange.send_error(error)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Warm the engine up, and close it. A mounted app gets no lifespan: engines also start by themselves."""
        for phase, hook in (("startup", "start"), ("shutdown", "close")):
            await receive()
            try:
                if hasattr(self.engine, hook):
                    await getattr(self.engine, hook)()
            except Exception as error:
                _log.exception("the engine failed at %s", phase)
                await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{phase}.complete"})

    async def create(self, exchange: Exchange, _: str) -> None:
        """`POST /chat/completions`."""
        lenient = self.options.lenient
        body = await read_body(exchange.receive, self.options)
        request, ignored = decode_request(body, lenient=lenient)
        if not lenient and request.model not in self.engine.models:
            raise self._no_model(request.model)
        verdict = check_support(request, self.engine, lenient=lenient)
        engine = self._emulated(request, verdict) if verdict.emulated else self.engine
        headers = {}
        if verdict.delegated:
            headers["duologue-delegated-params"] = ", ".join(verdict.delegated)
        if ignored or verdict.dropped:
            headers["duologue-ignored-params"] = ", ".join([*ignored, *verdict.dropped])
        await Answer(exchange, engine, request, _writer(request), headers).run()

    async def list_models(self, exchange: Exchange, _: str) -> None:
        """`GET /models`."""
        models = [self._model(name) for name in self.engine.models]
        await exchange.send_json(encode(ModelList(data=models)))

    async def get_model(self, exchange: Exchange, name: str) -> None:
        """`GET /models/{id}`."""
        if name not in self.engine.models:
            raise self._no_model(name)
        await exchange.send_json(encode(self._model(name)))

    async def health(self, exchange: Exchange, _: str) -> None:
        """`GET /health`: the process is alive. Answers to anybody, and says nothing else."""
        await exchange.send_json(to_text({"status": "ok", "profile": self.options.profile}))

    def _emulated(self, request: ChatRequest, verdict: Verdict) -> Engine:
        """The engine with the rest of the parameters done over it; lenient, without those that cannot be."""
        while True:
            try:
                return Emulator(self.engine, request, verdict.emulated)
            except BadRequestError as error:
                name = (error.param or "").partition(".")[0]
                if not self.options.lenient or getattr(request, name, None) is None:
                    raise
                setattr(request, name, None)
                verdict.dropped.append(name)

    def _model(self, name: str) -> Model:
        return Model(id=name, created=self._made, object="model", owned_by="duologue")

    def _no_model(self, name: str) -> NotFoundError:
        return NotFoundError(
            f"The model '{name}' does not exist. This server has: {', '.join(self.engine.models)}.",
            param="model",
            code="model_not_found",
        )


_Route = Callable[[App, Exchange, str], Awaitable[None]]

_ROUTES: Mapping[str, Mapping[str, _Route]] = {
    "/chat/completions": {"POST": App.create},
    "/models": {"GET": App.list_models},
    "/models/{id}": {"GET": App.get_model},
    "/health": {"GET": App.health},
}


def _route(scope: Scope) -> tuple[_Route, str]:
    """The route of a request, and the id in its path."""
    path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    path = path.removeprefix("/v1").rstrip("/")
    argument = ""
    if path.startswith("/models/"):
        path, argument = "/models/{id}", path.removeprefix("/models/")
    methods = _ROUTES.get(path)
    if methods is None:
        raise NotFoundError(
            f"There is nothing at {scope['path']}. This server has {', '.join(_ROUTES)}, each with or without "
            "/v1 before it.",
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


def _writer(request: ChatRequest) -> ChunkWriter:
    return ChunkWriter(
        request,
        id=f"chatcmpl-{secrets.token_hex(12)}",
        created=int(time.time()),
        model=request.model,
        call_id=lambda: f"call_{secrets.token_hex(12)}",
        usage_always=not request.stream,
    )
