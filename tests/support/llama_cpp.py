"""llama.cpp as a reference for the tests: what it computes of a model file.

It runs in a process of its own, because what it starts stays until the process ends. It keeps keys and values in
float32 and attends without shortcuts, so that its numbers are the model's own.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["Place", "greedy", "tokenize"]

PATIENCE_S = 60


class Place(NamedTuple):
    """One place of an answer: the likeliest token, and the log-probabilities of the three likeliest."""

    token: int
    top: dict[int, float]


def greedy(path: Path, prompts: Sequence[Sequence[int]], *, tokens: int) -> list[list[Place]]:
    """The likeliest continuation of each prompt, at most so many tokens; the test is skipped without llama.cpp."""
    answers = _run(path, [{"prompt": list(prompt), "max_tokens": tokens} for prompt in prompts])
    return [
        [
            Place(place["id"], {top["id"]: top["logprob"] for top in place["top_logprobs"]})
            for place in answer["choices"][0]["logprobs"]["content"]
            if place["bytes"]  # the end of an answer has an entry without text
        ]
        for answer in answers
    ]


def tokenize(path: Path, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text, in which nothing is a control token; the test is skipped without llama.cpp."""
    return [answer["tokens"] for answer in _run(path, [{"content": text} for text in texts])]


def _run(path: Path, requests: list[dict[str, object]]) -> list[dict]:
    pytest.importorskip("xllamacpp", reason="compares with llama.cpp: pip install xllamacpp")
    done = subprocess.run(
        [sys.executable, __file__, str(path)],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _main() -> None:
    import xllamacpp

    with tempfile.TemporaryDirectory() as folder:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = sys.argv[1]
        parameters.n_ctx, parameters.n_parallel, parameters.cpuparams.n_threads = 1024, 1, 1
        parameters.verbosity = -1
        parameters.hostnames = [f"{folder}/socket.sock"]
        parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        server = xllamacpp.Server(parameters)
        plain = {"temperature": 0, "top_k": 0, "min_p": 0.0, "samplers": ["temperature"], "n_probs": 3}
        answers = [
            server.handle_completions({**plain, **request})
            if "prompt" in request
            else _post(parameters.hostnames[0], request)
            for request in json.load(sys.stdin)
        ]
        json.dump(answers, sys.stdout)
        sys.stdout.flush()
    os._exit(0)  # its threads would not let the process end


def _post(path: str, request: dict[str, object]) -> object:
    """What its server answers about the tokens of a text; there is no other way to ask."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    body = json.dumps({**request, "add_special": False, "parse_special": False})
    connection.request("POST", "/tokenize", body, {"Content-Type": "application/json"})
    with connection.getresponse() as response:
        return json.load(response)


if __name__ == "__main__":
    _main()
