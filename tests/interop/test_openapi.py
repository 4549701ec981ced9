"""Schemathesis against a running server, by the server's own document: right requests and wrong ones.

`OPENAPI_EXAMPLES` is how many requests of each kind are made to `POST /chat/completions` (default 25).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from duologue.engine import EMULATED
from duologue.run import run_server
from duologue.types.chat.request import ChatRequest
from support.parameters import ASKING

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "25"))
PROFILES = ("strict", "lenient", "mock")

load_all_checks()
# It knows no rule beyond the schema: `judge` says instead what else a right request may be refused for.
NOT_HERE = [CHECKS.get_one("positive_data_acceptance")]


class Whole:
    """Takes all there is."""

    models = ("whole",)
    supports: dict[str, Any] = dict.fromkeys(ASKING, "native")

    async def generate(self, request):
        yield "{"
        yield "}"


class Emulated(Whole):
    """Leaves to the server what the server can do."""

    models = ("emulated",)
    supports: dict[str, Any] = dict.fromkeys(("tools", *ASKING), "delegated") | dict.fromkeys(
        EMULATED, "emulated"
    )


def function(request):
    return "{}"


SERVED: dict[str, Any] = {"function": function, "whole": Whole(), "org/emulated": Emulated()}


@pytest.fixture(scope="module", params=PROFILES)
def server(request) -> Iterator[tuple[str, str]]:
    """A server of each profile: the profile and the URL."""
    with run_server(SERVED, profile=request.param) as url:
        yield request.param, url


def operations(url: str) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


def judge(case: Any, url: str) -> tuple[int, str]:
    """Send one request, hold the answer against the document; its status and its type or error code."""
    response = case.call(base_url=url)
    case.validate_response(response, excluded_checks=NOT_HERE)
    if response.status_code < 400:
        return response.status_code, response.headers["content-type"][0].partition(";")[0]
    return response.status_code, response.json()["error"]["code"]


def run(strategy: Any, examples: int, check: Any) -> None:
    limits = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    limits(given(strategy, st.booleans())(check))()


def test_right_requests_are_answered(server):
    """Or refused by a rule that no schema can say; streams and whole answers are what the document says."""
    profile, url = server
    seen: Counter[tuple[int, str]] = Counter()

    def check(case, stream):
        if isinstance(case.body, dict) and "messages" in case.body:
            case.body["stream"] = stream
            if not stream:
                case.body.pop("stream_options", None)
        outcome = judge(case, url)
        seen[outcome] += 1
        if outcome[0] == 400:
            assert outcome[1] != "unsupported_parameter"
            if profile == "strict":
                msgspec.convert(case.body, ChatRequest)  # its types are right

    for operation in operations(url):
        examples = EXAMPLES if operation.path == "/chat/completions" else 3
        run(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), examples, check)
    assert seen[200, "application/json"] > EXAMPLES / 5
    assert seen[200, "text/event-stream"] > EXAMPLES / 5
    assert {status for status, _ in seen} <= {200, 400, 502}


def test_wrong_requests_are_refused(server):
    """In the one shape of errors, and none of them by a failure of the server."""
    _, url = server
    seen: Counter[tuple[int, str]] = Counter()

    def check(case, _):
        outcome = judge(case, url)
        seen[outcome] += 1

    for operation in operations(url):
        if operation.body or operation.path == "/models/{model}":
            examples = EXAMPLES if operation.path == "/chat/completions" else 3
            run(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), examples, check)
    assert seen.total() >= EXAMPLES
    assert {status for status, _ in seen} <= {400, 404}
