"""What holds however the app is served: mounted or not, under one server or another, in one process or several."""

from __future__ import annotations

from typing import Any

from duologue import Client, user_message
from support.raw import ask, wait_for


def say(client: Client, model: str, text: str = "Hi") -> str:
    return client.chat.completions.create(model=model, messages=[user_message(text)]).text


def test_an_engine_is_started_before_it_answers(client: Client) -> None:
    """Once, also where the app hears of no start of its server."""
    assert {say(client, "started") for _ in range(3)} == {"started 1 times"}


def test_the_models_are_there(client: Client) -> None:
    """All of them."""
    assert [model.id for model in client.models.list()] == ["scripted", "failing", "started", "endless"]


def test_pieces_come_when_they_are_made(client: Client) -> None:
    """Nothing between waits for more of them; a client that leaves ends the work."""
    stream: Any = client.chat.completions.create(model="endless", messages=[user_message("Hi")], stream=True)
    with stream:
        texts = [chunk.text for chunk, _ in zip(stream, range(4), strict=False)]
    assert texts == ["", "word ", "word ", "word "]
    assert wait_for(lambda: say(client, "endless", "how many?") == "0")


def test_the_document_says_where_it_is(url: str) -> None:
    """The first of its servers is the base URL."""
    found = ask(url, "/openapi.json", method="GET").json
    assert url.endswith(found["servers"][0]["url"])


def test_paths_are_found_with_and_without_v1(url: str) -> None:
    """And errors have their shape where there is nothing."""
    bare = url.removesuffix("/v1")
    assert ask(bare, "/models", method="GET").status == 200
    assert ask(bare, model="scripted", messages=[{"role": "user", "content": "text"}]).status == 200
    assert ask(url, "/nothing", method="GET").error["code"] == "unknown_url"
