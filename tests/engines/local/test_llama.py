"""The forward pass against a second, slow and plain one; the cache."""

from __future__ import annotations

import numpy as np
import pytest

from duologue.engines.local.gguf import GGUF
from duologue.engines.local.llama import CACHE_STEP, Llama, LlamaConfig


@pytest.fixture
def llama(plan, tmp_path) -> Llama:
    file = GGUF(plan.write(tmp_path))
    return Llama(file, LlamaConfig.read(file))


def plain_logits(weights, ids, *, layers=2, heads=4, groups=2, epsilon=1e-5, base=10000.0):
    """A Llama as the papers write it: one token and one head at a time, nothing kept, in float64."""
    w = {name: array.astype(np.float64) for name, (array, _) in weights.items()}
    states = [w["token_embd.weight"][i] for i in ids]

    def normal(x, weight):
        return x / np.sqrt(np.mean(x**2) + epsilon) * weight

    def turn(x, position):
        out = np.empty_like(x)
        for pair in range(len(x) // 2):
            angle = position * base ** (-2 * pair / len(x))
            a, b = x[2 * pair], x[2 * pair + 1]
            out[2 * pair] = a * np.cos(angle) - b * np.sin(angle)
            out[2 * pair + 1] = a * np.sin(angle) + b * np.cos(angle)
        return out

    for layer in range(layers):
        of = {name.split(".")[2]: array for name, array in w.items() if name.startswith(f"blk.{layer}.")}
        inputs = [normal(x, of["attn_norm"]) for x in states]
        queries = [(of["attn_q"] @ x).reshape(heads, -1) for x in inputs]
        keys = [(of["attn_k"] @ x).reshape(groups, -1) for x in inputs]
        values = [(of["attn_v"] @ x).reshape(groups, -1) for x in inputs]
        for t, x in enumerate(states):
            seen = []
            for head in range(heads):
                group = head * groups // heads
                query = turn(queries[t][head], t)
                scores = np.array([query @ turn(keys[s][group], s) for s in range(t + 1)])
                scores = np.exp(scores / np.sqrt(len(query)))
                seen.append(sum(p * values[s][group] for s, p in enumerate(scores / scores.sum())))
            states[t] = x + of["attn_output"] @ np.concatenate(seen)
        for t, x in enumerate(states):
            y = normal(x, of["ffn_norm"])
            gate = of["ffn_gate"] @ y
            states[t] = x + of["ffn_down"] @ (gate / (1 + np.exp(-gate)) * (of["ffn_up"] @ y))
    return w["token_embd.weight"] @ normal(states[-1], w["output_norm.weight"])


IDS = [3, 200, 41, 41, 7, 99, 255, 0, 18, 5, 5, 130]


@pytest.mark.parametrize("slices", [[12], [1] * 12, [5, 7], [11, 1], [4, 4, 4]], ids=str)
def test_however_a_prompt_is_sliced_the_logits_are_those_of_the_plain_pass(slices, llama, plan):
    cache = llama.cache(12)
    at = 0
    for size in slices:
        hidden = llama.forward(IDS[at : at + size], cache)
        at += size
    np.testing.assert_allclose(llama.logits(hidden), plain_logits(plan.tensors, IDS), rtol=1e-3, atol=1e-4)


def test_a_fork_goes_its_own_way(llama):
    """After a fork each sequence gives what it gives alone."""
    cache = llama.cache(10)
    llama.forward(IDS[:4], cache)
    other = cache.fork()
    first, second = llama.forward([1], cache), llama.forward([2], other)
    for token, hidden in ((1, first), (2, second)):
        alone = llama.cache(10)
        expected = llama.forward([*IDS[:4], token], alone)
        np.testing.assert_allclose(hidden, expected, rtol=1e-4, atol=1e-5)


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
