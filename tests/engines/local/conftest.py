"""What the tests of the local engine share: the embedded model, a way to ask it, and model files made here."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duologue_pocket
import msgspec
import numpy as np
import pytest

from duologue.engine import Event, Finish, Text, Usage
from duologue.engines.local import LocalEngine, default_engine
from duologue.engines.local.model import Model
from duologue.types.chat.request import ChatRequest


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
        return [event.reason for event in self.events if isinstance(event, Finish)]

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


# --- model files -----------------------------------------------------------------------------------------

F32, F16, Q8_0 = 0, 1, 8


def encode_value(value: Any) -> bytes:
    """A metadata value with its type before it."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<Ii" if value < 0 else "<IQ", 5 if value < 0 else 10, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + encode_text(value)
        case list():
            items = [encode_value(item) for item in value]
            kind = items[0][:4] if items else struct.pack("<I", 4)
            return (
                struct.pack("<I", 9) + kind + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)
            )
    raise TypeError(value)


def encode_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def encode_tensor(array: np.ndarray, kind: int) -> bytes:
    if kind == F32:
        return array.astype("<f4").tobytes()
    if kind == F16:
        return array.astype("<f2").tobytes()
    blocks = array.reshape(-1, 32)
    scales = np.maximum(np.abs(blocks).max(1), 1e-9) / 127
    packed = np.empty(len(blocks), [("d", "<f2"), ("q", "i1", (32,))])
    packed["d"], packed["q"] = scales, np.round(blocks / scales[:, None])
    return packed.tobytes()


def encode_gguf(
    metadata: dict[str, Any], tensors: dict[str, tuple[np.ndarray, int]], *, version: int = 3
) -> bytes:
    """A GGUF file of metadata and tensors, each with its type's number."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += encode_text(key) + encode_value(value)
    body = b""
    for name, (array, kind) in tensors.items():
        head += encode_text(name) + struct.pack("<I", array.ndim)
        head += struct.pack(f"<{array.ndim}Q", *array.shape[::-1]) + struct.pack("<IQ", kind, len(body))
        body += encode_tensor(array, kind)
        body += bytes(-len(body) % 32)
    return head + bytes(-len(head) % 32) + body


LETTERS = [chr(b) if chr(b).isprintable() and b not in (32, 0xA0, 0xAD) else None for b in range(256)]
SPARE = iter(range(256, 512))
LETTERS = [letter or chr(next(SPARE)) for letter in LETTERS]
TEMPLATE = "{% for m in messages %}<s>{{ m.role }}:{{ m.content }}</s>{% endfor %}<s>"


class Plan:
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

    def encode(self) -> bytes:
        return encode_gguf(self.metadata, self.tensors)

    def write(self, folder: Path) -> Path:
        path = folder / "file.gguf"
        path.write_bytes(self.encode())
        return path


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
