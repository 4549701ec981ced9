"""The scripted engine: it plays its turns, and notices what it was not written for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from duologue import (
    BadRequestError,
    Client,
    InternalServerError,
    RateLimitError,
    StreamTimeoutError,
    Timeout,
    create_app,
)
from duologue.engine import Finish, Reasoning, Refusal, Text, Usage
from duologue.run import run_server
from duologue.testing import Call, Pause, Script
from duologue.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob
from support.legal import check_stream
from support.raw import ask

TOOLS: Any = [{"type": "function", "function": {"name": "weather"}}]
HI: Any = {"role": "user", "content": "Hi"}


def client_of(script: Script) -> Client:
    return Client(app=create_app(script), max_retries=0)


def say(client: Client, text: str = "Hi", **more: Any) -> Any:
    return client.chat.completions.create(
        model="script", messages=[{"role": "user", "content": text}], **more
    )


def pieces(client: Client, **more: Any) -> list[str]:
    return [chunk.text for chunk in say(client, stream=True, **more) if chunk.text]


def test_each_request_is_answered_with_the_next_turn():
    """Whole or streamed."""
    with Script("One.", "Two words.") as script, client_of(script) as client:
        assert say(client).text == "One."
        assert pieces(client) == ["Two ", "words."]


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ("Hello, dear  world\n", ["Hello, ", "dear  ", "world\n"]),
        ("  x", ["  ", "x"]),
        (["Hel", "lo wor", "ld"], ["Hel", "lo wor", "ld"]),
        (Text("One piece of two words"), ["One piece of two words"]),
        ("", []),
    ],
    ids=["word by word", "white space first", "as it is cut", "an event", "nothing"],
)
def test_the_pieces_of_a_text(turn, expected):
    """A text alone comes word by word, a list piece by piece."""
    with Script(turn) as script, client_of(script) as client:
        assert pieces(client) == expected


def test_every_event_of_an_engine_may_stand_in_a_turn():
    """Reasoning, refusals, log probabilities, usage, a finish reason."""
    logprob = ChatCompletionTokenLogprob(token="No", logprob=-0.5, bytes=None, top_logprobs=[])
    turn = [Reasoning("Hm."), Refusal("No", logprobs=[logprob]), Usage(3, 2), Finish("content_filter")]
    with Script(turn) as script, client_of(script) as client:
        completion = say(client, logprobs=True)
    (choice,) = completion.choices
    assert (choice.message.reasoning_content, choice.message.refusal) == ("Hm.", "No")
    assert choice.logprobs.refusal[0].logprob == -0.5
    assert (choice.finish_reason, completion.usage.total_tokens) == ("content_filter", 5)


def test_calls_are_numbered_and_their_arguments_come_in_pieces():
    """Functions and custom tools, beside text; the stream is a legal one."""
    turn = [
        "Let me see.",
        Call("weather", {"city": "São Paulo"}, id="call_1"),
        Call("sql", "SELECT 1;", custom=True),
    ]
    with Script(turn, turn) as script:
        with run_server(script) as url:
            data = ask(url, model="script", tools=TOOLS, stream=True).body
        with client_of(script) as client:
            completion = say(client, tools=TOOLS)
    chunks, error = check_stream(data)
    assert error is None
    deltas = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert len([delta for delta in deltas if delta["index"] == 0]) > 3
    first, second = completion.choices[0].message.tool_calls
    assert (first.id, json.loads(first.function.arguments)) == ("call_1", {"city": "São Paulo"})
    assert (second.type, second.custom.name, second.custom.input) == ("custom", "sql", "SELECT 1;")
    assert completion.choices[0].finish_reason == "tool_calls"


def test_arguments_may_be_broken():
    """A string goes out as it stands."""
    with Script(Call("weather", '{"city": ')) as script, client_of(script) as client:
        (call,) = say(client, tools=TOOLS).choices[0].message.tool_calls
    assert call.function.arguments == '{"city": '


def test_choices():
    """With `n`, each event says its choice; calls are numbered in each."""
    turn = [Text("a"), Call("f", choice=1), Call("g", choice=1), Call("h")]
    with Script(turn) as script, client_of(script) as client:
        completion = say(client, n=2, tools=TOOLS)
    names = [[call.function.name for call in choice.message.tool_calls] for choice in completion.choices]
    assert names == [["h"], ["f", "g"]]


def test_an_error_is_a_turn_like_another():
    """As an answer's status, or in the middle of a stream; a client that tries again gets the next turn."""
    error = RateLimitError("later", headers={"retry-after": "0"})
    with Script(error, "Hello.") as script, Client(app=create_app(script), max_retries=1) as client:
        assert say(client).text == "Hello."
    script = Script(["Hel", Pause(0.01), InternalServerError("broken")])
    with client_of(script) as client, pytest.raises(InternalServerError, match="broken") as raised:
        list(say(client, stream=True))
    assert raised.value.completion.text == "Hel"


def test_a_pause_delays_what_follows():
    """The client gets what came before it at once, and gives up when it is too long."""
    script = Script(["Hel", Pause(60), "lo"])
    with (
        run_server(script) as url,
        Client(base_url=url, timeout=Timeout(idle=0.3), max_retries=0) as client,
        pytest.raises(StreamTimeoutError) as raised,
    ):
        list(say(client, stream=True))
    assert raised.value.completion.text == "Hel"


def test_a_function_makes_a_turn_of_the_request():
    """It may return a turn, or yield one."""

    def upper(request):
        return request.messages[-1].text.upper() + " !"

    def twice(request):
        yield "a"
        yield Call("weather", {"said": request.messages[-1].text})

    with Script(upper, twice) as script, client_of(script) as client:
        assert pieces(client) == ["HI ", "!"]
        message = say(client, "Rome").choices[0].message
    assert (message.content, message.tool_calls[0].function.arguments) == ("a", '{"said": "Rome"}')
    assert [request.messages[-1].text for request in script.requests] == ["Hi", "Rome"]


def test_it_answers_to_a_model_of_your_choice():
    """And takes every parameter."""
    with Script("Hi.", model="gpt-x") as script, client_of(script) as client:
        answer = client.chat.completions.create(
            model="gpt-x", messages=[HI], top_p=0.3, stop="x", seed=1, max_tokens=1
        )
    assert answer.text == "Hi."
    assert (script.requests[0].top_p, script.requests[0].seed) == (0.3, 1)


# --- what it was not written for ------------------------------------------------------------------------


def refused(script: Script, text: str = "Hi") -> str:
    """What a client is told, once: a 400 is not tried again."""
    with Client(app=create_app(script), max_retries=2) as client, pytest.raises(BadRequestError) as raised:
        say(client, text)
    assert raised.value.code == "not_in_the_script"
    return raised.value.message


def test_a_request_after_the_last_turn():
    """Both the client and the test are told."""
    script = Script("One.")
    with client_of(script) as client:
        say(client)
    message = refused(script, "More, please")
    assert "Request 2 is not what the script expects: it ends after turn 1." in message
    assert "Its last message, of the role user, is 'More, please'." in message
    assert len(script.requests) == 2
    with pytest.raises(AssertionError, match="it ends after turn 1"):
        script.check()


def test_a_request_that_a_turn_does_not_expect():
    """What the function asserted is told to the client and raised in the test, even where the program hides it."""

    def expects(request):
        assert request.messages[-1].text == "Hi", "no greeting"
        return "Hello."

    with pytest.raises(AssertionError, match="no greeting"), Script(expects) as script:
        assert "no greeting" in refused(script, "Bye")


def test_a_function_that_fails_otherwise():
    """Its own error comes out, too."""
    with pytest.raises(ZeroDivisionError), Script(lambda request: str(1 / 0)) as script:
        assert "division by zero" in refused(script)


def test_a_turn_that_nobody_asked_for():
    """Is a failure of the test, unless that failed already."""
    left = pytest.raises(AssertionError, match="has 2 turns, and 1 of them")
    with left, Script("a", "b") as script, client_of(script) as client:
        say(client)
    with pytest.raises(KeyError), Script("a"):
        raise KeyError


@pytest.mark.parametrize(
    ("turn", "match"),
    [(RateLimitError, "give an instance"), (5, "not of 5"), (["a", 5], "not of 5"), (None, "not of None")],
    ids=["a class", "a number", "a number in a list", "nothing"],
)
def test_what_is_no_turn_is_refused_at_once(turn, match):
    """Not first when it is played."""
    with pytest.raises(TypeError, match=match):
        Script(turn)


def test_a_function_may_not_make_it_either():
    """The client is told what a turn is made of."""
    assert "not of 5" in refused(Script(lambda request: [5]))


def test_turns_may_come_from_a_generator():
    """Which is used up once, when the script is made."""

    def made() -> Iterator[str]:
        yield "a"
        yield "b"

    with Script(made()) as script, client_of(script) as client:
        assert pieces(client) == ["a", "b"]


@pytest.mark.parametrize(
    "arguments", [{"on": object()}, {"at": float("nan")}], ids=["an object", "no number"]
)
def test_arguments_without_json_are_refused_at_once(arguments):
    """Else the program under test would see an error of the server's."""
    with pytest.raises((TypeError, ValueError), match="not JSON"):
        Call("f", arguments)
