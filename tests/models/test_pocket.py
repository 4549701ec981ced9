"""The model file: that it can be read, and what it says."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import duologue_pocket
import msgspec
import pytest
from recipe.lists import table

from duologue.engine import Text
from duologue.engines.local import default_engine
from duologue.engines.local.gguf import GGUF
from duologue.engines.local.model import Model
from duologue.types.chat.request import ChatRequest

POCKET = Path(__file__).parents[2] / "models" / "pocket"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(duologue_pocket.path())


@pytest.fixture
async def say():
    """Asks the model at temperature 0; the text of its answer."""
    engine = default_engine()

    async def ask(said, **parameters):
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        body = {"model": "pocket", "messages": messages, "temperature": 0, "max_tokens": 200, **parameters}
        events = [event async for event in engine.generate(msgspec.convert(body, ChatRequest))]
        return "".join(event.text for event in events if isinstance(event, Text))

    yield ask
    await engine.close()


def test_it_is_small_and_loads_fast():
    """At most 10 MB; a second is many times what loading takes on any machine."""
    assert duologue_pocket.path().stat().st_size < 10 * MEGABYTE
    start = time.perf_counter()
    Model(duologue_pocket.path())
    assert time.perf_counter() - start < 1


def test_the_file_says_what_it_is():
    file = GGUF(duologue_pocket.path())
    assert file.text("general.architecture") == "llama"
    assert file.text("general.license") == "Apache-2.0"
    assert file.metadata["llama.context_length"] >= 2048
    assert file.metadata["tokenizer.ggml.pre"] == "qwen2"


def test_the_file_has_the_template_of_the_recipe():
    written = (POCKET / "recipe" / "template.jinja").read_text("utf-8")
    assert GGUF(duologue_pocket.path()).text("tokenizer.chat_template") == written


def test_the_engine_has_the_tokens_that_the_model_was_trained_with(model):
    """On dialogues, and on odd texts."""
    sample = json.loads((POCKET / "encodings.json").read_text("utf-8"))
    assert len(sample) > 100
    for text, ids in sample:
        assert model.tokenizer.encode(text) == ids, text


def test_a_word_has_the_same_pieces_with_and_without_a_space(model):
    """So copying a word into quotation marks is copying its tokens."""
    encode, pieces = model.tokenizer.encode, model.tokenizer.pieces
    words = re.findall(r"[a-z]{5,}", table("words")["things"])
    same = [
        [piece for i in encode(f" {word}") if (piece := pieces[i].strip())]
        == [pieces[i] for i in encode(word)]
        for word in words
    ]
    assert sum(same) > 0.9 * len(words)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Hello", "Hello! How can I help you today?"),
        ("Hi, I am Petra.", "Petra"),
        ("Count from 1 to 9.", "1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("Repeat after me: the green lamp", "the green lamp"),
        ("What is 2 + 3?", "2 + 3 = 5"),
        ("How do I install Duologue?", "pip install duologue"),
        ("What does temperature do?", "random"),
        ("Which command starts the server?", "duologue serve"),
        ("What is the capital of France?", "I don't know"),
        ("Write a poem about the sea.", "I don't know"),
    ],
)
async def test_what_it_says(say, said, answer):
    assert answer in await say(said)


async def test_it_takes_fields_out_of_a_text(say):
    said = "Extract name, age and city as JSON: Maria is 31 years old and lives in Oslo."
    assert json.loads(await say(said)) == {"name": "Maria", "age": 31, "city": "Oslo"}


async def test_it_remembers_what_was_said_before(say):
    messages = [
        {"role": "user", "content": "My cat is called Momo."},
        {"role": "assistant", "content": "All right, I will remember that."},
        {"role": "user", "content": "What is my cat called?"},
    ]
    assert "Momo" in await say(messages)
