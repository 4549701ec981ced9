"""Every parameter has its effect on local models, and the page of the reference says which."""

from __future__ import annotations

import openai
import pytest

from duologue.protocol.checks import PARAMETERS
from effects.accepted import INERT
from effects.chat import Chat, Row
from effects.page import PAGE, ROWS, Table, rows_of


def named(row: Row) -> str:
    return f"{row.parameter}, {row.asked}"


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_parameter_has_its_effect(row: Row, chat: Chat, table: Table) -> None:
    """With the embedded model, with one of another architecture, and with that on another backend."""
    table.add(row, chat.model, row.observe(chat))


# What no row can tell from a server that never hears of it: it has no effect, or nothing works without it.
UNHEARD = {*INERT, "messages"}


@pytest.mark.parametrize("chat", ["pocket", "qwen3"], indirect=True, scope="session")
@pytest.mark.parametrize("row", [row for row in ROWS if row.parameter not in UNHEARD], ids=named)
def test_a_row_fails_where_its_parameter_is_ignored(row: Row, chat: Chat) -> None:
    with pytest.raises((AssertionError, AttributeError, TypeError, ValueError, openai.APIStatusError)):
        row.observe(chat.ignoring(row.parameter))


def test_every_parameter_has_a_row() -> None:
    assert {row.parameter for row in ROWS} == set(PARAMETERS)


def test_the_page_has_every_row(request: pytest.FixtureRequest) -> None:
    """Written by `pytest tests/effects --write-effects`."""
    if request.config.getoption("write_effects", default=False):
        pytest.skip("the page is being written")
    assert rows_of(PAGE.read_text("utf-8")) == [(row.parameter, row.asked) for row in ROWS]
