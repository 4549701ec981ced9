"""Which models the engine runs, and what it says of those that it does not."""

from __future__ import annotations

import numpy as np
import pytest

from duologue.engines.local import LocalEngine
from duologue.engines.local.gguf import GGUFError
from duologue.engines.local.model import Model
from support.gguf_writer import BF16, F16, F32, LETTERS, Q8_0

REFUSED = {
    "another architecture": (
        {"general.architecture": "gemma"},
        "'gemma' model.* llama, qwen2, qwen3 models only.*serve,gguf",
    ),
    "no architecture": ({"general.architecture": None}, "general.architecture is missing"),
    "a part of a model": ({"split.count": 3}, r"one of several files.*serve,gguf"),
    "no chat template": ({"tokenizer.chat_template": None}, "has no chat template.*instruct"),
    "a template that does not parse": ({"tokenizer.chat_template": "{% for %}"}, "does not parse"),
    "a template that is nested too deeply": (
        {"tokenizer.chat_template": "{{ " + "(" * 9999 + ")" * 9999 + " }}"},
        "does not parse .maximum recursion depth",
    ),
    "a template with too many blocks": (
        {"tokenizer.chat_template": "{% for a in b %}" * 60 + "{% endfor %}" * 60},
        "does not parse",
    ),
    "a template without end": ({"tokenizer.chat_template": "{{ a }}" * 99_999}, "template of 699993 char"),
    "control tokens without end": (
        {"tokenizer.ggml.tokens": [*LETTERS, "<s>", "</s>" * 99_999, "th", "Ġth"]},
        "control tokens of more than 262144 characters",
    ),
    "another kind of tokenizer": (
        {"tokenizer.ggml.model": "llama"},
        "'llama' tokenizer.*llama.cpp may run it",
    ),
    "another family of tokenizers": ({"tokenizer.ggml.pre": "tekken"}, "family 'tekken'"),
    "no tokens": ({"tokenizer.ggml.tokens": None}, "tokenizer.ggml.tokens is missing"),
    "tokens that are numbers": ({"tokenizer.ggml.tokens": [1, 2]}, "must be a list of texts"),
    "types for other tokens": ({"tokenizer.ggml.token_type": [1]}, "type of each token"),
    "a byte without a token": ({"tokenizer.ggml.token_type": [3] + [1] * 259}, "lacks 1 of the 256"),
    "a merge of unknown tokens": ({"tokenizer.ggml.merges": ["q q"]}, "merge 'q q' of unknown tokens"),
    "no token that ends an answer": (
        {"tokenizer.ggml.eos_token_id": None, "tokenizer.ggml.token_type": [1] * 256 + [3, 4, 1, 1]},
        "no token that ends an answer",
    ),
    "an end token out of range": ({"tokenizer.ggml.eos_token_id": 260}, "from 0 to 259"),
    "scaled positions": ({"llama.rope.scaling.type": "yarn"}, r"scaled by 'yarn'.*\[serve,gguf\]"),
    "positions scaled by nothing": ({"llama.rope.scaling.type": "linear"}, "rope.scaling.factor is missing"),
    "heads that its groups do not divide": ({"llama.attention.head_count_kv": 3}, "groups do not divide"),
    "half-turned heads": ({"llama.rope.dimension_count": 4}, "rope.dimension_count is 4"),
    "no width": ({"llama.embedding_length": None}, "embedding_length is missing"),
    "a width of 0": ({"llama.embedding_length": 0}, "embedding_length is 0"),
    "a width that is text": ({"llama.embedding_length": "wide"}, "embedding_length is 'wide'"),
    "more layers than tensors": ({"llama.block_count": 2**31}, "block_count is 2147483648"),
    "a layer more than there is": ({"llama.block_count": 3}, r"has no tensor blk\.2\.attn_norm"),
    "a layer less than there is": (
        {"llama.block_count": 1},
        r"'blk\.1\.attn_norm\.weight' that the numpy backend does not know",
    ),
    "another width than its tensors": ({"llama.embedding_length": 64}, "of shape .* is expected"),
    "a context without end": ({"llama.context_length": 2**40}, "context_length is 1099511627776"),
    "an epsilon of 0": ({"llama.attention.layer_norm_rms_epsilon": 0.0}, "a number above 0"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_cannot_be_run_is_refused_in_one_line(changes, message, plan, tmp_path):
    for key, value in changes.items():
        plan.metadata.pop(key, None)
        if value is not None:
            plan.metadata[key] = value
    with pytest.raises(GGUFError, match=message) as caught:
        Model(plan.write(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_tensor_of_another_kind_of_model_is_refused(plan, tmp_path):
    plan.tensors["blk.0.attn_q_norm.weight"] = (np.ones(8, np.float32), 0)
    with pytest.raises(
        GGUFError, match=r"'blk\.0\.attn_q_norm\.weight' that the numpy backend does not know in a llama"
    ):
        Model(plan.write(tmp_path))


@pytest.mark.parametrize(
    ("general", "given", "expected"),
    [
        pytest.param("small  model", None, "small model", id="the file's own name"),
        pytest.param(" ", None, "file", id="the name of the file"),
        pytest.param("small", "mine", "mine", id="the one it is given"),
        pytest.param("a\x1b[31mb\n\0c", None, "a [31mb c", id="what can be printed of it"),
        pytest.param("x" * 10_000, None, "x" * 100, id="no more than its beginning"),
    ],
)
def test_the_name_it_answers_to(general, given, expected, plan, tmp_path):
    plan.metadata["general.name"] = general
    assert LocalEngine(plan.write(tmp_path), model=given).models == (expected,)


@pytest.mark.parametrize("key", [None, "tokenizer.ggml.eot_token_id"], ids=["not named", "named"])
def test_an_answer_ends_with_every_token_that_is_known_to_end_it(key, plan, tmp_path):
    """Beside the one that the file names: many files name only one of two."""
    plan.metadata["tokenizer.ggml.tokens"][256] = "<|im_end|>"
    if key:
        plan.metadata[key] = 256
    assert Model(plan.write(tmp_path)).ends == {256, 257}


async def collect(engine, request):
    return [event async for event in engine.generate(request)]


async def test_a_model_may_have_matrices_of_any_readable_type(plan, tmp_path, make_request):
    """Untied, in all four tensor types: an answer of the length asked for."""
    plan.tensors["output.weight"] = plan.tensors["token_embd.weight"]
    for index, (name, (array, _)) in enumerate(plan.tensors.items()):
        plan.tensors[name] = (array, (F32, F16, BF16, Q8_0)[index % 4] if array.ndim > 1 else F32)
    engine = LocalEngine(plan.write(tmp_path))
    events = await collect(engine, make_request("the", max_tokens=5, temperature=0))
    prompt = ["<s>", "u", "s", "e", "r", ":", "th", "e", "</s>", "<s>"]
    assert (events[-1].prompt_tokens, events[-1].completion_tokens) == (len(prompt), 5)


async def test_weights_that_are_not_finite_end_in_an_error(plan, tmp_path, make_request):
    array, kind = plan.tensors["blk.0.ffn_up.weight"]
    plan.tensors["blk.0.ffn_up.weight"] = (np.full_like(array, np.nan), kind)
    with pytest.raises(FloatingPointError, match="damaged"):
        await collect(LocalEngine(plan.write(tmp_path)), make_request("the"))
