"""The rules that tie the parts of a request to one another: what each refuses, and what it lets pass."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from duologue.protocol.checks import PARAMETERS, decode_request
from duologue.protocol.combinations import RULES
from duologue.protocol.errors import BadRequestError
from support.combinations import BROKEN, HI, TAKEN, F


def body(fields: dict[str, Any]) -> bytes:
    return json.dumps({"model": "m", "messages": [HI], **fields}).encode()


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_go_together_is_refused(case):
    """The error names the exact place, and what would be right."""
    fields, param, code, words = BROKEN[case]
    with pytest.raises(BadRequestError) as caught:
        decode_request(body(fields))
    error = caught.value
    assert (error.param, error.code, error.status_code) == (param, code, 400)
    assert words in error.message
    assert error.message.startswith(f"'{param}'")
    assert error.message.endswith(".")


@pytest.mark.parametrize("case", BROKEN)
def test_lenient_drops_one_of_them(case):
    """What it drops is named; only of messages nothing can be dropped."""
    fields, param, code, _ = BROKEN[case]
    name = re.split(r"[.\[]", param)[0]
    if name == "messages":
        with pytest.raises(BadRequestError) as caught:
            decode_request(body(fields), lenient=True)
        assert (caught.value.param, caught.value.code) == (param, code)
        return
    request, dropped = decode_request(body(fields), lenient=True)
    assert dropped[0] == name
    assert all(getattr(request, each) is None for each in dropped)


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_not_said_to_be_wrong_is_taken(case):
    """In silence: nothing is dropped."""
    assert decode_request(body(TAKEN[case]))[1] == []


def test_every_rule_is_tested():
    """By a request that breaks it first, and each is of a parameter."""
    said = []
    for fields, *_ in BROKEN.values():
        with pytest.raises(BadRequestError) as caught:
            decode_request(body(fields))
        said.append(caught.value.message)
    for rule in RULES:
        words = re.sub(r"\\\{\d\\\}", ".*", re.escape(rule.text))
        assert any(re.fullmatch(words, message) for message in said), rule.text
        assert rule.parameter in PARAMETERS


def test_what_a_client_chose_is_repeated_in_part():
    """A name of megabytes does not come back whole, nor does one with braces lead the wording astray."""
    with pytest.raises(BadRequestError) as caught:
        decode_request(body({"logit_bias": {"{0}" * 100_000: 1}}))
    assert len(caught.value.message) < 300
    with pytest.raises(BadRequestError) as caught:
        decode_request(
            body({"tool_choice": {"type": "function", "function": {"name": "{9}" * 999}}, "tools": [F]})
        )
    assert len(caught.value.message) < 300
    assert "{9}{9}" in caught.value.message
