"""The echo engine: every parameter it takes has its effect."""

from __future__ import annotations

import msgspec
import pytest

from duologue.engine import Engine, Finish, Text, Usage
from duologue.engines.echo import EchoEngine
from duologue.protocol.errors import BadRequestError
from duologue.types.chat.request import ChatRequest


async def echo(messages, **parameters):
    """The events of an answer."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    request = msgspec.convert({"model": "echo", "messages": messages, **parameters}, ChatRequest)
    return [event async for event in EchoEngine().generate(request)]


def said(events, choice=0):
    return [event.text for event in events if isinstance(event, Text) and event.choice == choice]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("one  two\n", ["one  ", "two\n"], id="words with the space behind them"),
        pytest.param("\n one", ["\n ", "one"], id="space in front is a token of its own"),
        pytest.param("   ", ["   "], id="only space"),
        pytest.param("", [], id="nothing"),
        pytest.param("日本 🎉", ["日本 ", "🎉"], id="not only ASCII"),
    ],
)
async def test_it_repeats_word_by_word(text, tokens):
    events = await echo(text)
    assert said(events) == tokens
    assert events[-2:] == [
        Finish("stop"),
        Usage(prompt_tokens=len(tokens), completion_tokens=len(tokens)),
    ]


@pytest.mark.parametrize(
    ("messages", "answer"),
    [
        pytest.param(
            [
                {"role": "user", "content": "first"},
                {"role": "user", "content": "last"},
                {"role": "assistant", "content": "answer"},
            ],
            "last",
            id="the user's last message",
        ),
        pytest.param([{"role": "developer", "content": "only"}], "only", id="no user, the last message"),
        pytest.param(
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            "ab",
            id="text parts are joined",
        ),
    ],
)
async def test_which_message_it_repeats(messages, answer):
    assert "".join(said(await echo(messages))) == answer


@pytest.mark.parametrize(
    ("parameters", "visible", "reason", "tokens"),
    [
        pytest.param({"max_tokens": 2}, "one two ", "length", 2, id="a limit"),
        pytest.param(
            {"max_completion_tokens": 4}, "one two three four", "stop", 4, id="a limit it does not reach"
        ),
        pytest.param({"stop": "three"}, "one two ", "stop", 3, id="a stop counts the tokens it took"),
        pytest.param({"stop": ["o t", "four"]}, "one tw", "stop", 3, id="a stop across tokens"),
        pytest.param(
            {"stop": "three", "max_tokens": 2}, "one two ", "length", 2, id="a stop behind the limit"
        ),
        pytest.param({"stop": "two", "max_tokens": 2}, "one ", "stop", 2, id="a stop at the limit wins"),
        pytest.param(
            {"temperature": 2, "top_p": 0, "seed": 7}, "one two three four", "stop", 4, id="certain"
        ),
    ],
)
async def test_limits_and_stops(parameters, visible, reason, tokens):
    events = await echo("one two three four", **parameters)
    assert "".join(said(events)) == visible
    assert events[-2:] == [Finish(reason), Usage(prompt_tokens=4, completion_tokens=tokens)]


async def test_choices_come_interleaved_and_are_counted_together():
    events = await echo("one two", n=3)
    assert [(event.text, event.choice) for event in events[:6]] == [
        (word, choice) for word in ("one ", "two") for choice in range(3)
    ]
    assert [event.choice for event in events if isinstance(event, Finish)] == [0, 1, 2]
    assert events[-1] == Usage(prompt_tokens=2, completion_tokens=6)


@pytest.mark.parametrize(("top", "alternatives"), [(None, 0), (0, 0), (1, 1), (20, 1)])
async def test_logprobs_say_that_every_token_is_certain(top, alternatives):
    events = await echo("é b", logprobs=True, top_logprobs=top)
    entries = [event.logprobs for event in events if isinstance(event, Text)]
    assert [[entry.token for entry in found] for found in entries] == [["é "], ["b"]]
    assert [entry.bytes for (entry,) in entries] == [[0xC3, 0xA9, 0x20], [0x62]]
    assert all(entry.logprob == 0.0 and len(entry.top_logprobs) == alternatives for (entry,) in entries)


async def test_without_logprobs_there_are_none():
    assert all(event.logprobs is None for event in await echo("a b") if isinstance(event, Text))


async def test_an_image_is_refused_with_its_place():
    part = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}
    with pytest.raises(BadRequestError) as caught:
        await echo([{"role": "user", "content": [{"type": "text", "text": "a"}, part]}])
    assert caught.value.param == "messages[0].content[1]"


def test_it_is_an_engine_and_says_what_it_honours():
    engine = EchoEngine()
    assert isinstance(engine, Engine)
    assert engine.models == ("echo",)
    assert set(engine.supports.values()) == {"native"}
    assert not {"logit_bias", "tools", "response_format"} & set(engine.supports)
