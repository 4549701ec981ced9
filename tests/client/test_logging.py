"""What is logged, and what never is."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from duologue import AsyncClient, Client, DuologueError
from duologue.client.observe import Observer, observers_of
from duologue.client.observe.log import REDACTED, redacted
from support.wire import COMPLETION, WireServer, event, events, json_answer, sse

from .conftest import ASK, Driver

KEY = "sk-very-secret"
SECRET_PROMPT, SECRET_ANSWER = "my diagnosis", "your illness"
PROMPT = [{"role": "user", "content": SECRET_PROMPT}]
HEADERS = {"x-request-id": "req_1", "set-cookie": "session=crumbs", "x-ratelimit-remaining-tokens": "7"}
NO_DONE = events(SECRET_ANSWER, done=False)
SECRETS = (KEY, SECRET_PROMPT, SECRET_ANSWER, "crumbs", "hush")


def whole(text: str = SECRET_ANSWER) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {**COMPLETION, "choices": [choice]}


def ask(both: Driver, server: WireServer, /, *, stream: bool = False, **options: Any) -> Any:
    """One call with secrets in every place that has some."""
    given = {
        "base_url": server.url.replace("http://", "http://me:hush@"),
        "api_key": KEY,
        "default_query": {"token": "hush"},
        "default_headers": {"X-Api-Key": "hush", "Cookie": "hush"},
        "organization": "hush",
        "params": {"messages": PROMPT},
        **options,
    }
    return both.read(**given) if stream else both.create(**given)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="duologue")
    return caplog


def lines(told: pytest.LogCaptureFixture, level: int = logging.DEBUG) -> list[str]:
    return [record.getMessage() for record in told.records if record.levelno >= level]


def test_a_call_is_told_at_info(both: Driver, told: pytest.LogCaptureFixture) -> None:
    """The answer and the end; all under one name."""
    told.set_level(logging.INFO, logger="duologue")
    with WireServer(json_answer(whole(), headers=HEADERS)) as server:
        ask(both, server)
    what = f"POST {server.url}/chat/completions"
    answered, ended = lines(told)
    assert re.fullmatch(rf"{what}: 200 after [0-9.]+ s, request id req_1", answered)
    assert re.fullmatch(rf"{what}: complete after [0-9.]+ s, tokens 3", ended)
    assert {record.name for record in told.records} == {"duologue.client"}


def test_retries_and_errors_are_told(both: Driver, told: pytest.LogCaptureFixture) -> None:
    """Why, after how long, and what became of it; not the error's text, which may quote the prompt."""
    told.set_level(logging.INFO, logger="duologue")
    error = {"error": {"message": SECRET_PROMPT, "code": "rate_limit_exceeded"}}
    answer = json_answer(error, 429, {"retry-after-ms": "1"})
    with WireServer(answer) as server, pytest.raises(DuologueError):
        ask(both, server, max_retries=1)
    _, again, _, ended = lines(told)
    assert again.endswith("again in 0.001 s, because of status 429")
    assert "failed after" in ended
    assert ended.endswith("error RateLimitError, status_code 429, code rate_limit_exceeded")
    assert SECRET_PROMPT not in told.text


def test_a_stream_that_is_asked_for_again_is_told(both: Driver, told: pytest.LogCaptureFixture) -> None:
    """It ended before its first chunk, and the next attempt goes on with it."""
    told.set_level(logging.INFO, logger="duologue")
    with WireServer(sse(b""), sse(events("a"))) as server:
        ask(both, server, stream=True, max_retries=1)
    _, again, _, ended = lines(told)
    assert again.endswith("because of StreamTruncatedError")
    assert "complete after" in ended


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(events(SECRET_ANSWER), "complete after", id="complete"),
        pytest.param(NO_DONE, "complete after", id="no-done"),
        pytest.param(events(SECRET_ANSWER, finish=None, done=False), "truncated after", id="truncated"),
        pytest.param(events(SECRET_ANSWER, finish=None), "reason unfinished", id="unfinished"),
        pytest.param(
            event({"error": {"message": "no", "code": 503}}), "error InternalServerError", id="failed"
        ),
    ],
)
def test_a_stream_is_told_with_its_outcome(
    both: Driver, told: pytest.LogCaptureFixture, body: bytes, said: str
) -> None:
    """When it ends, and what the server did otherwise."""
    with WireServer(sse(body)) as server:
        ask(both, server, stream=True)
    assert said in "\n".join(lines(told, logging.INFO))
    assert ("the server deviates from the protocol: no-done" in told.text) == (body == NO_DONE)


def test_a_stream_that_is_left_is_told_once(told: pytest.LogCaptureFixture) -> None:
    """As cancelled, also where it was never closed: then when the next call begins."""
    left = sse(events("a", finish=None, done=False), ending="open")
    with WireServer(left) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        stream.close()
        stream.close()
        assert told.text.count("cancelled after") == 1
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        del stream
        assert told.text.count("cancelled after") == 1
        client.chat.completions.create(**ASK, stream=True).close()
        assert told.text.count("cancelled after") == 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("bodies", [False, True], ids=["no-bodies", "bodies"])
def test_secrets_are_never_told(
    both: Driver, told: pytest.LogCaptureFixture, stream: bool, bodies: bool
) -> None:
    """Keys, cookies, passwords, queries; prompts and answers only with `log_bodies`, and no key even then."""
    text = f"{SECRET_ANSWER} {KEY}"
    answer = sse(events(text), headers=HEADERS) if stream else json_answer(whole(text), headers=HEADERS)
    with WireServer(answer) as server:
        ask(both, server, stream=stream, log_bodies=bodies)
    shown = {secret for secret in SECRETS if secret in told.text}
    assert shown == ({SECRET_PROMPT, SECRET_ANSWER} if bodies else set())
    assert REDACTED in told.text
    assert "'x-ratelimit-remaining-tokens': '7'" in told.text


def test_an_error_body_is_shown_only_when_asked(both: Driver, told: pytest.LogCaptureFixture) -> None:
    """What a server says may quote what it was asked."""
    answer = json_answer({"error": {"message": SECRET_PROMPT}}, 400)
    for bodies in (False, True):
        with WireServer(answer) as server, pytest.raises(DuologueError):
            ask(both, server, log_bodies=bodies, params={})
        assert (SECRET_PROMPT in told.text) == bodies


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "api-key",
            "X-API-Key",
            "x-goog-api-key",
        ),
        *(
            "openai-organization",
            "OpenAI-Project",
            "x-auth-token",
            "X-Amz-Security-Token",
            "x-my-secret",
            "apikey",
            "Ocp-Apim-Subscription-Key",
            "x-functions-key",
            "X-Key",
        ),
    ],
)
def test_headers_that_may_hold_secrets_are_replaced(name: str) -> None:
    """By their names, in any case."""
    assert redacted({name: "hush", "x-request-id": "1"}) == {name: REDACTED, "x-request-id": "1"}


@pytest.mark.parametrize("name", ["Location", "content-location", "Operation-Location"])
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:hush@host/v1/x?api_key=hush#hush", "https://host/v1/x"),
        ("/v1/x?api_key=hush", "/v1/x"),
    ],
    ids=["absolute", "relative"],
)
def test_urls_in_headers_are_shown_as_all_urls_are(name: str, url: str, shown: str) -> None:
    """Without user, password and query."""
    assert redacted({name: url}) == {name: shown}


def test_nobody_is_told_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call has no observers unless somebody has set logging or tracing up."""
    seen: list[list[Observer]] = []

    def spied(call: Any) -> Any:
        seen.append(list(observers_of(call)))
        return ()

    for module in ("opentelemetry.trace", "opentelemetry.metrics"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr("duologue.client.call.observers_of", spied)
    with WireServer(json_answer(COMPLETION)) as server, Client(base_url=server.url) as client:
        client.chat.completions.create(**ASK)
        logging.getLogger("duologue.client").setLevel(logging.INFO)
        try:
            client.chat.completions.create(**ASK)
        finally:
            logging.getLogger("duologue.client").setLevel(logging.NOTSET)
    assert [len(observers) for observers in seen] == [0, 1]


async def test_a_cancelled_task_is_told(told: pytest.LogCaptureFixture) -> None:
    """As cancelled: nothing went wrong."""
    with WireServer(lambda peer: peer.gone() and None) as server:
        async with AsyncClient(base_url=server.url) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.chat.completions.create(**ASK)
    assert "cancelled after" in lines(told, logging.INFO)[-1]


PROGRAM = """
from duologue import Client
try:
    Client(base_url="http://127.0.0.1:9/v1", max_retries=0).models.list()
except Exception:
    pass
"""


@pytest.mark.parametrize(
    ("value", "levels"),
    [("debug", {"DEBUG", "INFO"}), ("INFO", {"INFO"}), ("", set()), ("nonsense", set())],
)
def test_the_environment_sets_logging_up(value: str, levels: set[str]) -> None:
    """`DUOLOGUE_LOG`, for a program that has no handlers of its own."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": "", "DUOLOGUE_LOG": value},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    told = [line for line in result.stderr.splitlines() if " duologue.client " in line]
    assert {line.split(" duologue.client ")[1].split()[0] for line in told} == levels
    warning = "DUOLOGUE_LOG is 'nonsense', which is none of its values: debug, info\n"
    assert result.stderr == warning if value == "nonsense" else "none of its values" not in result.stderr
