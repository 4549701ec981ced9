"""The forward pass against a second, slow and plain one, and against llama.cpp; the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from duologue.engines.local.architecture import FEATURES, LlamaConfig
from duologue.engines.local.gguf import GGUF
from duologue.engines.local.llama import CACHE_STEP, Cache, Llama
from support.gguf_writer import F32, ModelFile, tiny_model
from support.llama_cpp import greedy


@pytest.fixture
def llama(plan, tmp_path) -> Llama:
    return load(plan.write(tmp_path))


def load(path: Path) -> Llama:
    file = GGUF(path)
    return Llama(file, LlamaConfig.read(file))


def plain_logits(file: ModelFile, ids: list[int]) -> np.ndarray:
    """A model as the papers write it: one token and one head at a time, nothing kept, in float64."""
    w = {name: array.astype(np.float64) for name, (array, _) in file.tensors.items()}
    architecture = file.metadata["general.architecture"]
    of = {
        key.removeprefix(f"{architecture}."): value
        for key, value in file.metadata.items()
        if key.startswith(f"{architecture}.")
    }
    heads, groups = of["attention.head_count"], of["attention.head_count_kv"]
    stretch = of.get("rope.scaling.factor", 1.0)

    def normal(x, weight):
        return x / np.sqrt(np.mean(x**2) + of["attention.layer_norm_rms_epsilon"]) * weight

    def turn(x, position):
        out, half = np.empty_like(x), len(x) // 2
        for pair in range(half):
            one, other = (2 * pair, 2 * pair + 1) if architecture == "llama" else (pair, pair + half)
            angle = position / stretch * of.get("rope.freq_base", 10000.0) ** (-pair / half)
            if "rope_freqs.weight" in w:
                angle /= w["rope_freqs.weight"][pair]
            out[one] = x[one] * np.cos(angle) - x[other] * np.sin(angle)
            out[other] = x[one] * np.sin(angle) + x[other] * np.cos(angle)
        return out

    states = [w["token_embd.weight"][i] for i in ids]
    for layer in range(of["block_count"]):
        part = {name.split(".", 2)[2]: array for name, array in w.items() if name.startswith(f"blk.{layer}.")}

        def project(x, name, part=part):
            count = heads if name == "attn_q" else groups
            rows = (part[f"{name}.weight"] @ x + part.get(f"{name}.bias", 0)).reshape(count, -1)
            norm = part.get(f"{name}_norm.weight")
            return rows if norm is None else [normal(row, norm) for row in rows]

        inputs = [normal(x, part["attn_norm.weight"]) for x in states]
        queries, keys, values = (
            [project(x, name) for x in inputs] for name in ("attn_q", "attn_k", "attn_v")
        )
        for t, x in enumerate(states):
            seen = []
            for head in range(heads):
                group = head * groups // heads
                query = turn(queries[t][head], t)
                scores = np.array([query @ turn(keys[s][group], s) for s in range(t + 1)])
                scores = np.exp(scores / np.sqrt(len(query)))
                seen.append(sum(p * values[s][group] for s, p in enumerate(scores / scores.sum())))
            states[t] = x + part["attn_output.weight"] @ np.concatenate(seen)
        for t, x in enumerate(states):
            y = normal(x, part["ffn_norm.weight"])
            gate = part["ffn_gate.weight"] @ y
            states[t] = x + part["ffn_down.weight"] @ (
                gate / (1 + np.exp(-gate)) * (part["ffn_up.weight"] @ y)
            )
    head = w.get("output.weight", w["token_embd.weight"])
    return head @ normal(states[-1], w["output_norm.weight"])


IDS = [3, 200, 41, 41, 7, 99, 255, 0, 18, 5, 5, 130]


@pytest.mark.parametrize("slices", [[12], [1] * 12, [5, 7], [11, 1], [4, 4, 4]], ids=str)
def test_however_a_prompt_is_sliced_the_logits_are_those_of_the_plain_pass(slices, llama, plan):
    cache = llama.cache(12)
    at = 0
    for size in slices:
        hidden = llama.forward(IDS[at : at + size], cache)
        at += size
    np.testing.assert_allclose(llama.logits(hidden)[-1], plain_logits(plan, IDS), rtol=1e-3, atol=1e-4)


def scaled(architecture: str) -> ModelFile:
    """A model with linear scaling of its positions."""
    file = tiny_model(architecture)
    file.metadata |= {
        f"{architecture}.rope.scaling.type": "linear",
        f"{architecture}.rope.scaling.factor": 4.0,
    }
    return file


def divided() -> ModelFile:
    """A model with a tensor that divides the rotary frequencies, as Llama 3.1 has it."""
    file = tiny_model("llama")
    file.tensors["rope_freqs.weight"] = (np.linspace(1, 8, 8, dtype=np.float32), F32)
    return file


MODELS: dict[str, Callable[[], ModelFile]] = {
    **{name: partial(tiny_model, name) for name in FEATURES},
    "llama, scaled": partial(scaled, "llama"),
    "qwen2, scaled": partial(scaled, "qwen2"),
    "llama, frequencies divided": divided,
}
TIED: dict[str, Callable[[], ModelFile]] = {
    f"{name}, tied": partial(tiny_model, name, tied=True) for name in FEATURES
}


@pytest.mark.parametrize("make", (MODELS | TIED).values(), ids=MODELS | TIED)
def test_each_architecture_is_computed_as_the_plain_pass_does(make, tmp_path):
    file = make()
    llama = load(file.write(tmp_path))
    hidden = llama.forward(IDS, llama.cache(12))
    np.testing.assert_allclose(llama.logits(hidden)[-1], plain_logits(file, IDS), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_each_architecture_is_computed_as_llama_cpp_does(make, tmp_path):
    """Its greedy tokens, and the log-probabilities of the three likeliest in each place."""
    path = make().write(tmp_path)
    random = np.random.default_rng(7)
    prompts = [random.integers(0, 256, random.integers(1, 60)).tolist() for _ in range(4)]
    llama = load(path)
    for prompt, answer in zip(prompts, greedy(path, prompts, tokens=20), strict=True):
        cache = llama.cache(len(prompt) + 20)
        read = prompt
        for place in answer:
            logits = llama.logits(llama.forward(read, cache))[-1].astype(np.float64)
            chances = logits - np.logaddexp.reduce(logits)
            assert int(chances.argmax()) == place.token
            for token, expected in place.top.items():
                assert chances[token] == pytest.approx(expected, abs=1e-3)
            read = [place.token]


def test_a_fork_goes_its_own_way(llama):
    """After a fork each sequence gives what it gives alone."""
    cache = llama.cache(10)
    llama.forward(IDS[:4], cache)
    other = cache.fork()
    first, second = llama.forward([1], cache), llama.forward([2], other)
    for token, hidden in ((1, first), (2, second)):
        alone = llama.cache(10)
        expected = llama.forward([*IDS[:4], token], alone)
        np.testing.assert_allclose(hidden[-1], expected[-1], rtol=1e-4, atol=1e-5)


def test_every_token_of_a_call_has_its_logits(llama, plan):
    """Tokens read together give what they give when they are read one by one."""
    together = llama.logits(llama.forward(IDS, llama.cache(12)))
    for count in range(1, 13):
        np.testing.assert_allclose(together[count - 1], plain_logits(plan, IDS[:count]), rtol=1e-3, atol=1e-4)


def prompts(llama: Llama, count: int) -> list[Cache]:
    """Sequences of different lengths, read."""
    caches = [llama.cache(40) for _ in range(count)]
    for index, cache in enumerate(caches):
        llama.forward(IDS[: 3 + index], cache)
    return caches


@pytest.mark.parametrize("count", [2, 3, 8])
def test_what_is_decoded_together_is_the_same_to_the_last_bit_as_alone(llama, count):
    together, alone = prompts(llama, count), prompts(llama, count)
    for token in IDS:
        states = llama.decode([token ^ index for index in range(count)], together)
        logits = llama.logits(states)
        for index, cache in enumerate(alone):
            own = llama.decode([token ^ index], [cache])
            assert np.array_equal(own, states[index : index + 1])
            assert np.array_equal(llama.logits(own), logits[index : index + 1])


def test_tokens_of_one_sequence_decoded_together_are_the_same_to_the_last_bit_as_in_turn(llama):
    (together,), (alone,) = prompts(llama, 1), prompts(llama, 1)
    states = llama.decode(IDS, [together] * len(IDS))
    assert np.array_equal(states, np.concatenate([llama.decode([token], [alone]) for token in IDS]))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_decoding_computes_what_the_plain_pass_does(make, tmp_path):
    file = make()
    llama = load(file.write(tmp_path))
    cache = llama.cache(12)
    llama.forward(IDS[:5], cache)
    states = llama.decode(IDS[5:], [cache] * 7)
    np.testing.assert_allclose(llama.logits(states)[-1], plain_logits(file, IDS), rtol=1e-3, atol=2e-4)


def test_a_sequence_that_is_cut_back_goes_on_from_there(llama):
    (cache,), (other,) = prompts(llama, 1), prompts(llama, 1)
    llama.decode(IDS, [cache] * len(IDS))
    cache.length = other.length
    assert np.array_equal(llama.decode([7], [cache]), llama.decode([7], [other]))


def test_the_cache_grows_with_the_sequence_up_to_its_limit(llama):
    limit = 3 * CACHE_STEP + 10
    cache = llama.cache(limit)
    small = cache.values.nbytes
    llama.forward([1] * CACHE_STEP, cache)
    assert cache.values.nbytes == small
    llama.forward([1], cache)
    assert small < cache.values.nbytes <= 2 * small
    llama.forward([1] * (limit - cache.length), cache)
    assert cache.values.shape[3] == limit
    with pytest.raises(ValueError, match=f"over its limit of {limit}"):
        llama.forward([1], cache)


def test_a_short_sequence_has_a_short_cache(llama):
    assert llama.cache(7).values.shape[3] == 7
