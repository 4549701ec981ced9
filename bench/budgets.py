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

# The server beside an app without a framework: what is asked of it, and the limit with 50 streams at once.
APP = "bare ASGI app"
SERVER = {
    "plain generator": 1.25,
    "two stops": 1.75,
    "a stop that holds each piece back": 1.75,
    "a token limit": 1.75,
    "a schema": 1.75,
    "n=4": 1.25,
}
FEW_AND_MANY = ("1 stream", "1000 streams")
LOADS = ("1 stream", "10 streams", "100 streams", "1000 streams", "short answers")

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
    *(Budget(f"server, {asked}", APP, limit) for asked, limit in SERVER.items()),
    *(Budget(f"server, {asked}, {at_once}", APP, None) for at_once in FEW_AND_MANY for asked in SERVER),
    *(Budget(f"servers, {load}, CPU", APP, None) for load in LOADS),
    Budget("accumulate, 1000000 chunks, CPU", SHORTEST, 1.1),
    Budget("accumulate, structured, 1000000 chunks, CPU", SHORTEST, 1.1),
    Budget("accumulate=False, 1000000 chunks, CPU", SHORTEST, 1.1),
    Budget("accumulate=False, 1000000 chunks, memory grown", SHORTEST, 0.5, "difference", "MiB"),
)


# Limits that hold beside those: what a change must not make worse unseen. Each is wide of what was measured.
OWN = (
    Budget("load, 1000 streams of 100 chunks", APP, 12, "difference", "KiB"),
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
