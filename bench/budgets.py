"""The budgets: what is judged, in the order of the page; and limits that hold beside them."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["BUDGETS", "OWN", "SHORTEST", "Budget", "By", "by", "limits"]

By = Literal["ratio", "difference"]


class Budget(NamedTuple):
    """A limit on what is ours beside a peer's, in the comparison of that title.

    By `ratio`, ours is at most `limit` times the peer's; by `difference`, at most `limit` more, in its
    `unit`. A limit of None is only reported.
    """

    title: str
    peer: str
    limit: float | None
    by: By = "ratio"
    unit: str = ""


# The contestant that longer streams are compared with.
SHORTEST = "duologue, 1000 chunks"

BUDGETS = (
    Budget("start, CPU", "openai", 1 / 8),
    Budget("start, time", "openai", 1 / 8),
    Budget("start to the first answer, sync, time", "openai", None),
    Budget("start to the first answer, async, time", "openai", None),
    Budget("decode, known fields", "openai", 1 / 40),
    Budget("decode, known fields", "msgspec alone", None),
    Budget("decode, unknown fields", "openai", 1 / 12),
    Budget("decode, unknown fields", "msgspec alone", None),
    Budget("decode, a role in each delta", "openai", None),
    Budget("decode, usage in each chunk", "openai", None),
    Budget("decode, a clock in created", "openai", None),
    Budget("decode, OpenRouter's form", "openai", None),
    Budget("client, async, 100 paced streams, CPU", "openai", 1 / 5),
    Budget("client, async, 100 paced streams, CPU", "openai-node", 1),
    Budget("client, uvloop, 100 paced streams, CPU", "openai", 1 / 8),
    Budget("client, uvloop, 100 paced streams, CPU", "openai-node", 1),
    Budget("client, async, 20 unpaced streams, CPU", "openai", 1 / 10),
    Budget("client, async, 20 unpaced streams, CPU", "openai-node", 1),
    Budget("client, uvloop, 20 unpaced streams, CPU", "openai", 1 / 10),
    Budget("client, uvloop, 20 unpaced streams, CPU", "openai-node", 1),
    Budget("client, uvloop, 1 paced stream, CPU", "openai", None),
    Budget("client, uvloop, 300 paced streams, CPU", "openai", None),
    Budget("client, async, 100 paced streams, first chunk", "raw socket", 2, "difference", "ms"),
    Budget("first chunk", "raw socket", 2, "difference", "ms"),
    Budget("client, sync, 50 paced threads, CPU", "openai", 1 / 4),
    Budget("client, sync, 1 unpaced stream, CPU", "openai", 1 / 10),
    Budget("server, plain generator", "bare ASGI app", 1.25),
    Budget("server, two stops", "bare ASGI app", 1.75),
    Budget("server, a stop that holds each piece back", "bare ASGI app", 1.75),
    Budget("server, a token limit", "bare ASGI app", 1.75),
    Budget("server, a schema", "bare ASGI app", 1.75),
    Budget("server, n=4", "bare ASGI app", 1.25),
    Budget("server, plain generator, 1 stream", "bare ASGI app", None),
    Budget("server, two stops, 1 stream", "bare ASGI app", None),
    Budget("server, a stop that holds each piece back, 1 stream", "bare ASGI app", None),
    Budget("server, a token limit, 1 stream", "bare ASGI app", None),
    Budget("server, a schema, 1 stream", "bare ASGI app", None),
    Budget("server, n=4, 1 stream", "bare ASGI app", None),
    Budget("server, plain generator, 1000 streams", "bare ASGI app", None),
    Budget("server, two stops, 1000 streams", "bare ASGI app", None),
    Budget("server, a stop that holds each piece back, 1000 streams", "bare ASGI app", None),
    Budget("server, a token limit, 1000 streams", "bare ASGI app", None),
    Budget("server, a schema, 1000 streams", "bare ASGI app", None),
    Budget("server, n=4, 1000 streams", "bare ASGI app", None),
    Budget("servers, 1 stream, CPU", "bare ASGI app", None),
    Budget("servers, 10 streams, CPU", "bare ASGI app", None),
    Budget("servers, 100 streams, CPU", "bare ASGI app", None),
    Budget("servers, 1000 streams, CPU", "bare ASGI app", None),
    Budget("servers, short answers, CPU", "bare ASGI app", None),
    Budget("accumulate, 1000000 chunks, CPU", SHORTEST, 1.1),
    Budget("accumulate, structured, 1000000 chunks, CPU", SHORTEST, 1.1),
    Budget("accumulate=False, 1000000 chunks, CPU", SHORTEST, 1.1),
    Budget("accumulate=False, 1000000 chunks, memory grown", SHORTEST, 0.5, "difference", "MiB"),
)


# Limits that hold beside those: what a change must not make worse unseen. Each is wide of what was measured.
OWN = (
    Budget("load, 1000 streams of 100 chunks", "bare ASGI app", 12, "difference", "KiB"),
    Budget("load, 1000 streams of 100 chunks, generator", "on the event loop", 10),
    Budget("pocket, first token", "xllamacpp's server", 1.25),
    Budget("pocket, one stream", "xllamacpp's server", 1.25),
    Budget("pocket, 8 streams", "xllamacpp's server", 1.25),
    Budget("pocket made heavier, first token", "xllamacpp's server", 1.25),
    Budget("pocket made heavier, one stream", "xllamacpp's server", 1.25),
    Budget("pocket made heavier, 8 streams", "xllamacpp's server", 1.25),
)


def limits(title: str) -> dict[str, float | None]:
    """The limit beside each peer in the comparison of that title."""
    return {budget.peer: budget.limit for budget in (*BUDGETS, *OWN) if budget.title == title}


def by(title: str) -> By:
    """How the comparison of that title is judged."""
    return next((budget.by for budget in (*BUDGETS, *OWN) if budget.title == title), "ratio")
