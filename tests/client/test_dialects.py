"""Dialects through a client: what is repaired, told and refused, streamed or not; reasoning read and sent back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue import APIResponseValidationError, Client, DuologueError
from duologue.protocol import errors
from duologue.protocol.dialect import RULES
from support.dialects import ANSWERS, Answer, check_completion, check_error
from support.wire import COMPLETION, DONE, HI, WireServer, chunk, event, events, json_answer, sse

from .conftest import Driver

WHOLES = [answer for answer in ANSWERS if answer.name.endswith(".json")]
STREAMS = [
    answer
    for answer in ANSWERS
    if answer.name
    in ("id-changes.sse", "call-index-shared.sse", "arguments-object.sse", "error-unterminated.sse")
]

each_whole = pytest.mark.parametrize("answer", WHOLES, ids=[answer.name for answer in WHOLES])


def served(answer: Answer) -> WireServer:
    return WireServer(json_answer(answer.body, answer.row.get("status", 200)))


def asked(both: Driver, answer: Answer, **options: Any) -> Any:
    """The completion, or the error that was raised."""
    with served(answer) as server:
        try:
            return both.create(base_url=server.url, params=answer.request, **options)
        except DuologueError as error:
            return error


def rules(response: Any) -> list[str]:
    return [deviation.rule for deviation in response.deviations]


@each_whole
def test_what_an_answer_becomes(both: Driver, answer: Answer) -> None:
    """An answer that is not streamed is repaired and told of like a stream."""
    got = asked(both, answer)
    if "error" in answer.row:
        check_error(got, answer)
        assert rules(got.response) == answer.met
    else:
        check_completion(got, answer)
        assert rules(got._response) == answer.met
        if _is_strict(answer.body):
            assert got.wire.raw == answer.body


def _is_strict(data: bytes) -> bool:
    return b"NaN" not in data


@each_whole
def test_off_repairs_nothing(both: Driver, answer: Answer) -> None:
    """The object is what the bytes say."""
    got = asked(both, answer, dialect="off")
    if "off" in answer.row:
        assert type(got) is getattr(errors, answer.row["off"])
    elif "error" in answer.row:
        check_error(got, answer)
    else:
        assert rules(got._response) == answer.met
        if _is_strict(answer.body):
            assert got.to_dict() == json.loads(answer.body)


@each_whole
def test_strict_makes_an_error_of_what_the_protocol_forbids(both: Driver, answer: Answer) -> None:
    """The error has the bytes, and the completion where it can be read."""
    got = asked(both, answer, dialect="strict")
    if "error" in answer.row:
        check_error(got, answer)
    elif answer.forbidden:
        assert type(got) is APIResponseValidationError
        assert f": {answer.forbidden[0]} (event 0): " in str(got)
        assert got.raw == answer.body
        assert got.response.status_code == 200
        assert (got.completion is None) == ("off" in answer.row)
    else:
        assert rules(got._response) == answer.met


@pytest.mark.parametrize("answer", STREAMS, ids=[answer.name for answer in STREAMS])
def test_what_a_stream_becomes(both: Driver, answer: Answer) -> None:
    """The same as without a network between."""
    with WireServer(sse(answer.body)) as server:
        reading = both.read(base_url=server.url, params=answer.request)
    stream = reading.stream
    assert (stream.outcome, rules(stream)) == (answer.outcome, answer.met)
    check_completion(stream.completion, answer)
    if "error" in answer.row:
        check_error(reading.error, answer)


def test_a_stream_under_another_name_is_told(both: Driver) -> None:
    """Its bytes say what it is, so it is read all the same; a strict client refuses it."""
    answer = sse(events("Hello"), content_type="application/x-ndjson")
    with WireServer(answer) as server:
        reading = both.read(base_url=server.url)
    assert reading.text == "Hello"
    assert "media-type" in rules(reading.stream)
    with WireServer(answer) as server:
        reading = both.read(base_url=server.url, dialect="strict")
    assert type(reading.error) is APIResponseValidationError
    assert "media-type" in str(reading.error)
    assert reading.stream.outcome == "failed"


def test_the_result_of_a_stream_knows_its_deviations() -> None:
    """As a completion that was not streamed does."""
    body = event(chunk("Hello", finish="stop"))
    with WireServer(sse(body)) as server, Client(base_url=server.url, api_key="k") as client:
        whole = client.chat.completions.create(model="m", messages=[HI], stream=True).get_final_completion()
    assert rules(whole._response) == ["role-missing", "no-done"]


def test_a_dialect_for_one_request() -> None:
    """A copy of the client shares its connections."""
    body = event(chunk("Hel")) + event({**chunk("lo"), "id": "another"}) + event(chunk(finish="stop"))
    with WireServer(sse(body)) as server, Client(base_url=server.url, api_key="k") as client:

        def ids(asking: Client) -> list[str]:
            return [part.id for part in asking.chat.completions.create(model="m", messages=[HI], stream=True)]

        assert ids(client) == ["chatcmpl-1"] * 3
        assert ids(client.with_options(dialect="off")) == ["chatcmpl-1", "another", "chatcmpl-1"]
        with pytest.raises(APIResponseValidationError, match="id-changes"):
            ids(client.with_options(dialect="strict"))


def test_a_dialect_that_there_is_not() -> None:
    """It is told which there are."""
    with pytest.raises(DuologueError, match="dialect must be one of repair, strict, off"):
        Client(api_key="k", dialect="latin")  # type: ignore[arg-type]


REASONED = {
    **COMPLETION["choices"][0]["message"],
    "reasoning_content": "Hm",
    "reasoning_details": [{"text": "Hm"}],
}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        pytest.param({}, {}, id="usual"),
        pytest.param(
            {"send_reasoning": True},
            {"reasoning_content": "Hm", "reasoning_details": [{"text": "Hm"}]},
            id="demanded",
        ),
    ],
)
def test_reasoning_is_sent_back_where_it_is_demanded(both: Driver, options: Any, sent: Any) -> None:
    """Under the name it came with; servers that do not demand it refuse it, so it is no default."""
    reply = {**COMPLETION, "choices": [{**COMPLETION["choices"][0], "message": REASONED}]}
    with WireServer(json_answer(reply)) as server:
        message = both.create(base_url=server.url).choices[0].message
        assert message.reasoning_text == "Hm"
        both.create(base_url=server.url, params={"messages": [HI, message, HI]}, **options)
    assert server.asked[1].json["messages"][1] == {"role": "assistant", "content": "Hello there", **sent}


def test_every_rule_that_a_client_tells_has_words() -> None:
    """The text of a deviation is that of its rule."""
    body = event(chunk("Hello", finish="stop")) + DONE
    with WireServer(sse(body)) as server, Client(base_url=server.url, api_key="k") as client:
        stream = client.chat.completions.create(model="m", messages=[HI], stream=True)
        list(stream)
    assert [str(d) for d in stream.deviations] == [f"role-missing (event 0): {RULES['role-missing'].text}"]
