"""What is sent: the URL, the headers, the body, and where each option comes from."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from dataclasses import dataclass
from typing import Any

import pytest

from duologue import NOT_GIVEN, AsyncClient, AuthenticationError, Client, DuologueError, Omit, omit
from duologue.client.options import ClientOptions
from duologue.types.chat import ChatCompletion
from support.wire import COMPLETION, HI, Asked, WireServer, events, json_answer, refused_url, sse

from .conftest import ASK, Driver

SECRET = "sk-very-secret"
MODELS = {
    "object": "list",
    "data": [{"id": name, "object": "model", "created": 1, "owned_by": "me"} for name in ("m", "n")],
}


def sent(both: Driver, /, **options: Any) -> Asked:
    """The request of one call as the server got it."""
    with WireServer(json_answer(COMPLETION)) as server:
        both.create(base_url=options.pop("base_url", "{url}").format(url=server.url), **options)
    return server.asked[0]


def body(both: Driver, /, **params: Any) -> Any:
    return sent(both, params=params).json


# --- the body -------------------------------------------------------------------------------------------


def test_only_what_was_given_is_sent(both: Driver) -> None:
    """No defaults: an omitted parameter is absent, `stream` too."""
    assert body(both) == {"model": "m", "messages": [HI]}


def test_none_is_null_and_omit_is_nothing(both: Driver) -> None:
    """None says null to the server; `omit` and `NOT_GIVEN` stand for a parameter that is left out."""
    got = body(both, temperature=None, top_p=omit, seed=NOT_GIVEN, stream=None)
    assert got == {"model": "m", "messages": [HI], "temperature": None, "stream": None}
    assert not omit
    assert isinstance(NOT_GIVEN, Omit)
    assert "stream" not in body(both, stream=omit)
    assert body(both, stream=False)["stream"] is False


def test_a_streamed_call_says_so() -> None:
    """`stream: true`, and the content types of both directions."""
    with WireServer(sse(events("a"))) as server, Client(base_url=server.url) as client:
        client.chat.completions.create(**ASK, stream=True).get_final_completion()
    asked = server.asked[0]
    assert asked.json["stream"] is True
    assert asked.headers["accept"] == "text/event-stream"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["content-type"] == "application/json"


def test_every_parameter_is_passed_on(both: Driver) -> None:
    """All 37 of the request, whatever they hold."""
    from duologue.types.chat import CompletionCreateParamsBase

    names = set(CompletionCreateParamsBase.__annotations__)
    assert len(names | {"stream"}) >= 37
    params = {name: {"x": [name]} for name in names - {"messages", "model"}}
    assert body(both, **params) == {"model": "m", "messages": [HI], **params}


def test_extra_body_is_added_and_wins(both: Driver) -> None:
    """What only some servers know, and a last word on the rest."""
    got = body(both, temperature=1, extra_body={"top_k": 5, "temperature": 0})
    assert got == {"model": "m", "messages": [HI], "temperature": 0, "top_k": 5}


def test_an_answer_is_part_of_the_next_request(both: Driver) -> None:
    """A message, and its tool calls by themselves, are sent as a request wants them."""
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = (
        ChatCompletion.model_validate(
            {
                **COMPLETION,
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "tool_calls",
                        "message": {
                            "role": "assistant",
                            "content": None,
                            "annotations": [],
                            "tool_calls": [call],
                        },
                    }
                ],
            }
        )
        .choices[0]
        .message
    )
    got = body(both, messages=[HI, message, {"role": "assistant", "tool_calls": message.tool_calls}])
    assert got["messages"] == [
        HI,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "tool_calls": [call]},
    ]


def test_what_has_a_form_in_json_is_sent(both: Driver) -> None:
    """Generators, tuples, data classes, models of other libraries."""

    @dataclass
    class Prediction:
        type: str
        content: str

    class Foreign:
        def model_dump(self, *, mode: str, exclude_unset: bool) -> Any:
            assert (mode, exclude_unset) == ("json", True)
            return {"role": "user", "content": "dumped"}

    got = body(
        both,
        messages=(message for message in (HI, Foreign())),
        tools=({"type": "function", "function": {"name": name}} for name in ("f", "g")),
        stop=("a", "b"),
        prediction=Prediction("content", "x"),
    )
    assert got["messages"] == [HI, {"role": "user", "content": "dumped"}]
    assert [tool["function"]["name"] for tool in got["tools"]] == ["f", "g"]
    assert got["stop"] == ["a", "b"]
    assert got["prediction"] == {"type": "content", "content": "x"}


def test_text_is_sent_as_it_is(both: Driver) -> None:
    """UTF-8, not escapes; half a surrogate pair, which UTF-8 cannot hold, as its escape."""
    asked = sent(both, params={"messages": [{"role": "user", "content": "Grüße 👋"}]})
    assert "Grüße 👋".encode() in asked.body
    assert body(both, user="\ud83d")["user"] == "\ud83d"


@pytest.mark.parametrize(
    ("params", "kind", "text"),
    [
        pytest.param({"metadata": {"when": object()}}, TypeError, "metadata .* object", id="object"),
        pytest.param({"metadata": {"raw": b"x"}}, TypeError, "metadata .* bytes", id="bytes"),
        pytest.param({"response_format": dict}, TypeError, "response_format .* class", id="class"),
        pytest.param({"temperature": float("nan")}, DuologueError, "temperature", id="nan"),
        pytest.param({"temprature": 1}, TypeError, "'temprature'.*extra_body", id="misspelt"),
        pytest.param({"model": omit}, TypeError, "missing .*'model'", id="no-model"),
        pytest.param({"messages": omit}, TypeError, "missing .*'messages'", id="no-messages"),
    ],
)
def test_what_cannot_be_sent(both: Driver, params: dict[str, Any], kind: type[Exception], text: str) -> None:
    """Nothing goes out; the error names the parameter."""
    with WireServer(json_answer(COMPLETION)) as server, pytest.raises(kind, match=text):
        both.create(base_url=server.url, params=params)
    assert server.asked == []


# --- the headers ----------------------------------------------------------------------------------------


def test_the_headers_of_a_request(both: Driver) -> None:
    """Key, organization, project, who asks."""
    headers = sent(both, api_key=SECRET, organization="org_1", project="proj_1").headers
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org_1", "proj_1")
    assert headers["user-agent"].startswith("duologue/")
    assert headers["accept"] == "application/json"
    assert headers["host"].startswith("127.0.0.1:")


def test_no_key_no_authorization(both: Driver) -> None:
    """A server that is not OpenAI's may do without."""
    assert "authorization" not in sent(both, api_key=None).headers


def test_a_user_in_the_base_url(both: Driver) -> None:
    """Is sent as such where there is no key, and never as part of the URL."""
    with WireServer(json_answer(COMPLETION)) as server:
        url = server.url.replace("http://", "http://me:p%40ss@")
        both.create(base_url=url, api_key=None)
        both.create(base_url=url, api_key="sk-1")
    assert [asked.headers["authorization"] for asked in server.asked] == ["Basic bWU6cEBzcw==", "Bearer sk-1"]
    assert server.asked[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_headers_can_be_added_replaced_and_removed(both: Driver) -> None:
    """By the client and by the call, which has the last word; None removes."""
    headers = sent(
        both,
        default_headers={"X-One": "1", "X-Two": "2", "Accept": None},
        params={"extra_headers": {"x-two": "two", "USER-AGENT": "me", "Authorization": omit}},
    ).headers
    assert (headers["x-one"], headers["x-two"], headers["user-agent"]) == ("1", "two", "me")
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        pytest.param({"X-Bad": "a\r\nX-Evil: 1"}, "x-bad", id="line-break"),
        pytest.param({"X-Bad": "a\nb"}, "x-bad", id="line-feed"),
        pytest.param({"X-Bad": "„quoted“"}, "x-bad", id="not-latin-1"),
        pytest.param({"X-Bad": "Grüße"}, "x-bad", id="not-ascii"),
        pytest.param({"X-Bad": "\x7f"}, "x-bad", id="control"),
        pytest.param({"X Bad": "a"}, "x bad", id="name"),
        pytest.param({"X-Bad\r\n": "a"}, "x-bad", id="name-with-line-break"),
        pytest.param({"": "a"}, "header", id="no-name"),
    ],
)
def test_headers_that_cannot_be_sent(both: Driver, headers: dict[str, str], text: str) -> None:
    """A header cannot smuggle in another one."""
    with pytest.raises(DuologueError, match=text):
        sent(both, params={"extra_headers": headers})


@pytest.mark.parametrize("key", ["sk-secret\n", "“sk-secret”"])
def test_a_key_that_cannot_be_sent(both: Driver, key: str) -> None:
    """The error says whose fault it is and does not show the key."""
    with pytest.raises(DuologueError, match="api_key") as caught:
        sent(both, api_key=key)
    assert "secret" not in str(caught.value)


# --- the URL --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "options", "target"),
    [
        ("{url}", {}, "/v1/chat/completions"),
        ("{url}/", {}, "/v1/chat/completions"),
        ("{url}/a b/ü", {}, "/v1/a%20b/%C3%BC/chat/completions"),
        ("{url}/a%20b", {}, "/v1/a%20b/chat/completions"),
        ("{url}?api-version=1", {}, "/v1/chat/completions?api-version=1"),
        (
            "{url}?api-version=1",
            {"default_query": {"a": 1, "b": True}, "params": {"extra_query": {"b": None, "c": ["x", "y&z"]}}},
            "/v1/chat/completions?api-version=1&a=1&c=x&c=y%26z",
        ),
        ("{url}#there", {}, "/v1/chat/completions"),
    ],
)
def test_the_target(both: Driver, base: str, options: dict[str, Any], target: str) -> None:
    """The base URL with its path and query, and the query of the client and the call."""
    assert sent(both, base_url=base, **copy.deepcopy(options)).target == target


def test_a_host_with_other_letters(both: Driver) -> None:
    """It travels in ASCII, where it is asked for as where it is named."""
    with WireServer(json_answer(COMPLETION)) as proxy:
        both.create(base_url="http://bücher.example:81/v1", proxy=f"http://127.0.0.1:{proxy.port}")
    assert proxy.asked[0].target == "http://xn--bcher-kva.example:81/v1/chat/completions"
    assert proxy.asked[0].headers["host"] == "xn--bcher-kva.example:81"


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:8000/v1", "ftp://h/v1", "http://", "http://h:port/v1", "/v1", "http://h:99999/v1"),
        *("http://a..b/v1", "http://.h/v1", "http://a b/v1", f"http://{'a' * 64}.h/v1", "http://ü..h/v1"),
    ],
)
def test_base_urls_that_are_none(url: str) -> None:
    """Found when the client is made; without a URL, OpenAI's is meant."""
    if not url:
        assert Client(base_url=url or None, api_key="k").base_url == "https://api.openai.com/v1"
        return
    with pytest.raises(DuologueError, match="base_url"):
        Client(base_url=url)


# --- options and the environment --------------------------------------------------------------------------


def test_the_environment(both: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that OpenAI's own clients read."""
    with WireServer(json_answer(COMPLETION)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        monkeypatch.setenv("OPENAI_ORG_ID", "org_1")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "proj_1")
        both.create(api_key=None)
        both.create(api_key="sk-mine", organization="org_2", project="proj_2")
    first, second = (asked.headers for asked in server.asked)
    names = ("authorization", "openai-organization", "openai-project")
    assert [first[name] for name in names] == [f"Bearer {SECRET}", "org_1", "proj_1"]
    assert [second[name] for name in names] == ["Bearer sk-mine", "org_2", "proj_2"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_openai_needs_a_key(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only OpenAI itself does; the error names both remedies."""
    with pytest.raises(DuologueError, match="OPENAI_API_KEY") as caught:
        kind()
    assert "base_url" in str(caught.value)
    with pytest.raises(DuologueError, match="OPENAI_API_KEY"):
        kind(base_url="https://eu.api.openai.com/v1")
    kind(base_url="http://127.0.0.1:1/v1")
    kind(base_url="https://notopenai.com/v1")
    kind(default_headers={"Authorization": "Bearer x"})
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert kind().api_key == SECRET


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"max_retries": -1}, DuologueError, "max_retries"),
        ({"max_retries": None}, DuologueError, "max_retries"),
        ({"on_truncated": "ignore"}, DuologueError, "on_truncated"),
        ({"max_event_bytes": 0}, DuologueError, "max_event_bytes"),
        ({"max_response_bytes": -5}, DuologueError, "max_response_bytes"),
        ({"max_response_bytes": None}, DuologueError, "max_response_bytes"),
        ({"max_event_bytes": "9"}, DuologueError, "max_event_bytes"),
        ({"default_headers": ["a"]}, TypeError, "default_headers must be a mapping"),
        ({"default_query": "a=1"}, TypeError, "default_query must be a mapping"),
        ({"retries": 3}, TypeError, "'retries'.*max_retries"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    """Found when the client is made, and when it is copied."""
    with pytest.raises(kind, match=text):
        Client(base_url="http://h/v1", **options)
    with pytest.raises(kind, match=text):
        Client(base_url="http://h/v1").with_options(**options)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_all_options_are_listed_where_one_is_none(kind: type[Any]) -> None:
    """With what carries the requests, and what may be meant."""
    with pytest.raises(TypeError, match="Did you mean 'http_client'") as caught:
        kind(htp_client=None)
    named = [name for name in inspect.signature(kind).parameters if name != "options"]
    assert str(caught.value).endswith(", ".join((*ClientOptions.__annotations__, *named)))


@pytest.mark.parametrize("name", ["app", "http_client", "transport", "proxy", "ssl_context"])
def test_a_copy_is_not_carried_otherwise(name: str) -> None:
    """It shares the connections of its original."""
    with pytest.raises(TypeError, match=f"{name} is for a new client"):
        Client(base_url="http://h/v1").with_options(**{name: None})


@pytest.mark.parametrize("name", ["extra_headers", "extra_query", "extra_body"])
def test_extras_that_cannot_be(both: Driver, name: str) -> None:
    """The error names them."""
    with pytest.raises(TypeError, match=f"{name} must be a mapping"):
        both.create(base_url=refused_url(), params={name: ["a"]})


def test_omit_in_the_extra_body(both: Driver) -> None:
    """It leaves out what is given beside it, too."""
    asked = sent(both, params={"temperature": 1, "extra_body": {"temperature": omit, "top_k": omit}})
    assert asked.json.keys() == {"model", "messages"}


def test_copies(both: Driver) -> None:
    """A copy changes what it is told to; headers and query are added to; the original stays."""
    client = Client(
        base_url="http://h/v1", api_key="a", default_headers={"X-One": "1"}, max_retries=7, timeout=9
    )
    copied = client.with_options(api_key="b", default_headers={"X-Two": "2"}, timeout=None)
    assert (client.api_key, copied.api_key) == ("a", "b")
    assert (client.timeout.idle, copied.timeout.idle) == (9, None)
    assert client.copy(max_retries=0).max_retries == 0
    assert copied.max_retries == 7
    assert copied.base_url == client.base_url
    with WireServer(json_answer(COMPLETION)) as server:
        copied.with_options(base_url=server.url).chat.completions.create(**ASK)
    copied.close()
    assert (server.asked[0].headers["x-one"], server.asked[0].headers["x-two"]) == ("1", "2")


def test_a_key_from_a_function(both: Driver) -> None:
    """It is asked before each call."""
    keys = iter(["sk-1", "sk-2"])
    function = lambda: next(keys)  # noqa: E731 - the shortest form users write
    assert sent(both, api_key=function).headers["authorization"] == "Bearer sk-1"
    assert sent(both, api_key=function).headers["authorization"] == "Bearer sk-2"


async def test_a_key_from_an_asynchronous_function() -> None:
    """For the asynchronous client; the blocking one says that it cannot."""

    async def key() -> str:
        return "sk-async"

    with WireServer(json_answer(COMPLETION)) as server:
        async with AsyncClient(base_url=server.url, api_key=key) as client:
            await client.chat.completions.create(**ASK)
        assert server.asked[0].headers["authorization"] == "Bearer sk-async"
        coroutine = key()
        with pytest.raises(DuologueError, match="AsyncClient"):
            Client(base_url=server.url, api_key=lambda: coroutine).chat.completions.create(**ASK)
        coroutine.close()


@pytest.mark.parametrize("key", ["", None, 17])
def test_a_function_that_gives_no_key(both: Driver, key: Any) -> None:
    """None means no key; anything else that is no text is an error."""
    if key is None:
        assert "authorization" not in sent(both, api_key=lambda: None).headers
        return
    with pytest.raises(DuologueError, match="api_key"):
        sent(both, api_key=lambda: key)


def test_secrets_are_not_shown(both: Driver) -> None:
    """Not by a client, its options, its errors, nor what hangs on them."""
    client = Client(base_url="http://user:hunter2@127.0.0.1:9/v1?key=hunter2", api_key=SECRET)
    shown = [repr(client), str(client), repr(client._options), repr(vars(client))]
    with WireServer(json_answer({"error": {"message": "No"}}, 401)) as server:
        url = server.url.replace("http://", "http://user:hunter2@") + "?key=hunter2"
        with pytest.raises(AuthenticationError) as caught:
            both.create(base_url=url, api_key=SECRET, default_headers={"X-Key": "hunter2"})
    error = caught.value
    shown += [repr(error), str(error), repr(vars(error)), repr(error.response), repr(error.request)]
    for text in shown:
        assert SECRET not in text
        assert "hunter2" not in text
    assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"


# --- models ---------------------------------------------------------------------------------------------


def test_models() -> None:
    """A list to iterate over, and one by its id."""
    with (
        WireServer(json_answer(MODELS, 200, {"x-request-id": "r"}), json_answer(MODELS["data"][0])) as server,
        Client(base_url=server.url, api_key=SECRET) as client,
    ):
        models = client.models.list()
        assert [model.id for model in models] == ["m", "n"]
        assert models._request_id == "r"
        assert client.models.retrieve("org/model:7b").owned_by == "me"
    listed, one = server.asked
    assert (listed.method, listed.target, listed.body) == ("GET", "/v1/models", b"")
    assert (one.method, one.target) == ("GET", "/v1/models/org%2Fmodel%3A7b")
    assert "content-type" not in listed.headers
    assert listed.headers["authorization"] == f"Bearer {SECRET}"


def test_models_on_an_event_loop() -> None:
    """The same."""

    async def main(url: str) -> list[str]:
        async with AsyncClient(base_url=url) as client:
            return [model.id for model in await client.models.list()] + [
                (await client.models.retrieve("org/model:7b", extra_headers={"x": "y"})).id
            ]

    with WireServer(json_answer(MODELS), json_answer(MODELS["data"][0])) as server:
        assert asyncio.run(main(server.url)) == ["m", "n", "m"]
    assert server.asked[1].target == "/v1/models/org%2Fmodel%3A7b"
    assert server.asked[1].headers["x"] == "y"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_are_no_model(name: str) -> None:
    """They would ask for something else."""
    with pytest.raises(DuologueError, match="model"):
        Client(base_url="http://h/v1").models.retrieve(name)


def test_an_answer_can_be_copied_and_pickled(both: Driver) -> None:
    """What the client hangs on it does not stand in the way."""
    with WireServer(json_answer(COMPLETION)) as server:
        answer = both.create(base_url=server.url)
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert copy.deepcopy(answer) == answer
