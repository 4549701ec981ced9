"""What becomes of each parameter: honoured, handed on and named, or refused; never ignored in silence."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from duologue.engine import DELEGATED, Text
from duologue.protocol.checks import PARAMETERS
from duologue.run import run_server
from duologue.server.support import INERT, SERVED
from support.parameters import ASKING
from support.raw import HI, ask

DEFAULTS: dict[str, Any] = {
    "frequency_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "presence_penalty": 0.0,
    "reasoning_effort": "medium",
    "response_format": {"type": "text"},
    "stop": None,
    "store": False,
    "temperature": 1,
    "function_call": "none",
    "parallel_tool_calls": True,
    "service_tier": "auto",
    "tool_choice": "none",
    "tools": [],
    "top_p": 1.0,
    "verbosity": "medium",
}


class Bare:
    """An engine that declares nothing."""

    models = ("m",)
    supports: dict[str, Any] = {}

    async def generate(self, request) -> AsyncIterator[Any]:
        yield Text(f"n={request.n} stop={request.stops} temperature={request.temperature}")


class Able(Bare):
    supports = {"stop": "native", "temperature": "delegated", "user": "unsupported"}


def shout(request):
    return request.messages[-1].text.upper()


@pytest.fixture(scope="module")
def strict():
    with run_server(Bare()) as url:
        yield url


@pytest.fixture(scope="module")
def lenient():
    with run_server(Bare(), profile="lenient") as url:
        yield url


@pytest.fixture(scope="module")
def function():
    with run_server(shout) as url:
        yield url


def test_the_tables_above_miss_no_parameter():
    """Those that the server itself sees to are tested as streams."""
    assert set(ASKING) | SERVED == set(PARAMETERS)


@pytest.mark.parametrize("name", sorted(set(ASKING) - INERT))
def test_what_an_engine_does_not_declare_is_refused(strict, name):
    """With a 400 that names the parameter, or one that stands beside it."""
    response = ask(strict, **ASKING[name])
    assert response.status == 400
    assert response.error["code"] == "unsupported_parameter"
    assert response.error["param"] in ASKING[name]
    assert f"'{response.error['param']}' is not supported by the model 'm'" in response.error["message"]


@pytest.mark.parametrize("name", sorted(INERT))
def test_what_has_no_effect_by_nature_is_taken(strict, name):
    """Labels and advice."""
    response = ask(strict, **ASKING[name])
    assert response.status == 200
    assert "duologue-ignored-params" not in response.headers


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_is_never_refused(strict, name):
    """To say what is so anyway asks for nothing."""
    assert ask(strict, **{name: DEFAULTS[name]}).status == 200


def test_null_is_the_same_as_leaving_out(strict):
    """For every parameter that may be left out."""
    assert ask(strict, **dict.fromkeys(ASKING)).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_is_handed_what_it_alone_can_know(function, stream):
    """The answer's header names what nobody but its author can vouch for."""
    asked = {name: value for each in DELEGATED for name, value in ASKING[each].items()}
    response = ask(function, model="shout", stream=stream, **asked)
    assert response.status == 200
    assert response.headers["duologue-delegated-params"].split(", ") == sorted(DELEGATED)


@pytest.mark.parametrize("name", ["tools", "functions", "logprobs", "prediction", "modalities"])
def test_a_function_is_not_handed_what_the_protocol_defines(function, name):
    """A function that does not know of them would ignore them, and no server can do them in its stead."""
    response = ask(function, model="shout", **ASKING[name])
    assert response.status == 400
    assert response.error["param"] in ASKING[name]


def test_an_engine_says_what_it_can():
    """What is native or delegated passes; even what is inert by nature may be refused."""
    with run_server(Able()) as url:
        response = ask(url, stop="x", temperature=0.5)
        assert response.json["choices"][0]["message"]["content"] == "n=None stop=('x',) temperature=0.5"
        assert response.headers["duologue-delegated-params"] == "temperature"
        assert ask(url, user="x").error["param"] == "user"


@pytest.mark.parametrize("padded", [True, False, None])
def test_a_stream_is_padded_if_that_is_asked_for(strict, padded):
    """Whatever the engine is, with other characters each time."""
    asked = {"stream": True, "stream_options": {"include_obfuscation": padded}}
    bodies = [ask(strict, **asked).body for _ in range(2)]
    paddings = [re.findall(rb'"obfuscation":"([\w-]*)"', body) for body in bodies]
    assert [body.count(b"data: {") for body in bodies] == [3, 3]
    assert [len(found) for found in paddings] == ([3, 3] if padded else [0, 0])
    assert paddings[0] != paddings[1] or not padded


@pytest.mark.parametrize("stream", [False, True])
def test_the_tier_that_was_used_is_told(strict, stream):
    """There is one, whichever was asked for; who asks for none is told of none."""
    assert b'"service_tier":"default"' in ask(strict, service_tier="flex", stream=stream).body
    assert b"service_tier" not in ask(strict, stream=stream).body


@pytest.mark.parametrize("stream", [False, True])
def test_lenient_names_what_it_dropped(lenient, stream):
    """Unknown, wrong and unsupported alike; the engine sees none of them."""
    message = {**HI, "mood": 1}
    asked = {"messages": [message], "mood": 1, "temperature": 9, "n": 3, "stop": ["a"], "top_logprobs": 1}
    response = ask(lenient, model="whatever", stream=stream, **asked)
    assert response.status == 200
    dropped = "temperature, top_logprobs, n, stop, mood, messages[0].mood"
    assert response.headers["duologue-ignored-params"] == dropped
    assert b"n=None stop=() temperature=None" in response.body


def test_a_header_cannot_be_broken_by_a_name(lenient):
    """Names are what the client chose: they are kept printable, on one line, and short."""
    response = ask(lenient, **{"x\r\nset-cookie: a=b": 1, "ü": 1, "y" * 2000: 1})
    assert response.status == 200
    assert "set-cookie" not in response.headers
    assert response.headers["duologue-ignored-params"].startswith("x??set-cookie: a=b, ?, yyy")
    assert len(response.headers["duologue-ignored-params"]) <= 512


def test_no_flood_of_names_hides_a_parameter(lenient):
    """Parameters come first, and what has no room is counted."""
    response = ask(lenient, **{f"unknown_{at:03}": 1 for at in range(100)}, temperature=9, top_logprobs=1)
    names = response.headers["duologue-ignored-params"].split(", ")
    assert names[:3] == ["temperature", "top_logprobs", "unknown_000"]
    assert names[-1] == f"and {100 - (len(names) - 3)} more"


def test_strict_knows_its_models_and_lenient_takes_any(strict, lenient):
    """The error lists those there are."""
    response = ask(strict, model="gpt-9")
    assert (response.status, response.error["param"], response.error["code"]) == (
        404,
        "model",
        "model_not_found",
    )
    assert "This server has: m." in response.error["message"]
    assert ask(lenient, model="gpt-9").json["model"] == "gpt-9"


def test_the_body_is_checked_first(strict):
    """A wrong type is told as such, also of a parameter that is not supported."""
    assert ask(strict, stop=5).error["code"] == "invalid_type"
    assert ask(strict, messages=[HI, {"role": "x"}]).error["param"] == "messages[1].role"
