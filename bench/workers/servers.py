"""Serves one generator by one framework, as its own documentation says to: `servers.py KIND PORT`."""

import asyncio
import sys
import time

SHORT, CHUNKS = 1, 100

_gate = asyncio.Event()


async def words(text):
    """A word for an answer, or `CHUNKS` of them when asked, each after a turn of the loop.

    Asked to hold, it stays open after its word until somebody says go.
    """
    global _gate
    if text == "go":
        _gate.set()
        _gate = asyncio.Event()
    for _ in range(CHUNKS if text == "long" else SHORT):
        await asyncio.sleep(0)
        yield " word"
    if text == "hold":
        await _gate.wait()


def uvicorn(app, port):
    import uvicorn

    uvicorn.run(app, port=port, log_level="critical", access_log=False)


def duologue(port):
    from duologue.server import create_app

    async def engine(request):
        async for word in words(request.messages[-1].text):
            yield word

    uvicorn(create_app({"words": engine}), port)


def bare(port):
    import msgspec

    class Delta(msgspec.Struct):
        content: str

    class Choice(msgspec.Struct):
        index: int
        delta: Delta
        logprobs: None = None
        finish_reason: str | None = None

    class Chunk(msgspec.Struct):
        id: str
        created: int
        model: str
        choices: list[Choice]
        object: str = "chat.completion.chunk"

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body = msgspec.json.decode((await receive())["body"])
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for word in words(body["messages"][-1]["content"]):
            chunk = msgspec.json.encode(Chunk("chatcmpl-1", 1, "words", [Choice(0, Delta(word))]))
            await send({"type": "http.response.body", "body": b"data: " + chunk + b"\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    uvicorn(app, port)


def fastapi(port):
    import pydantic
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    class Message(pydantic.BaseModel):
        role: str
        content: str

    class Request(pydantic.BaseModel):
        model: str
        messages: list[Message]
        stream: bool = False

    class Delta(pydantic.BaseModel):
        content: str | None = None

    class Choice(pydantic.BaseModel):
        index: int = 0
        delta: Delta
        finish_reason: str | None = None

    class Chunk(pydantic.BaseModel):
        id: str
        object: str = "chat.completion.chunk"
        created: int
        model: str
        choices: list[Choice]

    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def create(request: Request):
        async def events():
            async for word in words(request.messages[-1].content):
                choices = [Choice(delta=Delta(content=word))]
                chunk = Chunk(id="chatcmpl-1", created=int(time.time()), model="words", choices=choices)
                yield f"data: {chunk.model_dump_json()}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    uvicorn(app, port)


def fastapi_openai_compat(port):
    from fastapi import FastAPI
    from fastapi_openai_compat import create_chat_completion_router

    async def run_completion(model, messages, body):
        return words(messages[-1]["content"])

    app = FastAPI()
    app.include_router(
        create_chat_completion_router(list_models=lambda: ["words"], run_completion=run_completion)
    )
    uvicorn(app, port)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
