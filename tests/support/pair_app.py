"""The engines of the pair tests as apps that a server imports by name: bare, and mounted in FastAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from duologue import create_app
from duologue.engine import Finish, Reasoning, Refusal, Text, ToolArguments, ToolCall
from duologue.protocol import errors

__all__ = ["ENGINES", "SCRIPTS", "app", "mounted"]

SCRIPTS: dict[str, list[Any]] = {
    "text": [Reasoning("Hm."), "Hel", "lo 😀"],
    "choices": [Text("a", 0), Text("b", 1), Text("c", 0), Finish("stop", 1), Finish("length", 0)],
    "calls": [
        ToolCall("weather", id="a"),
        ToolArguments('{"city":'),
        ToolCall("weather", id="b", index=1),
        ToolArguments("{}", index=1),
        ToolArguments('"Ghent"}', index=0),
    ],
    "refusal": [Refusal("I can"), Refusal("not.")],
    "nothing": [],
}


class Scripted:
    """Answers what the user asks for by name."""

    models = ("scripted",)
    supports: dict[str, Any] = dict.fromkeys(("n", "tools"), "native")

    async def generate(self, request: Any) -> Any:
        for event in SCRIPTS[request.messages[-1].text]:
            yield event


class Failing:
    """Raises the error class whose name is the message, after a word if it is asked to stream."""

    models = ("failing",)
    supports: dict[str, Any] = {}

    async def generate(self, request: Any) -> Any:
        if request.stream:
            yield "Hello"
        raise getattr(errors, request.messages[0].text)("no luck")


class Started:
    """Has to be started before it can answer, which a mounted app hears of from its first request."""

    models = ("started",)
    supports: dict[str, Any] = {}

    def __init__(self) -> None:
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1

    async def generate(self, request: Any) -> Any:
        yield f"started {self.starts} times"


class Endless:
    """Speaks until it is stopped, and knows how many of it are speaking."""

    models = ("endless",)
    supports: dict[str, Any] = {}

    def __init__(self) -> None:
        self.speaking = 0

    async def generate(self, request: Any) -> Any:
        import asyncio

        if request.messages[-1].text == "how many?":
            yield str(self.speaking)
            return
        self.speaking += 1
        try:
            while True:
                yield "word "
                await asyncio.sleep(0.01)
        finally:
            self.speaking -= 1


ENGINES: dict[str, Any] = {
    "scripted": Scripted(),
    "failing": Failing(),
    "started": Started(),
    "endless": Endless(),
}
app = create_app(ENGINES)

mounted = FastAPI()


@mounted.get("/")
def home() -> dict[str, str]:
    """A route of the program that the app is mounted in."""
    return {"home": "here"}


mounted.mount("/llm", app)
