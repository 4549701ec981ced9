"""What a row of the table asks of: a local model behind a server, through the official client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from duologue.engine import Engine
from duologue.engines.local.gguf import GGUF
from duologue.engines.local.tokenizer import Tokenizer
from duologue.run import run_server

__all__ = ["Chat", "Row", "chat_with"]

QUESTION = "Write some random sentences."


class Chat:
    """Asks one model. What is not said is the question above, at temperature 0 and at most 24 tokens long."""

    def __init__(self, client: openai.OpenAI, engine: Engine, path: Path, ignored: str | None = None) -> None:
        self.client = client
        self.engine = engine
        self.path = path
        self._ignored = ignored

    def ignoring(self, parameter: str) -> Chat:
        """A chat with the same model that never hears of a parameter."""
        return Chat(self.client, self.engine, self.path, parameter)

    @property
    def model(self) -> str:
        """The id of the model."""
        return self.engine.models[0]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's own, for parameters that name tokens by their number."""
        return Tokenizer(GGUF(self.path))

    def ask(self, *messages: str | dict[str, Any], **parameters: Any) -> ChatCompletion:
        """One answer. A text is what the user says."""
        return self.client.chat.completions.create(**self._request(messages, parameters))

    def stream(self, *messages: str | dict[str, Any], **parameters: Any) -> list[ChatCompletionChunk]:
        """The chunks of one answer."""
        request = self._request(messages, {"stream": True, **parameters})
        with self.client.chat.completions.create(**request) as stream:
            return list(stream)

    def texts(self, *messages: str | dict[str, Any], **parameters: Any) -> list[str]:
        """The contents of the choices."""
        return [choice.message.content or "" for choice in self.ask(*messages, **parameters).choices]

    def text(self, *messages: str | dict[str, Any], **parameters: Any) -> str:
        """The content of the only choice."""
        (text,) = self.texts(*messages, **parameters)
        return text

    def refusal(self, *messages: str | dict[str, Any], **parameters: Any) -> openai.APIStatusError:
        """The error that these are answered with."""
        try:
            self.ask(*messages, **parameters)
        except openai.APIStatusError as error:
            return error
        raise AssertionError(f"{parameters} were accepted")

    def _request(self, messages: tuple[Any, ...], parameters: dict[str, Any]) -> dict[str, Any]:
        said = [
            {"role": "user", "content": message} if isinstance(message, str) else message
            for message in messages or (QUESTION,)
        ]
        sent = {"temperature": 0, **parameters}
        if "max_tokens" not in sent:
            sent.setdefault("max_completion_tokens", 24)
        sent.pop(self._ignored, None)
        return {
            "model": sent.pop("model", self.model),
            "messages": said,
            "stream": sent.pop("stream", False),
            "extra_body": sent,
        }


@contextmanager
def chat_with(engine: Engine, path: Path) -> Iterator[Chat]:
    """A chat with an engine that runs the model in a file, while the block runs."""
    with (
        run_server(engine) as url,
        closing(openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=60)) as client,
    ):
        yield Chat(client, engine, path)


class Row(NamedTuple):
    """A row of the table: the parameter, what is asked with it, and what asks and tells the effect seen.

    `observe` fails where the effect is not there.
    """

    parameter: str
    asked: str
    observe: Callable[[Chat], str]
