"""The server's state machine: whatever an engine yields, a legal stream comes out."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from duologue.engine import (
    Audio,
    Finish,
    Head,
    Reasoning,
    Refusal,
    Text,
    ToolArguments,
    ToolCall,
    Usage,
)
from duologue.protocol.checks import decode_request
from duologue.protocol.codec import encode
from duologue.protocol.errors import APIStatusError, InternalServerError, RateLimitError
from duologue.protocol.usage import estimate_tokens
from duologue.protocol.write import ChunkWriter, collector
from duologue.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob, TopLogprob
from duologue.types.chat.request import ChatRequest
from support.legal import check_completion, check_stream

LOGPROB = ChatCompletionTokenLogprob(
    token="Hé",
    bytes=[72, 195, 169],
    logprob=-0.5,
    top_logprobs=[TopLogprob(token="Hé", bytes=[72, 195, 169], logprob=-0.5)],
)


def request(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, **fields}
    return decode_request(json.dumps(body).encode())[0]


def writer(asked: ChatRequest, *, usage_always: bool = False) -> ChunkWriter:
    numbers = iter(range(1000))
    return ChunkWriter(
        asked,
        id="chatcmpl-1",
        created=1700000000,
        model="m",
        call_id=lambda: f"call_{next(numbers)}",
        usage_always=usage_always,
    )


def play(events: list[Any], write: ChunkWriter) -> bytes:
    """The bytes of a whole stream; an exception among the events is raised by the engine there."""
    frames = b""
    try:
        for event in events:
            if isinstance(event, Exception):
                raise event
            frames += write.write(event)
        return frames + write.finish()
    except APIStatusError as error:
        return frames + write.fail(error)


def stream(*events: Any, **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a stream that must not fail."""
    asked = request(**fields)
    data = play(list(events), writer(asked))
    chunks, error = check_stream(data, n=asked.n or 1, include_usage=asked.include_usage)
    assert error is None
    return chunks


def deltas(chunks: list[dict[str, Any]]) -> list[Any]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


# --- whatever an engine yields -------------------------------------------------------------------------

texts = st.text(max_size=6) | st.sampled_from(
    ["\ud83d", "a\ude00b", '"\\\n\r\u2028', "\x00", "data: x\n\n", "😀"]
)
choices = st.integers(-1, 4)
tokens = st.none() | st.integers(-1, 3)
logprobs = st.none() | st.just([]) | st.just([LOGPROB]) | st.just(cast("Any", [3]))
counts = st.none() | st.integers(0, 9)
events = st.one_of(
    texts,
    st.builds(Text, texts, choices, logprobs, tokens),
    st.builds(Reasoning, texts, choices, tokens),
    st.builds(Refusal, texts, choices, logprobs, tokens),
    st.builds(
        ToolCall,
        texts,
        st.none() | texts,
        st.integers(-1, 2),
        choices,
        st.sampled_from(["function", "custom", "other"]),
    ),
    st.builds(ToolArguments, texts, st.integers(-1, 2), choices, tokens),
    st.builds(Audio, st.none() | texts, st.none() | texts, st.none() | texts, counts, choices),
    st.builds(Usage, st.integers(-1, 9), st.integers(0, 9), counts, counts, counts, counts, counts),
    st.builds(
        Finish,
        st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call", "x"]),
        choices,
    ),
    st.builds(
        Head,
        st.none() | texts,
        counts,
        st.none() | texts,
        st.none() | texts,
        st.sampled_from([None, "default"]),
        st.none()
        | st.dictionaries(
            st.sampled_from(["choices", "usage", "error", "object", "vendor"]), texts, max_size=2
        ),
    ),
    st.sampled_from([RateLimitError("slow down"), InternalServerError("bro\udcffken", status_code=502)]),
    st.sampled_from(
        [None, 3, b"bytes", Text(cast("Any", 3)), Text("x", cast("Any", "0")), Text(cast("Any", b"x"))]
    ),
)
# Most of these sequences are wrong after a few events; these are right for longer.
sound = st.one_of(
    texts,
    st.builds(Text, texts, st.integers(0, 3), st.none() | st.just([LOGPROB]), counts),
    st.builds(Reasoning, texts, st.integers(0, 3), counts),
    st.builds(Refusal, texts, st.integers(0, 3), st.none() | st.just([LOGPROB]), counts),
    st.builds(
        ToolCall, texts, st.none(), st.just(0), st.integers(0, 3), st.sampled_from(["function", "custom"])
    ),
    st.builds(ToolArguments, texts, st.just(0), st.integers(0, 3), counts),
    st.builds(Usage, st.integers(0, 9), st.integers(0, 9), counts, counts),
    st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls"]), st.integers(0, 3)),
)
scripts = st.lists(events, max_size=8) | st.lists(sound, max_size=14)


@settings(max_examples=400, deadline=None)
@given(script=scripts, n=st.integers(1, 4), include_usage=st.booleans())
@example(script=["a", Finish("stop"), "b"], n=1, include_usage=True)
@example(script=[Head(id="x"), "a", Head(id="y")], n=2, include_usage=False)
@example(script=[Text("", tokens=1), Finish("length", 3)], n=4, include_usage=True)
def test_whatever_an_engine_yields_makes_a_legal_stream(script, n, include_usage):
    """A legal stream comes out, and a completion that is not streamed says the same, failures included."""
    fields = {"n": n, "stream_options": {"include_usage": include_usage}}
    asked = request(**fields)
    chunks, error = check_stream(play(script, writer(asked)), n=n, include_usage=include_usage)

    whole = collector(asked)
    whole.feed(play(script, writer(asked, usage_always=True)))
    if error is not None:
        assert whole.outcome == "failed"
        assert whole.error is not None
        assert whole.error.message == error["error"]["message"]
        return
    assert whole.outcome == "complete"
    completion = json.loads(encode(whole.result()))
    check_completion(completion, n=n)
    assert gathered(chunks, n) == [told(choice) for choice in completion["choices"]]
    if include_usage:
        assert chunks[-1]["usage"] == completion["usage"]
    assert (chunks[0]["id"], chunks[0]["created"]) == (completion["id"], completion["created"])


def gathered(chunks: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """What the chunks tell of each choice, put together with a few lines of its own."""
    choices: list[dict[str, Any]] = [{"calls": {}, "logprobs": [], "finish": None} for _ in range(n)]
    for chunk in chunks:
        for part in chunk["choices"]:
            choice, delta = choices[part["index"]], part["delta"]
            for name in ("content", "refusal", "reasoning_content"):
                if delta.get(name) is not None:
                    choice[name] = choice.get(name, "") + delta[name]
            for call in delta.get("tool_calls", ()):
                known = choice["calls"].setdefault(call["index"], {"kind": call.get("type"), "text": ""})
                body = call[known["kind"]]
                known["name"] = known.get("name", body.get("name"))
                known["text"] += body.get("arguments", body.get("input"))
            choice["logprobs"] += _entries(part["logprobs"])
            choice["finish"] = part["finish_reason"] or choice["finish"]
    return choices


def told(choice: dict[str, Any]) -> dict[str, Any]:
    """The same of a choice that was not streamed."""
    message = choice["message"]
    calls = {
        index: {
            "kind": call["type"],
            "name": call[call["type"]]["name"],
            "text": call[call["type"]].get("arguments", call[call["type"]].get("input")),
        }
        for index, call in enumerate(message.get("tool_calls", ()))
    }
    said = {
        name: message[name]
        for name in ("content", "refusal", "reasoning_content")
        if message.get(name) is not None
    }
    return {
        "calls": calls,
        "logprobs": _entries(choice["logprobs"]),
        "finish": choice["finish_reason"],
        **said,
    }


def _entries(logprobs: dict[str, Any] | None) -> list[Any]:
    return [*(logprobs.get("content") or ()), *(logprobs.get("refusal") or ())] if logprobs else []


# --- event by event ------------------------------------------------------------------------------------

ROLE = {"role": "assistant", "content": "", "refusal": None}
NULL_ROLE = {"role": "assistant", "content": None, "refusal": None}


class Word(StrEnum):
    HELLO = "hello"


@pytest.mark.parametrize(
    ("script", "expected", "finish"),
    [
        pytest.param([], [ROLE], "stop", id="nothing"),
        pytest.param(["Hi", " you"], [ROLE, {"content": "Hi"}, {"content": " you"}], "stop", id="text"),
        pytest.param([Text("Hi")], [ROLE, {"content": "Hi"}], "stop", id="text-event"),
        pytest.param([Word.HELLO], [ROLE, {"content": "hello"}], "stop", id="str-of-a-class-of-its-own"),
        pytest.param([""], [ROLE], "stop", id="empty-text"),
        pytest.param(
            ["a\ud83d"], [ROLE, {"content": "a"}, {"content": "\ufffd"}], "stop", id="half-at-the-end"
        ),
        pytest.param(["\ud83d"], [ROLE, {"content": "\ufffd"}], "stop", id="half-alone"),
        pytest.param(["\ude00a"], [ROLE, {"content": "\ufffda"}], "stop", id="second-half-alone"),
        pytest.param(["\ud83d", "a"], [ROLE, {"content": "\ufffda"}], "stop", id="half-and-a-letter"),
        pytest.param(
            ["\ud83d\ud83d", "\ude00"],
            [ROLE, {"content": "\ufffd"}, {"content": "😀"}],
            "stop",
            id="half-too-many",
        ),
        pytest.param(
            ["a\ud83d", "\ude00b", "c"],
            [ROLE, *({"content": t} for t in ("a", "😀b", "c"))],
            "stop",
            id="pair",
        ),
        pytest.param(
            ["\ud83d", Reasoning("hm\ud83d"), "\ude00", Reasoning("\ude00")],
            [NULL_ROLE, {"reasoning_content": "hm"}, {"content": "😀"}, {"reasoning_content": "😀"}],
            "stop",
            id="pairs-across-each-other",
        ),
        pytest.param(
            [Refusal("\ud83d"), Audio(transcript="a\ud83d"), Finish("stop")],
            [
                NULL_ROLE,
                {"audio": {"transcript": "a"}},
                {"refusal": "\ufffd"},
                {"audio": {"transcript": "\ufffd"}},
            ],
            "stop",
            id="halves-at-the-finish",
        ),
        pytest.param(
            [Reasoning("hm"), "Hi"],
            [NULL_ROLE, {"reasoning_content": "hm"}, {"content": "Hi"}],
            "stop",
            id="reasoning",
        ),
        pytest.param([Refusal("no")], [NULL_ROLE, {"refusal": "no"}], "stop", id="refusal"),
        pytest.param(
            [ToolCall("f"), ToolArguments("{}")],
            [
                NULL_ROLE,
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "call_0",
                            "type": "function",
                            "function": {"name": "f", "arguments": ""},
                        }
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
            ],
            "tool_calls",
            id="tool-call",
        ),
        pytest.param(
            [ToolCall("f", id="mine", type="custom"), ToolArguments("x")],
            [
                NULL_ROLE,
                {
                    "tool_calls": [
                        {"index": 0, "id": "mine", "type": "custom", "custom": {"name": "f", "input": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "custom": {"input": "x"}}]},
            ],
            "tool_calls",
            id="custom-tool-call",
        ),
        pytest.param(
            [Audio(id="a", data="AA=="), Audio(expires_at=9)],
            [NULL_ROLE, {"audio": {"id": "a", "data": "AA=="}}, {"audio": {"expires_at": 9}}],
            "stop",
            id="audio",
        ),
        pytest.param(["Hi", Finish("length")], [ROLE, {"content": "Hi"}], "length", id="finish"),
    ],
)
def test_each_event_makes_its_deltas(script, expected, finish):
    """The role comes first, then what the event says, then one finish with an empty delta."""
    chunks = stream(*script)
    assert deltas(chunks) == [*expected, {}]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * len(expected) + [finish]


OLD_FORM: dict[str, Any] = {"functions": [{"name": "f"}]}


@pytest.mark.parametrize("finish", [[], [Finish("tool_calls")]], ids=["no finish", "finish"])
def test_who_offers_functions_is_answered_in_their_form(finish):
    """`functions` is the old form of tools: a call is a `function_call`, and so is the finish reason."""
    chunks = stream(ToolCall("f"), ToolArguments("{"), ToolArguments("}"), *finish, **OLD_FORM)
    assert deltas(chunks) == [
        NULL_ROLE,
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{"}},
        {"function_call": {"arguments": "}"}},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


def test_the_old_form_has_one_call():
    write = writer(request(**OLD_FORM))
    write.write(ToolCall("f"))
    with pytest.raises(InternalServerError, match="allow only one"):
        write.write(ToolCall("f", index=1))


def test_logprobs_travel_with_their_text():
    """Logprobs stand in the very chunk of their text, under `content`, the other list null."""
    chunk = stream(Text("Hé", logprobs=[LOGPROB]))[1]
    assert chunk["choices"][0]["delta"] == {"content": "Hé"}
    assert chunk["choices"][0]["logprobs"] == {"content": [LOGPROB.to_dict()], "refusal": None}


def test_a_half_in_arguments_waits_for_its_other_half():
    """In each call by itself, in the old form of calls as well."""
    chunks = stream(
        ToolCall("f"),
        ToolArguments('"\ud83d'),
        ToolCall("g", index=1, type="custom"),
        ToolArguments("\ud83d", index=1),
        ToolArguments('\ude00"'),
    )
    said = [delta["tool_calls"][0] for delta in deltas(chunks) if "tool_calls" in delta]
    assert [call["function"]["arguments"] for call in said if call["index"] == 0] == ["", '"', '😀"']
    assert [call["custom"]["input"] for call in said if call["index"] == 1] == ["", "\ufffd"]
    chunks = stream(ToolCall("f"), ToolArguments("\ud83d"), ToolArguments("\ude00"), **OLD_FORM)
    assert deltas(chunks)[2] == {"function_call": {"arguments": "😀"}}


def test_a_half_with_logprobs_waits_for_its_other_half():
    """The logprobs do not."""
    chunks = stream(Text("\ud83d", logprobs=[LOGPROB]), Text("\ude00", logprobs=[LOGPROB]), "b")
    assert [delta.get("content") for delta in deltas(chunks)] == ["", "", "😀", "b", None]
    assert [bool(chunk["choices"][0]["logprobs"]) for chunk in chunks] == [False, True, True, False, False]


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("a😀\ud83d\ude00"), max_size=8), st.data())
def test_cutting_a_text_anywhere_changes_nothing(text, data):
    """Between any two UTF-16 units: one replacement for each lone half, and the usage is the same."""
    units = text.encode("utf-16-le", "surrogatepass")
    cuts = sorted(2 * data.draw(st.integers(0, len(units) // 2)) for _ in range(4))
    pieces = [
        units[a:b].decode("utf-16-le", "surrogatepass")
        for a, b in zip([0, *cuts], [*cuts, len(units)], strict=True)
    ]
    chunks = stream(*pieces, stream_options={"include_usage": True})
    said = "".join(delta.get("content") or "" for delta in deltas(chunks[:-1]))
    assert said == units.decode("utf-16-le", "replace")
    assert chunks[-1]["usage"]["completion_tokens"] == estimate_tokens(len(said.encode()))


@pytest.mark.parametrize(
    ("asked", "head", "tier"),
    [
        pytest.param({}, Head(), None, id="not-asked"),
        pytest.param({"service_tier": None}, Head(), None, id="null"),
        pytest.param({"service_tier": "auto"}, Head(), "default", id="auto"),
        pytest.param({"service_tier": "priority"}, Head(), "default", id="one-there-is-not"),
        pytest.param(
            {"service_tier": "fast"}, Head(service_tier="priority"), "priority", id="the-engine-knows"
        ),
        pytest.param({}, Head(service_tier="flex"), "flex", id="the-engine-says"),
    ],
)
def test_who_asks_for_a_tier_is_told_the_one_that_was_used(asked, head, tier):
    """On every chunk, the usage included."""
    for chunk in stream(head, "a", stream_options={"include_usage": True}, **asked):
        assert chunk.get("service_tier") == tier
        assert ("service_tier" in chunk) == (tier is not None)


def test_choices_go_on_independently():
    """Each choice opens with its own role and ends with its own reason, whatever the others do."""
    chunks = stream("a", Text("b", 2), Finish("length", 2), "c", n=3)
    said = [(c["choices"][0]["index"], c["choices"][0]["finish_reason"]) for c in chunks]
    assert said == [
        (0, None),
        (0, None),
        (2, None),
        (2, None),
        (2, "length"),
        (0, None),
        (0, "stop"),
        (1, None),
        (1, "stop"),
    ]


def test_a_head_gives_the_identity_of_the_answer():
    """What the head says replaces the server's own; its extra fields may not replace the protocol's."""
    head = Head(
        id="x",
        created=5,
        model="other",
        system_fingerprint="fp",
        extra={"vendor": 1, "choices": 2, "object": "mine"},
    )
    for chunk in stream(head, "a"):
        assert (chunk["id"], chunk["created"], chunk["model"], chunk["vendor"]) == ("x", 5, "other", 1)
        assert chunk["system_fingerprint"] == "fp"
        assert chunk["object"] == "chat.completion.chunk"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            ["12345678"],
            {
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "total_tokens": 3,
                "completion_tokens_details": {"reasoning_tokens": 0},
                "estimated": True,
            },
            id="estimated",
        ),
        pytest.param(
            [Reasoning("hm", tokens=2), Text("a", tokens=3), Text("", tokens=1)],
            {
                "prompt_tokens": 1,
                "completion_tokens": 6,
                "total_tokens": 7,
                "completion_tokens_details": {"reasoning_tokens": 2},
                "estimated": True,
            },
            id="counted-by-events",
        ),
        pytest.param(
            ["a", Usage(1, 1), Usage(7, 5, cached_tokens=4)],
            {
                "prompt_tokens": 7,
                "completion_tokens": 5,
                "total_tokens": 12,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            id="by-the-engine-the-last-one-counts",
        ),
    ],
)
def test_usage_comes_last_when_asked_for(script, expected):
    """The engine's own count, else the events', else an estimate marked as one."""
    assert stream(*script, stream_options={"include_usage": True})[-1]["usage"] == expected
    assert all("usage" not in chunk for chunk in stream(*script))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param([Finish("stop"), "x"], "choice 0 after its finish", id="text-after-finish"),
        pytest.param([Finish("stop"), Finish("stop")], "choice 0 after its finish", id="second-finish"),
        pytest.param([Text("x", 1)], "choice 1 of 1", id="choice-not-asked-for"),
        pytest.param([Text("x", -1)], "choice -1 of 1", id="negative-choice"),
        pytest.param([Text(cast("Any", 3))], "Expected `str`, got `int`", id="text-no-string"),
        pytest.param([Text("x", tokens=-1)], ">= 0 - at `$.tokens`", id="negative-tokens"),
        pytest.param([Finish(cast("Any", "done"))], "Invalid enum value 'done'", id="unknown-reason"),
        pytest.param([ToolArguments("{}")], "which has not begun", id="arguments-first"),
        pytest.param([ToolCall("")], "ToolCall with a wrong field", id="call-of-nothing"),
        pytest.param([ToolCall("f", index=1)], "tool call 1 where call 0 was due", id="gap-in-calls"),
        pytest.param(
            [ToolCall("f"), ToolCall("g")], "tool call 0 where call 1 was due", id="same-call-twice"
        ),
        pytest.param(["x", Head(id="a")], "a Head after the answer had begun", id="late-head"),
        pytest.param([b"x"], "bytes, which is neither text nor an event", id="bytes"),
        pytest.param([None], "NoneType, which is neither", id="none"),
        pytest.param([{"content": "x"}], "dict, which is neither", id="dict"),
    ],
)
def test_what_an_engine_may_not_yield_is_its_error(script, message):
    """It is a 502 that names the mistake, and never reaches the stream."""
    write = writer(request())
    for event in script[:-1]:
        write.write(event)
    with pytest.raises(InternalServerError) as caught:
        write.write(script[-1])
    assert message in caught.value.message
    assert (caught.value.status_code, caught.value.code) == (502, "engine_output_invalid")


def test_a_stream_that_fails_ends_with_the_error_and_done():
    """What had been said stays; the error event and `[DONE]` follow, and no finish."""
    data = play(["Hi", RateLimitError("try later", param="n")], writer(request()))
    chunks, error = check_stream(data)
    assert [delta.get("content") for delta in deltas(chunks)] == ["", "Hi"]
    assert error == {
        "error": {
            "message": "try later",
            "type": "requests",
            "param": "n",
            "code": "rate_limit_exceeded",
        }
    }


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 1), (4, 1), (5, 2), (4000, 1000)])
def test_four_bytes_are_about_a_token(size, expected):
    """Rounded up, so that no text is free."""
    assert estimate_tokens(size) == expected
