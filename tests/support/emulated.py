"""Answers of an engine behind the ASGI app, in both modes, for tests of what the server does in its stead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from duologue import as_engine, create_app
from support.legal import check_completion, check_stream
from support.raw import HI

__all__ = ["Said", "answer", "both", "post", "yielding"]

NAME = "engine"


class Said(NamedTuple):
    """What an answer says, without its identity."""

    choices: list[dict[str, Any]]
    usage: dict[str, Any]

    @property
    def text(self) -> Any:
        return self.choices[0]["content"]

    @property
    def reason(self) -> Any:
        return self.choices[0]["finish_reason"]


def yielding(*pieces: Any) -> Any:
    """An engine that yields these."""

    async def engine(request):
        for piece in pieces:
            yield piece

    return engine


def post(
    engine: Any,
    *,
    profile: Any = "strict",
    native: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """The status, the headers and the body of the answer to a request.

    An error is a status, however long a busy machine takes for it.
    """
    if callable(engine):
        engine = as_engine(engine, model=NAME, native=native)
    settings = {"first_event_hold": 60, **(options or {})}
    app = create_app(engine, profile=profile, allowed_hosts=["*"], **settings)
    body = json.dumps({"model": engine.models[0], "messages": [HI], **fields}).encode()
    sent: list[Any] = []

    async def run() -> None:
        arrived = [{"type": "http.request", "body": body}]

        async def receive() -> Any:
            return arrived.pop() if arrived else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [(b"content-type", b"application/json")],
        }
        await asyncio.wait_for(app(scope, receive, send), 10)

    asyncio.run(run())
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message["body"] for message in sent[1:])


def answer(engine: Any, *, stream: bool = False, **fields: Any) -> Said:
    """What the engine says, streamed or whole."""
    if stream:
        fields["stream_options"] = {"include_usage": True}
    status, _, body = post(engine, stream=stream, **fields)
    assert status == 200, body
    n = fields.get("n", 1)
    if not stream:
        whole = json.loads(body)
        check_completion(whole, n=n)
        return Said([_choice(choice) for choice in whole["choices"]], whole["usage"])
    chunks, error = check_stream(body, n=n, include_usage=True)
    assert error is None
    choices: list[dict[str, Any]] = [{} for _ in range(n)]
    for chunk in chunks[:-1]:
        for choice in chunk["choices"]:
            _add(choices[choice["index"]], choice)
    return Said([_tidy(choice) for choice in choices], chunks[-1]["usage"])


def both(engine: Any, **fields: Any) -> Said:
    """What it says in either mode, which must be the same."""
    whole, streamed = answer(engine, **fields), answer(engine, stream=True, **fields)
    assert whole == streamed
    return whole


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    message = dict(choice["message"])
    for call in message.get("tool_calls") or ():
        call["index"] = len(made.setdefault("calls", []))
        made["calls"].append(_call(call))
    if message.get("function_call"):
        made["function_call"] = message["function_call"]
    made |= {name: message[name] for name in TEXTS if message.get(name)}
    made["finish_reason"] = choice["finish_reason"]
    if choice.get("logprobs"):
        made["tokens"] = [entry["token"] for entry in choice["logprobs"]["content"] or ()]
    return _tidy(made)


TEXTS = ("content", "refusal", "reasoning_content")


def _call(call: Mapping[str, Any]) -> list[str]:
    body = call[call["type"]]
    return [body["name"], body.get("arguments", body.get("input", ""))]


def _add(made: dict[str, Any], choice: Mapping[str, Any]) -> None:
    delta = choice["delta"]
    for name in TEXTS:
        if delta.get(name):
            made[name] = made.get(name, "") + delta[name]
    for call in delta.get("tool_calls") or ():
        calls = made.setdefault("calls", [])
        if call["index"] == len(calls):
            calls.append(_call(call))
        else:
            body = call.get("function") or call["custom"]
            calls[call["index"]][1] += body.get("arguments", body.get("input", ""))
    if "function_call" in delta:
        old = made.setdefault("function_call", {"name": "", "arguments": ""})
        for name, text in delta["function_call"].items():
            old[name] += text
    if choice["logprobs"]:
        made.setdefault("tokens", []).extend(entry["token"] for entry in choice["logprobs"]["content"] or ())
    if choice["finish_reason"]:
        made["finish_reason"] = choice["finish_reason"]


def _tidy(made: dict[str, Any]) -> dict[str, Any]:
    return {"content": "", "tokens": [], "calls": [], **made}
