"""`POST /chat/completions`: from a body to an answer under way."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from ..engine import Engine
from ..protocol.checks import decode_request
from ..protocol.errors import BadRequestError
from ..protocol.write import ChunkWriter
from ..types.chat.request import ChatRequest
from .admission import read_body
from .answer import Answer
from .emulate import Emulator
from .exchange import Exchange
from .support import Verdict, check_support

if TYPE_CHECKING:
    from .app import App

__all__ = ["create"]


async def create(app: App, exchange: Exchange, _: str) -> None:
    """Check a request, find its engine, and let that answer."""
    lenient = app.options.lenient
    body = await read_body(exchange.receive, app.options)
    request, ignored = decode_request(body, lenient=lenient)
    served = app.models.find(request.model, lenient=lenient)
    verdict = check_support(request, served.engine, lenient=lenient)
    engine = served.life.over(served.engine)
    if verdict.emulated:
        engine = _emulated(engine, request, verdict, lenient=lenient)
    headers = {}
    if verdict.delegated:
        headers["duologue-delegated-params"] = ", ".join(verdict.delegated)
    if ignored or verdict.dropped:
        headers["duologue-ignored-params"] = ", ".join([*ignored, *verdict.dropped])
    await Answer(exchange, engine, request, _writer(request), headers).run()


def _emulated(engine: Engine, request: ChatRequest, verdict: Verdict, *, lenient: bool) -> Engine:
    """The engine with the rest of the parameters done over it; lenient, without those that cannot be."""
    while True:
        try:
            return Emulator(engine, request, verdict.emulated)
        except BadRequestError as error:
            name = (error.param or "").partition(".")[0]
            if not lenient or getattr(request, name, None) is None:
                raise
            setattr(request, name, None)
            verdict.dropped.append(name)


def _writer(request: ChatRequest) -> ChunkWriter:
    return ChunkWriter(
        request,
        id=f"chatcmpl-{secrets.token_hex(12)}",
        created=int(time.time()),
        model=request.model,
        call_id=lambda: f"call_{secrets.token_hex(12)}",
        usage_always=not request.stream,
    )
