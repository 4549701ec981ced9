"""The profile `mock`: any stored completion exists; in the others none does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from duologue.engines.echo import EchoEngine
from duologue.run import run_server
from support.legal import check_completion
from support.raw import ask

STORED = "/chat/completions"
IDS = ["chatcmpl-mock-1", "chatcmpl-mock-2", "chatcmpl-mock-3"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with run_server(EchoEngine(), profile="mock") as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=url, api_key="key", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def get(url: str, path: str) -> Any:
    response = ask(url, path, method="GET")
    assert response.status == 200
    return response.json


def test_any_id_exists(url):
    """The completion has the id that was asked for, and all that a completion has."""
    completion = get(url, f"{STORED}/chatcmpl-whatever")
    check_completion(completion)
    assert (completion["id"], completion["model"], completion["metadata"]) == (
        "chatcmpl-whatever",
        "echo",
        {},
    )


def test_an_update_answers_with_the_new_metadata(url):
    """And is forgotten: the double keeps nothing."""
    updated = ask(url, f"{STORED}/c1", body=b'{"metadata": {"topic": "weather"}}')
    assert (updated.status, updated.json["id"], updated.json["metadata"]) == (200, "c1", {"topic": "weather"})
    assert get(url, f"{STORED}/c1")["metadata"] == {}
    assert ask(url, f"{STORED}/c1", body=b'{"metadata": null}').json["metadata"] == {}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="no metadata"),
        pytest.param(b'{"metadata": {"a": 1}}', id="a number"),
        pytest.param(b'{"metadata": {}, "model": "m"}', id="another parameter"),
        pytest.param(json.dumps({"metadata": {str(n): "" for n in range(17)}}).encode(), id="17 names"),
        pytest.param(b"\xff", id="not JSON"),
        pytest.param(b"[" * 100_000, id="nested deeply"),
    ],
)
def test_an_update_that_is_none(url, body):
    """Is refused with what would be right."""
    response = ask(url, f"{STORED}/c1", body=body)
    assert (response.status, response.error["param"]) == (400, "metadata")
    assert '{"metadata": {"name": "text"}}' in response.error["message"]


def test_a_deletion(url):
    """Says so; the completion exists all the same."""
    deleted = ask(url, f"{STORED}/c1", method="DELETE")
    assert deleted.json == {"id": "c1", "deleted": True, "object": "chat.completion.deleted"}
    assert get(url, f"{STORED}/c1")["id"] == "c1"


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("", IDS, False),
        ("?limit=2", IDS[:2], True),
        ("?limit=2&after=chatcmpl-mock-2", IDS[2:], False),
        ("?after=chatcmpl-mock-3", [], False),
        ("?order=desc&limit=1", IDS[2:], True),
        ("?order=desc&after=chatcmpl-mock-2", IDS[:1], False),
        ("?after=chatcmpl-unknown", IDS, False),
    ],
)
def test_a_list_has_pages(url, query, ids, more):
    """`after` is the last id of the page before; after an id that the list does not have comes all of it."""
    page = get(url, STORED + query)
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (ids, more)
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    assert page["object"] == "list"


def test_a_list_is_of_what_was_asked_for(url):
    """Its completions have the model and the metadata of the query."""
    (item,) = get(url, f"{STORED}?limit=1&model=gpt-x&metadata%5Ba%5D=b&metadata[c]=d%20e")["data"]
    assert (item["model"], item["metadata"]) == ("gpt-x", {"a": "b", "c": "d e"})


@pytest.mark.parametrize(
    ("query", "ignored"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=%C2%B2", "limit"),
        ("order=up&limit=-1", "limit, order"),
        ("limit=&order=", "limit, order"),
        ("other=1", "other"),
        ("metadata[a=b", "metadata[a"),
        ("model=x", None),
    ],
)
def test_what_a_list_does_not_understand_is_named(url, query, ignored):
    """In the header that names it for completions, too."""
    response = ask(url, f"{STORED}?{query}", method="GET")
    assert response.status == 200
    assert response.headers.get("duologue-ignored-params") == ignored
    assert len(response.json["data"]) == len(IDS)


def test_messages_have_no_filters(url):
    """What filters completions says nothing about messages."""
    response = ask(url, f"{STORED}/c1/messages?model=x&metadata[a]=b", method="GET")
    assert response.headers["duologue-ignored-params"] == "model, metadata[a]"


def test_a_query_without_end(url):
    """Is refused, not read."""
    response = ask(url, f"{STORED}?{'a=1&' * 100}", method="GET")
    assert response.status == 400
    assert "64 fields" in response.error["message"]


def test_the_official_client_walks_all_pages(client):
    """Of completions, and of the messages of one."""
    assert [item.id for item in client.chat.completions.list(limit=1)] == IDS
    messages = list(client.chat.completions.messages.list("c1", limit=1))
    assert [message.id for message in messages] == ["c1-0", "c1-1"]
    assert all(message.content for message in messages)


@pytest.mark.parametrize("profile", ["strict", "lenient"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", STORED),
        ("GET", f"{STORED}/c1"),
        ("POST", f"{STORED}/c1"),
        ("DELETE", f"{STORED}/c1"),
        ("GET", f"{STORED}/c1/messages"),
    ],
)
def test_in_other_profiles_nothing_is_stored(profile, method, path):
    """Which is said, with a status that no client tries again."""
    with run_server(EchoEngine(), profile=profile) as url:
        response = ask(url, path, method=method)
    assert (response.status, response.error["code"]) == (404, "no_stored_completions")
    assert "stores no completions" in response.error["message"]


def test_nothing_else_is_said_to_be_there():
    """A path that does not exist is answered with those that do."""
    with run_server(EchoEngine()) as url:
        response = ask(url, "/nowhere", method="GET")
    assert STORED in response.error["message"]
    assert "{completion_id}" not in response.error["message"]


def test_health_names_the_profile(url):
    """So that nobody takes the double for a server."""
    assert get(url, "/health")["profile"] == "mock"
