"""What a request asks of a model, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass

from ...types.chat.request import ChatRequest
from .forms import Form, Thoughts
from .model import ChatModel
from .reader import Reader
from .sampling import Sampling

__all__ = ["Plan", "plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One request's work, in the model's terms; the same for every backend.

    `prompt` are token ids, `limit` is the most tokens that one of the `choices` may take, `grammar` what
    llguidance holds the text to (None leaves it free), `prediction` the ids of the predicted text.
    """

    prompt: list[int]
    limit: int
    choices: int
    stops: tuple[str, ...]
    sampling: Sampling
    logprobs: bool
    top_logprobs: int
    grammar: str | None
    form: Form | None
    thoughts: Thoughts | None
    prediction: list[int] | None

    def reader(self) -> Reader:
        """A fresh reader, for one choice."""
        return Reader()


def plan(model: ChatModel, request: ChatRequest) -> Plan:
    """The plan of a request. Raises `BadRequestError`, with `param`, for what the model cannot honour."""
    prompt = model.prompts.write(request.messages, most=model.context)
    room = model.context - len(prompt)
    limit = request.token_limit
    return Plan(
        prompt=prompt,
        limit=room if limit is None else min(room, limit),
        choices=request.n or 1,
        stops=request.stops,
        sampling=Sampling.read(request, vocabulary=len(model.tokenizer), banned=model.forbidden.tolist()),
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs or 0,
        grammar=None,
        form=None,
        thoughts=None,
        prediction=_predicted(model, request),
    )


def _predicted(model: ChatModel, request: ChatRequest) -> list[int] | None:
    """The ids of the predicted output."""
    if request.prediction is None:
        return None
    content = request.prediction.content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    return model.tokenizer.encode(text)
