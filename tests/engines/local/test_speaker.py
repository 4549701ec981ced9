"""The tokens of one choice as the events of its answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.engine import Finish, Reasoning, Text, ToolArguments, ToolCall
from duologue.engines.local.forms import Thoughts
from duologue.engines.local.plan import Plan
from duologue.engines.local.reader import Part, Reader
from duologue.engines.local.sampling import Sampling
from duologue.engines.local.speaker import Speaker, Token
from duologue.protocol.stops import find_stop

END = 99
ROOM = 1000


class Shouts(Plan):
    """A plan whose reader takes capital letters for thoughts, digits for calls of tools, dots for nothing."""

    __slots__ = ()

    def reader(self) -> Reader:
        return Splitter()


class Thinks(Plan):
    """A plan whose reader knows tags of thoughts."""

    __slots__ = ()

    def reader(self) -> Reader:
        return Reader(thoughts=Thoughts("<think>", "</think>"))


class Splitter(Reader):
    """Tells each character for itself."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0

    def push(self, text: str) -> list[Part]:
        parts = []
        for character in text:
            if character.isdigit():
                self.called = True
                call = int(character)
                parts.append(Part("call", "f", self._seen, call, call % 2 == 1))
                parts.append(Part("arguments", character, self._seen, call))
            elif character != ".":
                kind = "reasoning" if character.isupper() else "content"
                parts.append(Part(kind, character, self._seen))
            self._seen += 1
        return parts


def plan_of(*, kind: type[Plan] = Plan, **fields) -> Plan:
    base = Plan(
        prompt=[1],
        limit=ROOM,
        choices=1,
        stops=(),
        sampling=Sampling(),
        logprobs=False,
        top_logprobs=0,
        grammar=None,
        form=None,
        thoughts=None,
        prediction=None,
    )
    values = {name: getattr(base, name) for name in Plan.__slots__} | fields
    return kind(**values)


def tokens(*pieces: bytes | str) -> list[Token]:
    """A token for each piece, none of which ends anything."""
    raw = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    return [Token(7, piece, -0.5, [(piece, -0.5), (b"\xff", -1.5)]) for piece in raw]


def speak(pieces: list[Token], *, end: bool = True, **fields) -> tuple[list, Speaker]:
    """The events of a choice that makes these tokens, and then ends unless it has."""
    speaker = Speaker(plan_of(**fields), {END}, 0)
    events: list = []
    for token in pieces + [Token(END, b"</s>")] * end:
        if not speaker.ended:
            events += speaker.push(token)
    return events, speaker


def said(events: list) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def entries(events: list) -> list:
    return [entry for event in events if isinstance(event, Text) for entry in event.logprobs]


def test_each_token_is_an_event_and_the_end_is_counted():
    events, speaker = speak(tokens("Hel", "lo", "!"))
    assert events == [Text("Hel", tokens=1), Text("lo", tokens=1), Text("!", tokens=1), Finish("stop")]
    assert (speaker.tokens, speaker.reasoning_tokens, speaker.ended) == (4, 0, True)


def test_events_belong_to_their_choice():
    speaker = Speaker(plan_of(), {END}, 3)
    assert [event.choice for token in [*tokens("a"), Token(END, b"")] for event in speaker.push(token)] == [
        3,
        3,
    ]


@pytest.mark.parametrize("limit", [1, 2])
def test_the_limit_ends_with_length(limit):
    events, speaker = speak(tokens("a", "b", "c"), limit=limit)
    assert said(events) == "abc"[:limit]
    assert events[-1] == Finish("length")
    assert speaker.tokens == limit


def test_a_character_in_pieces_comes_whole():
    smile = "😀".encode()
    events, _ = speak(tokens(b"a" + smile[:1], smile[1:3], smile[3:] + b"b"), logprobs=True, top_logprobs=1)
    assert [(event.text, event.tokens) for event in events[:-1]] == [("a", 1), ("😀b", 2)]
    assert [entry.token for entry in entries(events)] == ["a\\xf0", "\\x9f\\x98", "\\x80b"]
    assert b"".join(bytes(entry.bytes) for entry in entries(events)) == "a😀b".encode()


def test_a_character_that_is_cut_off_is_replaced():
    events, _ = speak(tokens("a", "é".encode()[:1]), limit=2, logprobs=True)
    assert said(events) == "a\ufffd"
    assert [entry.bytes for entry in entries(events)] == [[97], [195]]


def test_logprobs_are_those_of_the_token():
    events, _ = speak(tokens("Hé"), logprobs=True, top_logprobs=2)
    (entry,) = entries(events)
    assert (entry.token, entry.bytes, entry.logprob) == ("Hé", [72, 195, 169], -0.5)
    assert [(top.token, top.bytes, top.logprob) for top in entry.top_logprobs] == [
        ("Hé", [72, 195, 169], -0.5),
        ("\\xff", [255], -1.5),
    ]


def test_there_are_no_logprobs_unless_asked_for():
    events, _ = speak(tokens("a", "b"))
    assert all(event.logprobs is None for event in events[:-1])


@pytest.mark.parametrize(
    ("pieces", "stops", "text", "logprobs"),
    [
        pytest.param(["a", "b", "c"], ("b",), "a", ["a"], id="a token"),
        pytest.param(["a", "bc", "d"], ("cd",), "ab", ["a", "bc"], id="from inside a token on"),
        pytest.param(["a", "<e", "nd>"], ("<end>",), "a", ["a"], id="across tokens"),
        pytest.param(["<e", "nd>"], ("<end>",), "", [], id="all of the text"),
        pytest.param(["a", "<e", "x"], ("<end>",), "a<ex", ["a", "<e", "x"], id="only its beginning"),
        pytest.param(["a", "<"], ("<end>",), "a<", ["a", "<"], id="its beginning at the end"),
        pytest.param(["\u00e9".encode()[:1], "\u00e9".encode()[1:]], ("\u00e9",), "", [], id="in halves"),
        pytest.param(["xab"], ("ab", "b"), "x", ["xab"], id="two that end together"),
    ],
)
def test_logprobs_stop_with_the_text(pieces, stops, text, logprobs):
    """An entry comes with the first text that its token had a part in, and never without."""
    events, _ = speak(tokens(*pieces), stops=stops, logprobs=True)
    assert said(events) == text
    assert [entry.token for entry in entries(events)] == logprobs
    assert events[-1] == Finish("stop")


def test_a_stop_at_the_limit_is_a_stop():
    assert speak(tokens("a", "b"), stops=("b",), limit=2)[0] == [Text("a", tokens=1), Finish("stop")]


def test_text_that_is_held_back_comes_out_at_the_limit():
    events, _ = speak(tokens("a", "<", "e"), stops=("<end>",), limit=3)
    assert events == [Text("a", tokens=1), Text("<e", tokens=2), Finish("length")]


def test_thoughts_are_counted_apart_and_have_no_logprobs():
    """Tokens of `HM` are reasoning, those of `.`, which stands for a tag, belong to nothing."""
    events, speaker = speak(tokens(".", "H", "M", ".", ".", "ok"), kind=Shouts, logprobs=True)
    assert [event.text for event in events if isinstance(event, Reasoning)] == ["H", "M"]
    assert [event.tokens for event in events if isinstance(event, Reasoning)] == [1, 1]
    assert said(events) == "ok"
    assert [entry.token for entry in entries(events)] == ["ok"]
    assert (speaker.reasoning_tokens, speaker.tokens) == (2, 7)


def test_a_token_that_ends_thoughts_and_begins_the_answer_is_one_of_the_answer():
    events, speaker = speak(tokens("A", "B.c"), kind=Shouts, logprobs=True)
    assert (said(events), speaker.reasoning_tokens) == ("c", 1)
    assert [entry.token for entry in entries(events)] == ["B.c"]


def test_calls_have_no_logprobs_and_end_as_tool_calls():
    events, _ = speak(tokens("a", "0", "1", "b"), kind=Shouts, logprobs=True)
    assert [event for event in events if not isinstance(event, Text)] == [
        ToolCall("f"),
        ToolArguments("0", tokens=1),
        ToolCall("f", index=1, type="custom"),
        ToolArguments("1", index=1, tokens=1),
        Finish("tool_calls"),
    ]
    assert [entry.token for entry in entries(events)] == ["a", "b"]


@pytest.mark.parametrize("reason", ["length", "stop"])
def test_a_call_changes_no_other_reason(reason):
    events, _ = speak(tokens("0"), kind=Shouts, limit=1 if reason == "length" else ROOM)
    assert events[-1] == Finish("length" if reason == "length" else "tool_calls")


def test_stops_are_looked_for_in_content_only():
    """The text is `ab`, whatever stands between, and thoughts and calls may spell the stop."""
    events, _ = speak(tokens("X", "1", "a", "X", "b", "c"), kind=Shouts, stops=("X", "1", "ab"))
    assert said(events) == ""
    assert [event.text for event in events if isinstance(event, (Reasoning, ToolArguments))] == [
        "X",
        "1",
        "X",
    ]


def test_a_backend_may_end_a_choice():
    speaker = Speaker(plan_of(stops=("bc",)), {END}, 0)
    assert speaker.push(tokens("ab")[0]) == [Text("a", tokens=1)]
    assert speaker.close("stop") == [Text("b", tokens=0), Finish("stop")]
    assert speaker.ended


def test_tags_of_thoughts_in_the_raw_text():
    pieces = tokens("<think>", "\n", "Hm", ".</", "think>", "\n\n", "Yes", "!")
    events, _ = speak(pieces, kind=Thinks, logprobs=True)
    assert "".join(event.text for event in events if isinstance(event, Reasoning)) == "Hm."
    assert said(events) == "Yes!"
    assert [entry.token for entry in entries(events)] == ["Yes", "!"]


chunks = st.lists(st.sampled_from([b"a", b"b", b"ab", b"\xc3", b"\xa9", b"\xc3\xa9", b"", b"<"]), max_size=12)


@given(chunks, st.lists(st.sampled_from(["b", "ab", "<a", "\u00e9", "bb"]), max_size=2).map(tuple))
def test_however_a_text_is_cut_into_tokens(pieces, stops):
    """The text is what its bytes spell up to the first stop; every token of it has one entry, in order."""
    events, speaker = speak(tokens(*pieces), stops=stops, logprobs=True)
    whole = b"".join(pieces).decode("utf-8", "replace")
    found = find_stop(whole, stops)
    assert said(events) == whole[: found[0] if found else None]
    told = b"".join(bytes(entry.bytes) for entry in entries(events))
    assert b"".join(pieces).startswith(told)
    assert told.decode("utf-8", "replace").startswith(said(events).rstrip("\ufffd"))
    if found is None:
        assert told == b"".join(pieces)
        assert speaker.tokens == len(pieces) + 1
    assert sum(event.tokens for event in events if isinstance(event, Text)) <= speaker.tokens


@given(st.text("aB1.é", max_size=12), st.data())
def test_however_thoughts_and_calls_are_cut_into_tokens(text, data):
    raw = text.encode()
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=5).map(sorted))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    events, speaker = speak(tokens(*pieces), kind=Shouts, logprobs=True)
    content = "".join(letter for letter in text if letter in "aé")
    assert said(events) == content
    told = b"".join(bytes(entry.bytes) for entry in entries(events))
    assert all(letter in told.decode("utf-8", "replace") for letter in set(content))
    assert len(entries(events)) + speaker.reasoning_tokens <= len(pieces)
