"""What the tests of the local engine share: the embedded model, a way to ask it, and model files made here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import duologue_pocket
import msgspec
import numpy as np
import pytest

from duologue.engine import Event, Finish, Text, Usage
from duologue.engines.local import LocalEngine, default_engine
from duologue.engines.local.answer import answer, decode
from duologue.engines.local.model import Model
from duologue.engines.local.worker import Aside
from duologue.engines.local.worker import Ask as Question
from duologue.types.chat.request import ChatRequest
from support.gguf_writer import F32, LETTERS, ModelFile


@dataclass
class Answer:
    """The events of one answer, and what they say."""

    events: list[Event | str]

    @property
    def texts(self) -> list[str]:
        """The text of each choice."""
        said: dict[int, str] = {event.choice: "" for event in self.events if isinstance(event, Finish)}
        for event in self.events:
            if isinstance(event, Text):
                said[event.choice] += event.text
        return [said[choice] for choice in sorted(said)]

    @property
    def text(self) -> str:
        return self.texts[0]

    @property
    def reasons(self) -> list[str]:
        ends = {event.choice: event.reason for event in self.events if isinstance(event, Finish)}
        return [ends[choice] for choice in sorted(ends)]

    @property
    def usage(self) -> tuple[int, int]:
        """Prompt and completion tokens."""
        (usage,) = [event for event in self.events if isinstance(event, Usage)]
        return usage.prompt_tokens, usage.completion_tokens


def request_of(messages: str | list[dict[str, Any]], **parameters: Any) -> ChatRequest:
    """A request; a text is what the user says."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return msgspec.convert({"model": "pocket", "messages": messages, **parameters}, ChatRequest)


@pytest.fixture(scope="session")
def make_request() -> Callable[..., ChatRequest]:
    return request_of


@pytest.fixture(scope="session")
def model() -> Model:
    """The embedded model, without an engine."""
    return Model(duologue_pocket.path())


@pytest.fixture
async def pocket() -> AsyncIterator[LocalEngine]:
    engine = default_engine()
    yield engine
    await engine.close()


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def ask(pocket: LocalEngine) -> Ask:
    async def ask(messages: str | list[dict[str, Any]], **parameters: Any) -> Answer:
        return Answer([event async for event in pocket.generate(request_of(messages, **parameters))])

    return ask


def steps_of(model: Model, request: ChatRequest) -> int:
    """How often the model has to compute for an answer, the prompt apart."""
    turns = answer(model, request, fingerprint="")
    count, made = 0, next(turns, None)
    while made is not None:
        if isinstance(made, Question):
            count += 1
            (logits,) = decode(model.weights(), [made.question])
            made = turns.send(logits)
        elif isinstance(made, Aside):
            made = turns.send(made.work())
        else:
            made = next(turns, None)
    return count


@pytest.fixture(scope="session")
def count_steps() -> Callable[[Model, ChatRequest], int]:
    return steps_of


# --- model files -----------------------------------------------------------------------------------------

TEMPLATE = "{% for m in messages %}<s>{{ m.role }}:{{ m.content }}</s>{% endfor %}<s>"


class Plan(ModelFile):
    """A small Llama that a test changes before it is written: 2 layers, 4 heads in 2 groups, 260 tokens."""

    def __init__(self) -> None:
        tokens = [*LETTERS, "<s>", "</s>", "th", "Ġth"]
        self.metadata: dict[str, Any] = {
            "general.architecture": "llama",
            "general.name": "small",
            "llama.context_length": 64,
            "llama.embedding_length": 32,
            "llama.block_count": 2,
            "llama.feed_forward_length": 64,
            "llama.attention.head_count": 4,
            "llama.attention.head_count_kv": 2,
            "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "qwen2",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [1] * 256 + [3, 3, 1, 1],
            "tokenizer.ggml.merges": ["t h", "Ġ th"],
            "tokenizer.ggml.bos_token_id": 256,
            "tokenizer.ggml.eos_token_id": 257,
            "tokenizer.chat_template": TEMPLATE,
        }
        random = np.random.default_rng(5)
        shapes: dict[str, tuple[int, ...]] = {"token_embd": (260, 32), "output_norm": (32,)}
        for layer in range(2):
            for name, shape in {
                "attn_norm": (32,), "attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32),
                "attn_output": (32, 32), "ffn_norm": (32,), "ffn_gate": (64, 32), "ffn_up": (64, 32),
                "ffn_down": (32, 64),
            }.items():  # fmt: skip
                shapes[f"blk.{layer}.{name}"] = shape
        self.tensors: dict[str, tuple[np.ndarray, int]] = {
            f"{name}.weight": (random.normal(0, 0.3, shape).astype(np.float32), F32)
            for name, shape in shapes.items()
        }


@pytest.fixture
def plan() -> Plan:
    return Plan()


@pytest.fixture
def script(plan, tmp_path) -> Callable[[bytes], LocalEngine]:
    """An engine whose model, at temperature 0, says these bytes one token each, then `after`.

    No byte may come twice: the model has no layers that do anything, so a token decides on the next alone.
    """

    def script(said: bytes, after: str = "</s>") -> LocalEngine:
        tokens: list[str] = plan.metadata["tokenizer.ggml.tokens"]
        chain = [tokens.index("<s>"), *said, tokens.index(after)]
        embedding, _ = plan.tensors["token_embd.weight"]
        head = np.zeros_like(embedding)
        for token, following in pairwise(chain):
            head[following] += 10 * embedding[token] / np.linalg.norm(embedding[token])
        for name, (array, kind) in plan.tensors.items():
            if array.ndim > 1 and name != "token_embd.weight":
                plan.tensors[name] = (np.zeros_like(array), kind)
            elif array.ndim == 1:
                plan.tensors[name] = (np.ones_like(array), kind)
        plan.tensors["output.weight"] = (head, F32)
        return LocalEngine(plan.write(tmp_path))

    return script
