"""What type checkers make of the ways to serve, used as users write them. Nothing here is ever run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from fastapi import FastAPI

from duologue import AsyncClient, Client, create_app, run_server, serve
from duologue.engine import Engine, Event, Text, ToolCall, as_engine
from duologue.server import App, ServerOptions
from duologue.types.chat import ChatRequest


async def shout(request: ChatRequest) -> AsyncIterator[str]:
    """An async generator of text."""
    for word in request.messages[-1].text.split():
        yield word.upper()


def whole(request: ChatRequest) -> str:
    """A function that returns the whole answer."""
    return request.messages[-1].text


def events(request: ChatRequest) -> Iterator[str | Event]:
    """A generator of events and text."""
    yield "a"
    yield Text("b", tokens=1)
    yield ToolCall("f")


class Parrot:
    """An engine with state, as people write it: nothing of it is annotated more than need be."""

    models = ("parrot",)
    supports = {"max_completion_tokens": "native"}

    async def generate(self, request: ChatRequest) -> AsyncIterator[str]:
        """Say it again."""
        yield request.messages[-1].text


def apps() -> App:
    """An app of each."""
    for target in (shout, whole, events, Parrot(), as_engine(events, model="m", native=["tools"])):
        assert_type(create_app(target), App)
    app = create_app({"loud": shout, "parrot": Parrot()}, api_key="k", profile="lenient", keep_alive=5)
    create_app(shout, profile="loose")  # type: ignore[arg-type]
    create_app(shout, engine_idel=1)  # type: ignore[call-arg]
    assert_type(app.options, ServerOptions)
    engine: Engine = as_engine(whole)
    print(engine.models, [name.upper() for name in app.models])
    return app


async def mounted() -> None:
    """In FastAPI, with the two hooks that a mounted app has."""
    api = FastAPI()
    llm = create_app(shout, allowed_hosts=["*"])
    api.mount("/llm", llm)
    await llm.start()
    await llm.close()
    async with AsyncClient(app=llm) as client:
        await client.models.list()


def running() -> Any:
    """Until stopped, and while a block runs."""
    with (
        run_server({"loud": shout, "small": "model.gguf"}, keep_alive=1.0) as url,
        Client(base_url=url) as client,
    ):
        assert_type(url, str)
        serve(shout, host="127.0.0.1", port=0, api_key="k", profile="strict")
        serve("my_agent:answer")
        serve({"loud": shout, "echo": "echo"})
        serve(shout, engine_idle=5, max_requests=8, allowed_hosts=["*"])
        serve(shout, prot=1)  # type: ignore[call-arg]
        run_server(shout, keep_alive="1")  # type: ignore[arg-type]
        return client.models.list()
