"""How the pages of the reference that tests keep are written."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-parameters", action="store_true", help="write docs/reference/parameters.md")
