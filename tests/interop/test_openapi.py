"""Schemathesis against a running server, by the server's own document: right requests and wrong ones.

`OPENAPI_EXAMPLES` is how many requests of each kind are made to `POST /chat/completions` (default 8).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from duologue.engines.echo import EchoEngine
from duologue.protocol.combinations import RULES
from duologue.run import run_server
from support.parameters import ASKING
from support.raw import HI

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "8"))
CHAT = "/chat/completions"

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


def function(request):
    return "{}"


# Of each profile; mock is lenient, and has more routes.
SERVED: dict[Any, Any] = {
    "strict": {"function": function, "org/whole": Whole()},
    "lenient": {"org/whole": Whole(), "function": function},
    "mock": EchoEngine(),
}


@pytest.fixture(scope="module", params=SERVED)
def server(request) -> Iterator[str]:
    """The URL of a server of each profile."""
    with run_server(SERVED[request.param], profile=request.param) as url:
        yield url


def operations(url: str) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


def judge(case: Any, url: str) -> tuple[int, str]:
    """Send one request, hold the answer against the document; its status, and its media type or its message."""
    response = case.call(base_url=url)
    case.validate_response(response, excluded_checks=NOT_HERE)
    if response.status_code < 400:
        return response.status_code, response.headers["content-type"][0].partition(";")[0]
    return response.status_code, response.json()["error"]["message"]


def run(strategy: Any, examples: int, check: Any) -> None:
    limits = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    limits(given(strategy)(check))()


def examples_for(operation: Any) -> int:
    return EXAMPLES if operation.path == CHAT else 3


# What a right request may be refused for: a rule that no schema can say, a schema that cannot be followed, or
# content that the echo engine does not repeat.
REFUSALS = [re.sub(r"\\\{\d\\\}", ".*", re.escape(rule.text)) for rule in RULES] + [
    "'response_format.*",
    ".* this model takes text only.*",
]


def test_right_requests_are_answered(server):
    """Or refused by a rule that is more than a schema can say; streams are what the document says, too."""
    seen: Counter[tuple[int, str]] = Counter()

    def check(case):
        seen[judge(case, server)] += 1

    def stream(case):
        # Random conversations break rules; the other parameters shall be seen at work, too.
        case.body |= {"stream": True, "messages": [HI]}
        check(case)

    for operation in operations(server):
        run(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), examples_for(operation), check)
        if operation.path == CHAT and operation.method == "post":
            run(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), EXAMPLES, stream)
    assert seen[200, "application/json"]
    assert seen[200, "text/event-stream"] > EXAMPLES / 4
    for status, said in seen:
        assert status == 200 or any(re.fullmatch(text, said, re.DOTALL) for text in REFUSALS), said


def test_wrong_requests_are_refused(server):
    """In the one shape of errors, and none of them by a failure of the server."""
    seen: Counter[tuple[int, str]] = Counter()

    def check(case):
        seen[judge(case, server)] += 1

    for operation in operations(server):
        if operation.body or operation.path == "/models/{model}":
            run(
                operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), examples_for(operation), check
            )
    assert seen.total() >= EXAMPLES
    assert {status for status, _ in seen} <= {400, 404}
