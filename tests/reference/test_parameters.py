"""The page of the parameters says what the server does."""

from __future__ import annotations

import re

import pytest

from duologue.protocol import wording
from duologue.protocol.checks import PARAMETERS
from duologue.protocol.combinations import RULES
from reference.page import PAGE, page


def test_the_page_is_made_of_the_tables(request: pytest.FixtureRequest) -> None:
    """Written by `pytest tests/reference --write-parameters`."""
    if request.config.getoption("write_parameters", default=False):
        PAGE.write_text(page(), "utf-8")
    assert PAGE.read_text("utf-8") == page()


def test_the_page_has_every_parameter_rule_and_code() -> None:
    """Each parameter has its row, each rule a request that breaks it, each code its meaning."""
    text = page()
    assert re.findall(r"^\| `(\w+)` \| ", text.partition("## What becomes")[0], re.MULTILINE) == list(
        PARAMETERS
    )
    rows = re.findall(r"^\| `(\w+)` \| .* \|$", text.partition("## What does not go")[2], re.MULTILINE)
    assert rows == [rule.parameter for rule in RULES]
    codes = {rule.code for rule in RULES} | set(wording._CODES.values())
    explained = text.partition("## Codes")[2].partition("##")[0]
    assert [code for code in sorted(codes) if f"`{code}`" not in explained] == []
