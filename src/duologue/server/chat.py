"""`POST /chat/completions`: from a body to an answer under way."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from .._threads import run_in_thread
from ..engine import Engine
from ..protocol.checks import decode_request
from ..protocol.errors import BadRequestError
from ..protocol.padding import PaddedWriter
from ..protocol.write import ChunkWriter
from ..types.chat.request import ChatRequest
from .admission import read_body
from .answer import Answer
from .breath import Breath
from .emulate import Emulator
from .emulate.form import takes_long
from .exchange import Exchange
from .options import ServerOptions
from .support import IGNORED, Verdict, check_support, listed

if TYPE_CHECKING:
    from .app import App

__all__ = ["create"]


async def create(app: App, exchange: Exchange, _: str) -> None:
    """Check a request, find its engine, and let that answer."""
    lenient = app.options.lenient
    # The body is given up here: an answer may take long, and need not hold it twice.
    request, ignored = decode_request(await read_body(exchange), lenient=lenient)
    served = app.models.find(request.model, lenient=lenient)
    verdict = check_support(request, served.engine, lenient=lenient)
    own = served.life.over(served.engine)
    breath = Breath(app.options.breath)
    engine: Engine | Emulator = own
    if "response_format" in verdict.emulated and takes_long(request.response_format):
        engine = await run_in_thread(_emulated, own, request, verdict, app.options, breath)
    elif verdict.emulated:
        engine = _emulated(own, request, verdict, app.options, breath)
    headers = {}
    if verdict.delegated:
        headers["duologue-delegated-params"] = ", ".join(verdict.delegated)
    if ignored or verdict.dropped:
        headers[IGNORED] = listed([*ignored, *verdict.dropped])
    await Answer(exchange, engine, request, _writer(request), headers, breath).run()


def _emulated(
    engine: Engine, request: ChatRequest, verdict: Verdict, options: ServerOptions, breath: Breath
) -> Emulator:
    """The engine with the rest of the parameters done over it; lenient, without those that cannot be."""
    while True:
        try:
            return Emulator(engine, request, verdict.emulated, max_fanout=options.max_fanout, breath=breath)
        except BadRequestError as error:
            name = (error.param or "").partition(".")[0]
            if not options.lenient or getattr(request, name, None) is None:
                raise
            setattr(request, name, None)
            verdict.dropped.append(name)


def _writer(request: ChatRequest) -> ChunkWriter:
    identity: dict[str, Any] = {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": request.model,
        "call_id": lambda: f"call_{secrets.token_hex(12)}",
        "usage_always": not request.stream,
    }
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        return PaddedWriter(request, random_text=lambda size: secrets.token_urlsafe(size)[:size], **identity)
    return ChunkWriter(request, **identity)
