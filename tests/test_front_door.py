"""What `import duologue` gives, and what it costs."""

from __future__ import annotations

import statistics
import subprocess
import sys

import pytest

import duologue

# Design: an eighth of openai's time. The machine of a test run may be busy, so the test allows three eighths.
IMPORT_RATIO = 3 / 8


def seconds(code: str) -> float:
    timed = f"import time; begun = time.perf_counter(); {code}; print(time.perf_counter() - begun)"
    return float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True).stdout)


def test_importing_and_building_a_client_is_cheap() -> None:
    """Import and a client cost a small part of what they cost in openai-python; measured in turn."""
    ours = "import duologue; duologue.Client(api_key='x')"
    theirs = "import openai; openai.OpenAI(api_key='x')"
    seconds(ours), seconds(theirs)  # the first run of each fills the caches of the disk
    ratios = [seconds(ours) / seconds(theirs) for _ in range(5)]
    assert statistics.median(ratios) < IMPORT_RATIO


def test_importing_brings_in_nothing_heavy() -> None:
    """No event loop, no HTTP, no TLS, no server before somebody needs them."""
    code = "import sys, duologue; duologue.Client(api_key='x'); print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
    )
    heavy = {"asyncio", "aiohttp", "http.client", "ssl", "uvicorn", "numpy", "jinja2", "click", "pydantic"}
    assert not loaded & heavy


def test_every_public_name_is_there() -> None:
    """`__all__` and the names that can be had are the same."""
    for name in duologue.__all__:
        assert getattr(duologue, name) is not None
    assert set(duologue.__all__) <= set(dir(duologue))


def test_the_familiar_names_are_ours() -> None:
    """Changing the import line moves a program over from openai-python."""
    assert duologue.OpenAI is duologue.Client
    assert duologue.AsyncOpenAI is duologue.AsyncClient
    assert duologue.OpenAIError is duologue.DuologueError


@pytest.mark.parametrize(
    "name",
    [
        "APIConnectionError",
        "APIStatusError",
        "APITimeoutError",
        "BadRequestError",
        "NotFoundError",
        "RateLimitError",
        "AuthenticationError",
        "PermissionDeniedError",
        "ConflictError",
        "UnprocessableEntityError",
        "InternalServerError",
        "APIError",
        "APIResponseValidationError",
        "Timeout",
    ],
)
def test_openai_python_has_it_under_the_same_name(name: str) -> None:
    """The names that programs catch and pass."""
    assert hasattr(duologue, name)
