"""Several engines as the models of one endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.run import run_server
from duologue.server import create_app
from support.raw import ask


class Parrot:
    """Has two models of its own."""

    models = ("parrot", "parrot-loud")
    supports: dict[str, Any] = {"seed": "native", "logprobs": "native"}

    async def generate(self, request):
        yield f"parrot says {request.model}"


def agent(request):
    return f"agent says {request.model}"


ENGINES: dict[str, Any] = {"org/small": agent, "bird": Parrot(), "parrot-loud": Parrot()}


@pytest.fixture(scope="module", params=["strict", "lenient"])
def server(request):
    with run_server(ENGINES, profile=request.param) as url:
        yield request.param, url


def said(url: str, model: str, **fields: Any) -> tuple[str, str]:
    body = ask(url, model=model, **fields).json
    return body["model"], body["choices"][0]["message"]["content"]


def test_all_are_listed_in_their_order(server):
    """The first is the default one."""
    _, url = server
    assert [model["id"] for model in ask(url, "/models", method="GET").json["data"]] == list(ENGINES)
    for name in ENGINES:
        assert ask(url, f"/models/{name}", method="GET").json["id"] == name
    assert ask(url, "/models/agent", method="GET").status == 404


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("org/small", "agent says agent"),
        ("bird", "parrot says parrot"),
        ("parrot-loud", "parrot says parrot-loud"),
    ],
)
def test_a_request_goes_to_the_engine_of_its_model(server, model, text):
    """The answer has the name that was asked for, the engine hears its own."""
    _, url = server
    assert said(url, model) == (model, text)


def test_a_name_that_nobody_answers_to(server):
    """Strict, the error lists who is there; lenient, the first one answers."""
    profile, url = server
    response = ask(url, model="parrot")
    if profile == "lenient":
        assert said(url, "parrot") == ("parrot", "agent says agent")
    else:
        assert (response.status, response.error["code"], response.error["param"]) == (
            404,
            "model_not_found",
            "model",
        )
        assert "org/small, bird, parrot-loud" in response.error["message"]


def test_each_supports_what_it_supports(server):
    """A parameter is looked at by the engine that is asked, and named with the model that was asked for."""
    profile, url = server
    assert ask(url, model="bird", logprobs=True).status == 200
    response = ask(url, model="org/small", logprobs=True)
    if profile == "lenient":
        assert response.headers["duologue-ignored-params"] == "logprobs"
    else:
        assert response.error["message"].startswith(
            "Unsupported parameter: 'logprobs' is not supported by the model 'org/small'"
        )


class Nobody(Parrot):
    models = ()


class Letters(Parrot):
    models = "parrot"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param({}, "the mapping of models is empty", id="nothing"),
        pytest.param({"": agent}, "must be a string that is not empty", id="no-name"),
        pytest.param({1: agent}, "must be a string that is not empty", id="number"),
        pytest.param(Nobody(), r"Nobody.models is \(\): it must list the ids", id="no-models"),
        pytest.param(Letters(), r"Letters.models is 'parrot': it must list the ids", id="letters"),
        pytest.param({"a": Nobody()}, r"Nobody.models is \(\)", id="named-no-models"),
    ],
)
def test_what_cannot_be_served_is_said(target, message):
    """When the app is made."""
    with pytest.raises(ValueError, match=message):
        create_app(target)


@pytest.mark.parametrize("target", [3, {"a": 3}, "echo", {"a": "echo"}])
def test_what_is_no_engine_is_said(target):
    """An app is made of engines and functions; names are for `serve` and `run_server`."""
    with pytest.raises(TypeError, match="cannot be served"):
        create_app(target)
