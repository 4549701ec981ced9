"""Several choices over an engine that makes one at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from duologue import as_engine
from duologue.engine import Finish, Head, Text, Usage
from duologue.protocol.checks import decode_request
from duologue.server import create_app
from duologue.server.breath import Breath
from duologue.server.emulate import Emulator
from support.emulated import answer, both, post, yielding


def test_each_choice_is_a_run_with_a_seed_of_its_own():
    """Of one choice, as the engine sees it; seeds go round at the end of their range."""
    seen: list[Any] = []

    async def engine(request):
        seen.append((request.n, request.seed))
        yield f"seed {request.seed}"

    said = both(engine, n=3, seed=2**63 - 2)
    assert [choice["content"] for choice in said.choices] == [
        f"seed {seed}" for seed in (2**63 - 2, 2**63 - 1, -(2**63))
    ]
    assert {n for n, _ in seen} == {1}
    seen.clear()
    answer(engine, n=2)
    assert seen == [(1, None), (1, None)]


def test_the_prompt_counts_once_and_the_completions_all():
    """With the details of each run."""
    usage = Usage(prompt_tokens=7, completion_tokens=5, cached_tokens=3, reasoning_tokens=2)
    found = both(yielding("a", usage), n=4).usage
    assert (found["prompt_tokens"], found["completion_tokens"], found["total_tokens"]) == (7, 20, 27)
    assert found["prompt_tokens_details"]["cached_tokens"] == 3
    assert found["completion_tokens_details"]["reasoning_tokens"] == 8
    assert "estimated" not in found
    assert both(yielding("abcd"), n=4).usage["completion_tokens"] == 4


def test_each_choice_has_its_own_stop_and_limit():
    """They end at different places."""
    texts = iter(["abXc", "abcdefgh", "abc"] * 2)

    async def engine(request):
        yield next(texts)

    said = both(engine, n=3, stop="X", max_tokens=1)
    ends = sorted((choice["content"], choice["finish_reason"]) for choice in said.choices)
    assert ends == [("ab", "stop"), ("abc", "stop"), ("abcd", "length")]


def test_each_choice_streams_at_its_own_pace():
    """One that waits holds up no other."""
    started: list[int] = []
    fast_is_done = asyncio.Event()

    async def engine(request):
        started.append(1)
        if len(started) == 1:
            await fast_is_done.wait()
            yield "slow"
        else:
            for _ in range(300):  # more than may be ahead of the reader
                yield "fast"
            fast_is_done.set()

    assert [choice["content"][:4] for choice in answer(engine, n=2, stream=True).choices] == ["slow", "fast"]


def test_the_limit_is_the_servers():
    """It says which, and how it is called."""
    status, _, body = post(yielding("a"), n=3, options={"max_fanout": 2})
    error = json.loads(body)["error"]
    assert (status, error["param"], error["code"]) == (400, "n", "integer_above_max_value")
    assert "at most 2 choices at once, its max_fanout" in error["message"]
    assert post(yielding("a"), n=3, options={"max_fanout": 3})[0] == 200


def test_there_is_a_limit():
    """It is refused, or lenient dropped and named."""
    status, _, body = post(yielding("a"), n=17)
    assert (status, json.loads(body)["error"]["param"]) == (400, "n")
    assert len(answer(yielding("a"), n=16).choices) == 16
    status, headers, body = post(yielding("a"), n=17, profile="lenient")
    assert (status, headers["duologue-ignored-params"], len(json.loads(body)["choices"])) == (200, "n", 1)


def test_a_choice_that_fails_its_check_runs_again_alone():
    """The others are left as they are."""
    runs: list[int] = []

    async def engine(request):
        runs.append(1)
        yield "{}" if len(runs) != 2 else "nope"

    said = answer(engine, n=3, response_format={"type": "json_object"})
    assert [choice["content"] for choice in said.choices] == ["{}"] * 3
    assert len(runs) == 4


def test_an_answer_has_one_head():
    """That of the run that is first, on every chunk."""
    head = Head(id="chatcmpl-mine", system_fingerprint="fp", service_tier="flex")
    for stream in (False, True):
        _, _, body = post(yielding(head, "a"), n=3, stream=stream, service_tier="auto")
        events = [part for part in body.replace(b"data: ", b"").split(b"\n\n") if part.startswith(b"{")]
        heads = [
            [json.loads(event)[name] for name in ("id", "system_fingerprint", "service_tier")]
            for event in events
        ]
        assert heads == [["chatcmpl-mine", "fp", "flex"]] * (9 if stream else 1)


def test_an_error_of_one_run_ends_the_others():
    """Each is closed in its own task."""
    closed: list[int] = []
    running: list[int] = []

    async def engine(request):
        running.append(1)
        mine = len(running)
        try:
            async with asyncio.timeout(5):  # bound to the task that opened it
                yield "a"
                await asyncio.sleep(0)
                if mine == 3:
                    raise RuntimeError("secret")
                await asyncio.sleep(5)
        finally:
            closed.append(mine)

    status, _, body = post(engine, n=3)
    assert (status, sorted(closed)) == (500, [1, 2, 3])
    assert b"secret" not in body


@pytest.mark.parametrize(
    "what", [asyncio.CancelledError, SystemExit, KeyError], ids=lambda kind: kind.__name__
)
def test_whatever_an_engine_raises_is_an_error_of_the_server(what):
    """Not its end, and no silence."""

    async def engine(request):
        yield "a"
        raise what

    assert post(engine, n=2)[0] == 500
    assert post(engine, stop="x")[0] == 500


def test_blocking_functions_run_side_by_side():
    """In a thread each."""

    def engine(request):
        yield from ("a", "b")

    assert [choice["content"] for choice in both(engine, n=4).choices] == ["ab"] * 4


def test_the_events_of_an_engine_are_left_alone():
    """It may yield the same objects to every run."""
    text, finish = Text("a"), Finish("length")
    assert [choice["finish_reason"] for choice in both(yielding(text, finish), n=3).choices] == ["length"] * 3
    assert (text.choice, finish.choice) == (0, 0)


async def busy(request):
    while True:
        yield ""


def test_an_engine_that_never_waits_leaves_the_loop_its_turn():
    """Even where nothing of it is let through."""

    async def watch() -> None:
        body = b'{"model":"busy","n":2,"messages":[{"role":"user","content":"x"}]}'
        request, _ = decode_request(body)
        emulator = Emulator(as_engine(busy), request, ["n"], max_fanout=2, breath=Breath(0.01))

        async def take() -> None:
            async for _ in emulator.generate(request):
                pass

        task = asyncio.ensure_future(take())
        for _ in range(3):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(watch())


def test_what_is_there_at_once_goes_out_in_one_piece():
    """Choices that speak in the same turn of the event loop take one `send` a turn."""
    sent = []

    async def words(request):
        for word in "abc":
            await asyncio.sleep(0)
            yield word

    async def talk() -> None:
        body = b'{"model":"words","n":4,"stream":true,"messages":[{"role":"user","content":"x"}]}'
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        parts = [{"type": "http.request", "body": body}]

        async def receive():
            if not parts:
                await asyncio.Event().wait()
            return parts.pop()

        async def send(message):
            if message.get("more_body"):
                sent.append([json.loads(line[6:]) for line in message["body"].decode().split("\n\n") if line])

        await create_app(words)(scope, receive, send)

    asyncio.run(talk())
    texts = [
        [
            choice["delta"]["content"]
            for chunk in turn
            for choice in chunk["choices"]
            if choice["delta"].get("content")
        ]
        for turn in sent
    ]
    assert texts[:3] == [["a"] * 4, ["b"] * 4, ["c"] * 4]
