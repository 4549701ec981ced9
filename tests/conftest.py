"""Options by which the same tests run on another event loop, or over another transport: see `make loops`."""

from __future__ import annotations

import asyncio
import warnings

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("duologue")
    group.addoption("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the event loop")
    group.addoption(
        "--over",
        choices=("own", "httpx2"),
        default="own",
        help="what carries the requests of the tests that hold for both clients",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("loop") == "uvloop":
        import uvloop

        with warnings.catch_warnings():  # the only way that reaches every `asyncio.run` of a test
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
