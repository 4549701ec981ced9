"""The streams that tests read: the project's own, and recorded ones where they stand beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from duologue.protocol.dialect import Asked

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "tests" / "data" / "streams"
RECORDED = ROOT / ".." / "shared" / "recordings"


class Stream(NamedTuple):
    """A body, and what a reading of its lines with nothing but `split` and `json` finds in it."""

    body: bytes
    ends: list[int]  # where each event ends
    events: list[bytes]  # the data of each
    values: list[dict[str, Any]]  # the JSON of each but [DONE]
    n: int
    name: str

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [value for value in self.values if "error" not in value]

    @property
    def asked(self) -> Asked:
        """What the request must have said for this stream to be its answer."""
        forced = {"type": "function", "function": {"name": "find_train"}} if "forced" in self.name else None
        usage = any(value.get("usage") for value in self.values)
        return Asked(self.n, include_usage=usage, tool_choice=forced)


def read(path: Path) -> Stream:
    body = path.read_bytes()
    ends: list[int] = []
    events: list[bytes] = []
    at = 0
    for block in body.split(b"\n\n")[:-1]:
        at += len(block) + 2
        if block.startswith(b"data: "):
            ends.append(at)
            events.append(block[6:])
    values = [json.loads(data) for data in events if data != b"[DONE]"]
    indexes = [choice["index"] for value in values for choice in value.get("choices", ())]
    return Stream(body, ends, events, values, max(indexes) + 1, path.stem)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stream" not in metafunc.fixturenames:
        return
    params = [pytest.param(read(path), id=path.stem) for path in sorted(OWN.glob("*.sse"))]
    recorded = [
        pytest.param(read(path), id=f"recorded-{path.stem}") for path in sorted(RECORDED.glob("*.sse"))
    ]
    absent = pytest.param(None, id="recorded", marks=pytest.mark.skip("no recordings beside this checkout"))
    metafunc.parametrize("stream", [*params, *(recorded or [absent])])
