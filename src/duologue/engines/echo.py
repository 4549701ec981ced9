"""The echo engine: it repeats what the user said. A double for tests of programs that speak to a model.

Its token is a word with the white space behind it. It gives each of them the probability 1, so no
temperature, `top_p`, penalty or seed can change what it says, and it takes them as they are.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence

from ..engine import Event, Finish, Support, Text, Usage
from ..protocol.stops import find_stop
from ..types.chat.chat_completion import FinishReason
from ..types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob, TopLogprob
from ..types.chat.request import ChatRequest, UserMessage
from ._content import text_of

__all__ = ["EchoEngine"]

NATIVE = (
    "frequency_penalty",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "temperature",
    "top_logprobs",
    "top_p",
)

TOKENS = re.compile(r"^\s+|\S+\s*")


class EchoEngine:
    """Repeats the last message of the user, or the last message of all where the user said nothing."""

    double = True  # it only stands in for a model, so the profile `mock` may be its server's
    models: Sequence[str] = ("echo",)
    supports: Mapping[str, Support] = dict.fromkeys(NATIVE, "native")

    async def generate(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """Yield the text token by token, for all choices in turn.

        Raises `BadRequestError` for a message with content that is no text.
        """
        texts = [text_of(message, f"messages[{index}]") for index, message in enumerate(request.messages)]
        spoken = [i for i, message in enumerate(request.messages) if isinstance(message, UserMessage)]
        tokens = TOKENS.findall(texts[spoken[-1] if spoken else -1])
        said, count, reason = _say(tokens, request)
        choices = range(request.n or 1)
        for token in TOKENS.findall(said):
            logprobs = [_certain(token, request.top_logprobs)] if request.logprobs else None
            for choice in choices:
                yield Text(token, choice, logprobs, tokens=1)
        for choice in choices:
            yield Finish(reason, choice)
        prompt_tokens = sum(len(TOKENS.findall(text)) for text in texts)
        yield Usage(prompt_tokens=prompt_tokens, completion_tokens=count * len(choices))


def _say(tokens: list[str], request: ChatRequest) -> tuple[str, int, FinishReason]:
    """What is said of the tokens under the request's limits, how many of them it took, and why it ended."""
    made = tokens[: request.token_limit]
    said = "".join(made)
    found = find_stop(said, request.stops)
    if found is None:
        return said, len(made), "stop" if len(made) == len(tokens) else "length"
    start, end = found
    return said[:start], len(TOKENS.findall(said[:end])), "stop"


def _certain(token: str, top: int | None) -> ChatCompletionTokenLogprob:
    """A token of probability 1, which has no alternative but itself."""
    spelled = list(token.encode("utf-8", "replace"))
    alternatives = [TopLogprob(token=token, bytes=spelled, logprob=0.0)] if top else []
    return ChatCompletionTokenLogprob(token=token, bytes=spelled, logprob=0.0, top_logprobs=alternatives)
