"""Stop sequences and token limits over what any engine yields, however it cuts its text."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.engine import Finish, Reasoning, Refusal, Text, ToolArguments, ToolCall, Usage
from duologue.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob
from support.emulated import answer, both, post, yielding
from support.raw import wait_for


def entry(token: str) -> ChatCompletionTokenLogprob:
    return ChatCompletionTokenLogprob(token=token, bytes=list(token.encode()), logprob=-1.0, top_logprobs=[])


@pytest.mark.parametrize(
    ("pieces", "stop", "text"),
    [
        pytest.param(["one two three"], "two", "one ", id="inside a piece"),
        pytest.param(["one t", "w", "o three"], "two", "one ", id="across pieces"),
        pytest.param(["one tw", "elve"], "two", "one twelve", id="only its beginning"),
        pytest.param(["one tw"], "two", "one tw", id="its beginning at the end"),
        pytest.param(["two one"], "two", "", id="at once"),
        pytest.param(["a b c"], ["c", "b"], "a ", id="the first of several"),
        pytest.param([Reasoning("two"), "one"], "two", "one", id="not in the thoughts"),
        pytest.param([Refusal("two")], "two", "", id="not in a refusal"),
        pytest.param(["😀\ud83d", "\ude00x"], "😀x", "😀", id="a character in two halves"),
    ],
)
def test_stop(pieces, stop, text):
    """The answer ends before the first stop sequence in its visible text."""
    said = both(yielding(*pieces), stop=stop)
    assert (said.text, said.reason) == (text, "stop")


def test_stop_does_not_look_into_arguments():
    """They are no visible text."""
    engine = yielding(ToolCall("f"), ToolArguments('{"a": "two"}'))
    said = both(engine, stop="two", native=["tools"], tools=[{"type": "function", "function": {"name": "f"}}])
    assert said.choices[0]["calls"] == [["f", '{"a": "two"}']]
    assert said.reason == "tool_calls"


@pytest.mark.parametrize(
    ("pieces", "limit", "text", "reason"),
    [
        pytest.param(["abcdefgh"], 1, "abcd", "length", id="four bytes are a token"),
        pytest.param(["ab", "c", "defgh"], 1, "abcd", "length", id="across pieces"),
        pytest.param(["abcdefg"], 2, "abcdefg", "stop", id="room for one more byte"),
        pytest.param(["abcdefgh"], 2, "abcdefgh", "length", id="no room for another token"),
        pytest.param(["abcé"], 1, "abc", "length", id="no part of a character"),
        pytest.param([Text("one ", tokens=1), Text("two ", tokens=1)], 1, "one ", "length", id="counted"),
        pytest.param([Text("one ", tokens=1), Text("two", tokens=1)], 3, "one two", "stop", id="enough"),
        pytest.param([Text("abcdef", tokens=3)], 2, "abcd", "length", id="a share of a counted piece"),
        pytest.param([Reasoning("abcd"), "efgh"], 1, "", "length", id="thoughts count"),
        pytest.param([Reasoning("abcd"), "efghijkl"], 2, "efgh", "length", id="thoughts count with the text"),
    ],
)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_limit(pieces, limit, text, reason, name):
    """All that was generated counts, in the engine's own tokens or in bytes."""
    said = both(yielding(*pieces), **{name: limit})
    assert (said.text, said.reason) == (text, reason)
    assert said.usage["completion_tokens"] <= limit


def test_limit_cuts_arguments():
    """They are generated, too."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    engine = yielding(ToolCall("f"), ToolArguments('{"city": "Paris"}'))
    said = both(engine, max_tokens=2, native=["tools"], tools=tools)
    assert (said.choices[0]["calls"], said.reason) == ([["f", '{"city":']], "length")


@pytest.mark.parametrize(
    ("stop", "limit", "text", "reason"),
    [
        pytest.param("cd", 1, "ab", "stop", id="a tie is a stop"),
        pytest.param("ef", 1, "abcd", "length", id="the limit is earlier"),
        pytest.param("de", 1, "abcd", "length", id="a stop the limit leaves incomplete"),
        pytest.param("bc", 1, "a", "stop", id="the stop is earlier"),
    ],
)
@pytest.mark.parametrize("pieces", [["abcdefgh"], list("abcdefgh")], ids=["in one", "in letters"])
def test_the_earlier_wins(pieces, stop, limit, text, reason):
    """By the place in the text where it is complete."""
    said = both(yielding(*pieces), stop=stop, max_tokens=limit)
    assert (said.text, said.reason) == (text, reason)


letters = st.text("ab<é😀", max_size=16)


@settings(max_examples=60, deadline=None)
@given(
    letters,
    st.lists(st.text("ab<😀", min_size=1, max_size=3), min_size=1, max_size=3),
    st.integers(1, 8),
    st.data(),
)
def test_cutting_the_text_differently_changes_nothing(text, stops, limit, data):
    """Between any two UTF-16 units, streamed and whole: text, reason and usage are the same."""
    units = text.encode("utf-16-le")
    at = data.draw(st.lists(st.integers(0, len(units) // 2), max_size=6).map(sorted))
    cuts = [2 * place for place in at]
    pieces = [
        units[a:b].decode("utf-16-le", "surrogatepass")
        for a, b in zip([0, *cuts], [*cuts, len(units)], strict=True)
    ]
    whole = answer(yielding(text), stop=stops, max_tokens=limit)
    assert both(yielding(*pieces), stop=stops, max_tokens=limit) == whole
    assert not any(stop in whole.text for stop in stops)
    assert whole.usage["completion_tokens"] <= limit


def test_logprobs_travel_with_their_text():
    """What a stop cut away takes its tokens along; one that is partly visible stays."""
    tokens = ["one", " two", " three", " four"]
    engine = yielding(*(Text(token, logprobs=[entry(token)], tokens=1) for token in tokens))
    said = both(engine, stop="hree", native=["logprobs"], logprobs=True)
    assert (said.text, said.choices[0]["tokens"]) == ("one two t", ["one", " two", " three"])
    said = both(engine, stop=" three", native=["logprobs"], logprobs=True)
    assert (said.text, said.choices[0]["tokens"]) == ("one two", ["one", " two"])
    said = both(engine, max_tokens=2, native=["logprobs"], logprobs=True)
    assert (said.text, said.choices[0]["tokens"]) == ("one two", ["one", " two"])


def test_a_limit_within_a_piece_takes_its_tokens_by_their_logprobs():
    """Of a piece of several tokens."""
    tokens = ["o", "ne and", " two"]
    engine = yielding(Text("".join(tokens), logprobs=[entry(token) for token in tokens], tokens=3))
    said = both(engine, max_tokens=2, native=["logprobs"], logprobs=True)
    assert (said.text, said.choices[0]["tokens"]) == ("one and", ["o", "ne and"])


def test_no_more_is_held_back_than_may_begin_a_stop():
    """A piece goes out as soon as it can be no part of a stop sequence."""
    _, _, body = post(yielding("ab", "<e", "xy", "z<"), stop="<end>", stream=True)
    assert [part for part in (b'"ab"', b'"<exy"', b'"z"', b'"<"') if b'{"content":' + part in body] == [
        b'"ab"',
        b'"<exy"',
        b'"z"',
        b'"<"',
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", [{"stop": "2"}, {"max_tokens": 1}], ids=["stop", "limit"])
def test_the_generator_is_closed_at_once(asked, stream):
    """It makes nothing after the piece that ended the answer."""
    made: list[int] = []
    closed: list[bool] = []

    async def engine(request):
        try:
            for number in range(100):
                made.append(number)
                yield f"{number}   "
        finally:
            closed.append(True)

    answer(engine, stream=stream, **asked)
    assert made == ([0, 1, 2] if "stop" in asked else [0])
    assert closed == [True]


def test_a_generator_in_a_thread_stops_at_its_next_item():
    """No more of it than a thread may be ahead."""
    made: list[int] = []
    closed = threading.Event()

    def engine(request):
        try:
            for number in range(10_000):
                made.append(number)
                yield f"{number} "
        finally:
            closed.set()

    assert answer(engine, stop="5").text == "0 1 2 3 4 "
    assert wait_for(closed.is_set)
    assert len(made) < 100


COUNT = {"prompt_tokens": 7, "completion_tokens": 9}


@pytest.mark.parametrize(
    ("pieces", "asked", "prompt", "completion", "estimated"),
    [
        pytest.param(["abcde", Usage(**COUNT)], {"stop": "x"}, 7, 9, False, id="the engine's own"),
        pytest.param(["abcde", Usage(**COUNT)], {"stop": "c"}, 1, 1, True, id="the server's after a stop"),
        pytest.param([Usage(**COUNT), "abc"], {"stop": "c"}, 7, 1, True, id="its prompt, if it came before"),
        pytest.param([Usage(**COUNT), Text("c", tokens=1)], {"stop": "c"}, 7, 1, False, id="all counted"),
        pytest.param([Text("a", tokens=3)], {"stop": "x"}, 1, 3, True, id="a prompt nobody counted"),
        pytest.param([Usage(**COUNT, estimated=True)], {"stop": "x"}, 7, 9, True, id="the engine's estimate"),
    ],
)
def test_usage(pieces, asked, prompt, completion, estimated):
    """An estimate is marked as one."""
    usage = both(yielding(*pieces), **asked).usage
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompt, completion)
    assert usage.get("estimated", False) is estimated


def test_what_an_engine_may_not_yield_is_its_error():
    """As it is without emulation."""
    wrong: list[Any] = [Text("x", choice=1), Text(5), 5]  # type: ignore[arg-type] # that is what is tested
    for piece in wrong:
        status, _, body = post(yielding(piece), stop="y")
        assert (status, b"engine_output_invalid" in body) == (502, True)
    status, _, body = post(yielding(Finish("stop"), "more"), stop="y")
    assert (status, b"engine_output_invalid" in body) == (502, True)
