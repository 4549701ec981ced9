"""The document at /openapi.json: valid, and exactly what is served."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, get_args

import jsonschema
import openapi_spec_validator
import pytest

from duologue.engine import (
    EMULATED,
    Finish,
    Reasoning,
    Refusal,
    Support,
    Text,
    ToolArguments,
    ToolCall,
    Usage,
)
from duologue.engines.echo import EchoEngine
from duologue.protocol.checks import PARAMETERS
from duologue.protocol.combinations import RULES
from duologue.run import run_server
from duologue.server import PROFILES, create_app
from duologue.server.openapi import document
from duologue.server.support import SERVED
from support.parameters import ASKING, TOOL
from support.raw import HI, ask

CHAT = "/chat/completions"


class Declaring:
    """An engine that supports what it is told to, and yields what its script says."""

    def __init__(
        self, supports: dict[str, Any], name: str = "m", script: tuple[Any, ...] = ("fine",)
    ) -> None:
        self.models = (name,)
        self.supports = supports
        self._script = script

    async def generate(self, request):
        for event in self._script:
            yield event


def answer(request):
    return "{}"


def validator(found: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    """What judges values by a component of a document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": found["components"]}
    return jsonschema.Draft202012Validator(schema)


def takes(found: dict[str, Any], **fields: Any) -> bool:
    """Whether the document says that a request with these fields is taken."""
    return validator(found, "ChatRequest").is_valid({"model": "m", "messages": [HI], **fields})


APPS: dict[str, Any] = {
    "function": lambda: create_app(answer),
    "key": lambda: create_app(answer, api_key="k"),
    "any-host": lambda: create_app(answer, allowed_hosts=["*"]),
    "several": lambda: create_app({"a": answer, "b": Declaring({"n": "native"}), "c/d": answer}),
    "lenient": lambda: create_app(answer, profile="lenient"),
    "mock": lambda: create_app(EchoEngine(), profile="mock"),
}


@pytest.mark.parametrize("name", APPS)
def test_it_is_a_valid_document(name):
    """By the judge of the OpenAPI Initiative's own schema, for every kind of app."""
    openapi_spec_validator.validate(document(APPS[name](), "/llm"))


def test_it_is_served():
    """As the app is mounted, and without pydantic."""
    with run_server(answer) as url:
        served = ask(url, "/openapi.json", method="GET")
        assert served.headers["content-type"] == "application/json"
        assert ask(url.removesuffix("/v1"), "/openapi.json", method="GET").json == served.json
    assert served.json["servers"] == [{"url": "/v1"}, {"url": "/"}]
    code = (
        "import sys; from duologue import create_app; from duologue.server.openapi import document\n"
        "document(create_app(lambda request: 'x')); print('pydantic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("root", "servers"),
    [("", ["/v1", "/"]), ("/llm", ["/llm/v1", "/llm"]), ("/llm/v1", ["/llm/v1", "/llm/v1/v1"])],
)
def test_its_servers_are_where_the_app_is_mounted(root, servers):
    """The first one has `/v1` in it, as base URLs do."""
    assert [server["url"] for server in document(create_app(answer), root)["servers"]] == servers


@pytest.mark.parametrize("profile", PROFILES)
def test_every_route_is_in_it_and_answers_as_it_says(profile):
    """And only what is there."""
    engine = EchoEngine() if profile == "mock" else answer
    with run_server({"answer": engine}, profile=profile) as url:
        found = ask(url, "/openapi.json", method="GET").json
        for path, item in found["paths"].items():
            for method, operation in item.items():
                place = path.replace("{model}", "answer").replace("{completion_id}", "x")
                response = ask(url, place, method=method.upper(), body=BODIES.get((method, path)))
                assert str(response.status) in operation["responses"], (method, path)
                assert response.status == 200
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
                validator(found, schema["$ref"].rpartition("/")[2]).validate(response.json)
    stored = {path for path in found["paths"] if "completion_id" in path}
    assert bool(stored) == (profile == "mock")
    assert set(found["paths"]) - stored == {CHAT, "/models", "/models/{model}", "/openapi.json", "/health"}


def test_fields_of_a_query_are_in_it():
    """Those that a list of stored completions is asked with."""
    paths = document(create_app(EchoEngine(), profile="mock"))["paths"]
    fields = {field["name"]: field for field in paths[CHAT]["get"]["parameters"]}
    assert fields.keys() == {"after", "limit", "order", "model", "metadata"}
    assert fields["metadata"]["style"] == "deepObject"
    assert {field["in"] for field in fields.values()} == {"query"}


BODIES = {
    ("post", CHAT): json.dumps({"model": "answer", "messages": [HI]}).encode(),
    ("post", "/chat/completions/{completion_id}"): b'{"metadata": {"a": "b"}}',
}


# --- the request ---------------------------------------------------------------------------------------


def test_all_parameters_are_in_it():
    """And each says what becomes of it."""
    for supports in ({}, dict.fromkeys(ASKING, "native"), dict.fromkeys(EMULATED, "emulated")):
        properties = document(create_app(Declaring(supports)))["components"]["schemas"]["ChatRequest"][
            "properties"
        ]
        assert set(properties) == set(PARAMETERS)
        assert all(properties[name]["description"] for name in set(PARAMETERS) - SERVED)


DECLARED = [
    (name, support) for support in get_args(Support) if support != "emulated" for name in sorted(ASKING)
]


@pytest.mark.parametrize(("name", "support"), [*DECLARED, *((name, "emulated") for name in EMULATED)])
def test_it_takes_what_the_server_takes(name, support):
    """Each parameter, whatever the engine declares it to be."""
    declared: dict[str, Any] = dict.fromkeys((*ASKING[name], "tools"), "native") | {name: support}
    if support == "emulated" and name.startswith("function"):
        declared |= dict.fromkeys(("functions", "function_call", "tool_choice"), "emulated")
    strict, lenient = (document(create_app(Declaring(declared), profile=p)) for p in ("strict", "lenient"))
    assert takes(strict, **ASKING[name]) == (support != "unsupported")
    assert takes(strict, **{name: None})
    assert takes(lenient, **ASKING[name])


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 2.5},
        {"temperature": "1"},
        {"n": 17},
        {"max_tokens": 0},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"metadata": {"k": "v" * 513}},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"messages": []},
        {"messages": [{"role": "nobody", "content": "Hi"}]},
        {"messages": [{**HI, "mood": "good"}]},
        {"messages": [{"role": "system", "content": [{"text": "a part without its type"}]}]},
        {"model": "other"},
        {"temprature": 1},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_it_does_not_take_is_refused(fields):
    """By the server, too."""
    engine = Declaring(dict.fromkeys(ASKING, "native") | {"n": "emulated"})
    assert not takes(document(create_app(engine)), **fields)
    with run_server(engine) as url:
        assert ask(url, **{"model": "m", **fields}).status in (400, 404)


@pytest.mark.parametrize("name", ["function_call", "tool_choice"])
def test_no_call_may_be_asked_for_where_nothing_can_be_called(name):
    """It is what is so anyway; the server takes it, and the document says so."""
    engine = Declaring({})
    found = document(create_app(engine))
    assert [takes(found, **{name: value}) for value in ("none", "auto", None)] == [True] * 3
    assert not takes(found, **{name: {"name": "f"}})
    with run_server(engine) as url:
        assert ask(url, **{name: "none"}).status == 200


def test_a_whole_number_is_an_integer():
    """JSON has one kind of number, and so has a schema."""
    engine = Declaring(dict.fromkeys(ASKING, "native"))
    fields = {"seed": 1.0, "n": 1.0, "logit_bias": {"7": 1.0}}
    assert takes(document(create_app(engine)), **fields)
    with run_server(engine) as url:
        assert ask(url, **fields).status == 200


def test_each_engine_has_a_schema_of_its_own():
    """Which of them counts is said by the model."""
    found = document(create_app({"a": Declaring({"seed": "native"}), "b": Declaring({})}))
    openapi_spec_validator.validate(found)
    assert takes(found, model="a", seed=1)
    assert not takes(found, model="b", seed=1)
    assert takes(found, model="b")
    assert not takes(found, model="c")


def test_rules_beyond_a_schema_are_said_in_words():
    """Those that tie one parameter to another."""
    said = document(create_app(answer))["paths"][CHAT]["post"]["description"]
    for rule in RULES:
        assert rule.text.format(rule.parameter, "…") in said


# --- the answer ----------------------------------------------------------------------------------------

SCRIPTS: dict[str, tuple[Any, ...]] = {
    "text": (Reasoning("Hm."), "Hel", Text("lo"), Usage(3, 4, cached_tokens=1)),
    "refusal": (Refusal("No."), Finish("content_filter")),
    "calls": (
        ToolCall("f"),
        ToolArguments("{}"),
        ToolCall("g", index=1, type="custom"),
        ToolArguments("x", index=1),
    ),
    "nothing": (),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_answers_are_what_it_says(script):
    """Whole, and event by event."""
    tools = [TOOL, {"type": "custom", "custom": {"name": "g"}}]
    engine = Declaring({"tools": "native"}, script=SCRIPTS[script])
    with run_server(engine) as url:
        found = ask(url, "/openapi.json", method="GET").json
        whole = ask(url, tools=tools).json
        stream = ask(url, tools=tools, stream=True, stream_options={"include_usage": True}).body
    validator(found, "ChatCompletion").validate(whole)
    item = found["paths"][CHAT]["post"]["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]
    chunks = validator(found, "ChatCompletionChunk")
    events = [line.removeprefix("data: ") for line in stream.decode().split("\n\n") if line]
    assert events.pop() == item["anyOf"][-1]["properties"]["data"]["const"] == "[DONE]"
    for event in events:
        chunks.validate(json.loads(event))


def test_errors_are_what_it_says():
    """As a status, and as an event of a stream."""

    async def failing(request):
        if request.stream:
            yield "begun"
        raise RuntimeError

    with run_server(failing) as url:
        found = ask(url, "/openapi.json", method="GET").json
        responses = found["paths"][CHAT]["post"]["responses"]
        errors = validator(found, "Error")
        for status, fields in ((500, {}), (404, {"model": "x"}), (400, {"logprobs": True})):
            refused = ask(url, **{"model": "failing", **fields})
            assert refused.status == status
            assert str(status) in responses
            errors.validate(refused.json)
        event = ask(url, model="failing", stream=True).body.decode().split("\n\n")[-3]
        errors.validate(json.loads(event.removeprefix("data: ")))


def test_a_key_is_a_security_scheme():
    """Of every route but that which answers anybody; without a key a Host may be refused."""
    keyed, keyless = document(create_app(answer, api_key="k")), document(create_app(answer))
    assert keyed["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    assert keyed["security"] == [{"key": []}]
    assert keyed["paths"]["/health"]["get"]["security"] == []
    assert keyless["components"]["securitySchemes"] == {}
    assert [
        {"401", "403"} & set(found["paths"][path]["get"]["responses"])
        for found in (keyed, keyless)
        for path in ("/models", "/health")
    ] == [{"401"}, set(), {"403"}, set()]


def test_it_is_not_for_anybody():
    """What a server with a key serves is told to who has the key."""
    with run_server(answer, api_key="k") as url:
        assert ask(url, "/openapi.json", method="GET").status == 401
        keyed = ask(url, "/openapi.json", method="GET", headers={"Authorization": "Bearer k"})
    assert keyed.status == 200
