"""Routes, mounting, and the life of the app."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest

from duologue.engine import Text
from duologue.engines.echo import EchoEngine
from duologue.run import run_server
from duologue.server import ServerOptions, create_app
from support.raw import HI, ask


class Counted:
    """An engine with two models that knows when it is started and closed."""

    models = ("small", "org/large")
    supports: dict[str, Any] = {}

    def __init__(self):
        self.log: list[str] = []

    async def start(self):
        self.log.append("start")

    async def close(self):
        self.log.append("close")

    async def generate(self, request):
        yield Text(request.model)


@pytest.fixture(scope="module")
def url():
    with run_server(Counted()) as url:
        yield url


@pytest.mark.parametrize("root", ["/v1", ""], ids=["v1", "bare"])
@pytest.mark.parametrize("slash", ["", "/"], ids=["", "slash"])
def test_paths_match_with_and_without_v1(url, root, slash):
    """And with a slash at their end."""
    base = url.removesuffix("/v1") + root
    assert ask(base, "/chat/completions" + slash, model="small").status == 200
    assert ask(base, "/models" + slash, method="GET").status == 200
    assert ask(base, "/health" + slash, method="GET").status == 200


def test_an_answer_says_who_and_what(url):
    """Its headers and its body have what clients look for."""
    response = ask(url, model="small")
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["openai-processing-ms"].isdigit()
    body = response.json
    assert body["id"].startswith("chatcmpl-")
    assert (body["object"], body["model"]) == ("chat.completion", "small")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "small", "refusal": None}
    other = ask(url, model="small")
    assert other.json["id"] != body["id"]
    assert other.headers["x-request-id"] != response.headers["x-request-id"]


def test_a_stream_is_told_as_one(url):
    """Nothing between may keep it back."""
    response = ask(url, model="small", stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers


def test_models_are_listed(url):
    """In the protocol's shape, the engine's order."""
    body = ask(url, "/models", method="GET").json
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["small", "org/large"]
    assert all(model.keys() == {"id", "created", "object", "owned_by"} for model in body["data"])


@pytest.mark.parametrize("path", ["/models/org/large", "/models/org%2Flarge", "/models/small"])
def test_a_model_is_found_by_its_id(url, path):
    """Also one with a slash in it."""
    assert ask(url, path, method="GET").json["id"] in ("org/large", "small")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/models/none", 404, "model_not_found"),
        ("GET", "/", 404, "unknown_url"),
        ("POST", "/completions", 404, "unknown_url"),
        ("POST", "/v1/chat/completions", 404, "unknown_url"),
        ("POST", "/chat/completions/x", 404, "no_stored_completions"),
        ("GET", "/../../etc/passwd", 404, "unknown_url"),
        ("GET", "/chat/completions", 404, "no_stored_completions"),
        ("DELETE", "/chat/completions", 405, "method_not_allowed"),
        ("OPTIONS", "/chat/completions", 405, "method_not_allowed"),
        ("POST", "/models", 405, "method_not_allowed"),
    ],
)
def test_what_there_is_not_is_an_error_of_the_usual_shape(url, method, path, status, code):
    """It says what there is."""
    response = ask(url, path, method=method)
    assert (response.status, response.error["code"]) == (status, code)
    if status == 405:
        assert response.headers["allow"] in ("POST", "GET")


@pytest.mark.parametrize(("path", "status"), [("/models", 200), ("/health", 200), ("/none", 404)])
def test_head_has_no_body(url, path, status):
    """But the headers of a GET."""
    response = ask(url, path, method="HEAD")
    assert (response.status, response.body) == (status, b"")
    assert int(response.headers["content-length"]) > 0


def test_health_answers_anybody():
    """A prober has no key and names whatever Host it likes."""
    with run_server(Counted(), api_key="k") as url:
        response = ask(url, "/health", method="GET", headers={"Host": "10.0.0.1"})
    assert (response.status, response.json) == (200, {"status": "ok", "profile": "strict"})


def test_an_engine_is_started_and_closed_with_the_app():
    """Once each."""
    engine = Counted()
    with run_server(engine):
        assert engine.log == ["start"]
    assert engine.log == ["start", "close"]


def test_an_engine_that_does_not_start_stops_the_server():
    """Rather than serving errors."""

    class Broken(Counted):
        async def start(self):
            raise ValueError("no weights")

    from duologue.protocol.errors import DuologueError

    with pytest.raises(DuologueError, match="did not start"), run_server(Broken()):
        pass


# --- in process ----------------------------------------------------------------------------------------


async def call(
    app: Any, method: str, path: str, *, body: bytes = b"", root_path: str = ""
) -> tuple[int, Any]:
    """One request to an ASGI app: the status, and the JSON of the answer."""
    sent: list[Any] = []
    left = asyncio.Event()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": root_path,
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


@pytest.mark.parametrize("mount", ["/v1", "/llm", "/llm/v1", "/a/b"])
@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
async def test_the_app_can_be_mounted(framework, mount):
    """Under any path; a mounted app gets no lifespan, and needs none."""
    module = pytest.importorskip(framework if framework == "fastapi" else "starlette.applications")
    outer = module.FastAPI() if framework == "fastapi" else module.Starlette()
    outer.mount(mount, create_app(Counted()))
    body = json.dumps({"model": "small", "messages": [HI]}).encode()
    for path in {f"{mount}/chat/completions", f"{mount}/v1/chat/completions"}:
        status, answer = await call(outer, "POST", path, body=body)
        assert status == 200
        assert answer["choices"][0]["message"]["content"] == "small"
    assert (await call(outer, "GET", f"{mount}/models/org/large"))[0] == 200
    assert (await call(outer, "GET", f"{mount}/none"))[0] == 404


async def test_a_server_that_strips_the_root_path_is_understood_too():
    """Older ones left the rest of the path alone."""
    app = create_app(Counted())
    assert (await call(app, "GET", "/models", root_path="/llm"))[0] == 200
    assert (await call(app, "GET", "/llm/models", root_path="/llm"))[0] == 200


async def test_a_websocket_is_closed():
    """It is no protocol of this server."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await create_app(Counted())({"type": "websocket", "path": "/"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_the_app_can_be_sent_to_another_process():
    """As servers with several workers do."""
    app = pickle.loads(pickle.dumps(create_app(Counted(), api_key="k")))
    assert (app.options.api_key, tuple(app.models)) == ("k", ("small", "org/large"))


@pytest.mark.parametrize("options", [{"profile": "loose"}, {"api_key": ""}])
def test_wrong_options_are_refused_when_the_app_is_made(options):
    """Not at the first request."""
    with pytest.raises(ValueError, match=next(iter(options))):
        create_app(Counted(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": b"key"},
        {"api_key": 1234},
        {"allowed_hosts": "example.com"},
        {"max_requests": "5"},
        {"first_event_hold": None},
        {"keep_alive": True},
    ],
    ids=str,
)
def test_options_of_a_wrong_type_are_refused_when_the_app_is_made(options):
    """Each by its name."""
    with pytest.raises(TypeError, match=next(iter(options))):
        create_app(Counted(), **options)


@pytest.mark.parametrize("host", ["example.com:8000", "http://example.com", "*.example.com", "::1", ""])
def test_a_host_that_no_request_could_name_is_refused_when_the_app_is_made(host):
    """It would keep everybody out."""
    with pytest.raises(ValueError, match="no name of a host"):
        create_app(Counted(), allowed_hosts=["example.com", host])


def test_the_mock_profile_is_for_the_double():
    """It pretends, so no real engine may stand behind it."""
    with pytest.raises(ValueError, match="--profile mock"):
        create_app({"echo": EchoEngine(), "other": Counted()}, profile="mock")


def test_unknown_options_are_refused():
    """As any function refuses them."""
    with pytest.raises(TypeError, match="keep_alife"):
        create_app(Counted(), keep_alife=1)


def test_options_are_what_the_design_says():
    """Two seconds for the first event, a comment every fifteen."""
    options = ServerOptions()
    assert (options.first_event_hold, options.keep_alive, options.breath) == (2, 15, 0.01)
    assert options.max_body_bytes == 32 * 1024 * 1024
