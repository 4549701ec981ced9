"""What the scripted model says in each scene: the helpers of the official clients are tried on it.

Each scene is served as a model of its own name: `duologue serve support.scenes:stage`, in the folder `tests`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from duologue.engine import Event, Finish, Reasoning, Refusal, Text, Usage
from duologue.protocol.errors import InternalServerError, RateLimitError
from duologue.testing import Call, Pause, Script, Turn
from duologue.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob, TopLogprob
from duologue.types.chat.request import ChatRequest, ToolMessage

__all__ = ["SCENES", "Stage", "script", "stage"]


def _spoken(*tokens: str, event: type[Text | Refusal] = Text) -> list[Text | Refusal]:
    """Tokens with their log probabilities."""
    return [
        event(
            token,
            logprobs=[
                ChatCompletionTokenLogprob(
                    token=token,
                    bytes=list(token.encode()),
                    logprob=-0.5,
                    top_logprobs=[TopLogprob(token=token, bytes=None, logprob=-0.5)],
                )
            ],
            tokens=1,
        )
        for token in tokens
    ]


def _told(request: ChatRequest) -> dict[str, str]:
    """What the tools answered, by the id of the call."""
    return {
        message.tool_call_id: message.text for message in request.messages if isinstance(message, ToolMessage)
    }


def _after_both_tools(request: ChatRequest) -> str:
    told = _told(request)
    assert told.keys() == {"call_weather", "call_time"}
    degrees, hour = json.loads(told["call_weather"]), json.loads(told["call_time"])
    assert (degrees, hour) == ({"degrees": 31}, {"hour": 12})
    return "31 degrees at 12."


def _after_a_bad_call(request: ChatRequest) -> Turn:
    (error,) = _told(request).values()
    assert error, "the tool's error is told"
    return Call("weather", {"city": "Rome"}, id="call_again")


def _after_a_good_call(request: ChatRequest) -> str:
    assert json.loads(_told(request)["call_again"]) == {"degrees": 31}
    return "31 degrees."


CITY = '{"city": "Rome", "degrees": 31}'

BOTH = (Call("weather", {"city": "Rome"}, id="call_weather"), Call("time", {"zone": "CET"}, id="call_time"))

SCENES: Mapping[str, tuple[Any, ...]] = {
    "text": ("Hello, dear wörld 😀",),
    "usage": (["Hello.", Usage(7, 3, cached_tokens=2, reasoning_tokens=1)],),
    "choices": ([Text("one", 0), Text("two", 1), Finish("stop", 0), Finish("stop", 1)],),
    "reasoning": ([Reasoning("Hm. "), Reasoning("Yes."), "42"],),
    "logprobs": (_spoken("Hel", "lo"),),
    "refusal": (_spoken("I can", "not.", event=Refusal),),
    "structure": ([CITY[at : at + 4] for at in range(0, len(CITY), 4)],),
    "structure-cut": ([CITY[:12], Finish("length")],),
    "structure-filtered": ([CITY[:12], Finish("content_filter")],),
    "calls": (["Let me see. ", *BOTH],),
    "custom": (Call("sql", "SELECT 1;", id="call_sql", custom=True),),
    "tools": (BOTH, _after_both_tools),
    "tools-streamed": (BOTH, _after_both_tools),
    "tools-bad-arguments": (
        Call("weather", '{"city": ', id="call_bad"),
        _after_a_bad_call,
        _after_a_good_call,
    ),
    "retry": (RateLimitError("later", headers={"retry-after-ms": "1"}), "Hello."),
    "error": (RateLimitError("no more"),),
    "error-later": (["Hel", Pause(0.05), InternalServerError("broken")],),
    "pause": (["Hel", Pause(60), "lo"],),
}


def script(name: str) -> Script:
    """The script of a scene."""
    return Script(*SCENES[name], model=name)


class Stage:
    """All scenes, each as a model; a scene is played once."""

    def __init__(self) -> None:
        self._scripts = {name: script(name) for name in SCENES}
        self.models = tuple(self._scripts)
        self.supports = self._scripts[self.models[0]].supports

    def generate(self, request: ChatRequest) -> AsyncIterator[Event | str]:
        """Play the scene that the model names."""
        return self._scripts[request.model].generate(request)


stage = Stage()
