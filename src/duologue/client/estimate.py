"""How many tokens a request and its answer take, counted here: what to go by where the server did not say.

It is an estimate, and says so. What is counted is text: of the messages, of the tools and of the answer, three
tokens more for each message, and three that begin the answer. Images, audio and files are not counted.
The tokenizer is tiktoken's for the model (the extra `tokenizer`), if its vocabulary is on this machine: nothing is
downloaded. Without it a token is four bytes of UTF-8, rounded up for each text.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..types.chat.chat_completion import ChatCompletion
from ..types.completion_usage import CompletionUsage

__all__ = ["usage_estimate"]

BYTES_PER_TOKEN = 4
PER_MESSAGE = 3
PER_ANSWER = 3

# The vocabularies by name, with the hashes that tiktoken wants to see: it downloads what is not so.
_ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_VOCABULARIES: Mapping[str, str] = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
_USUAL = "o200k_base"

Count = Callable[[str], int]


def usage_estimate(body: bytes, answer: ChatCompletion | None) -> CompletionUsage:
    """What the request with this body, and as much of its answer as has come, take."""
    request: Mapping[str, Any] = json.loads(body)
    count = _counter(str(request.get("model", "")))
    messages = request.get("messages")
    asked = PER_ANSWER + (PER_MESSAGE * len(messages) if isinstance(messages, list) else 0)
    asked += sum(map(count, _asked(request)))
    made = sum(map(count, _made(answer))) if answer is not None else 0
    return CompletionUsage(
        prompt_tokens=asked, completion_tokens=made, total_tokens=asked + made, estimated=True
    )


def _asked(request: Mapping[str, Any]) -> Iterator[str]:
    for message in request.get("messages") or ():
        if isinstance(message, Mapping):
            yield from _texts(message.values())
    for name in ("tools", "functions", "response_format"):
        if request.get(name):
            yield json.dumps(request[name], ensure_ascii=False, separators=(",", ":"))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """The texts in parts of a message: its strings, and those in lists of calls and of text parts."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from _texts(value)
        elif isinstance(value, Mapping):
            kept = (held for name, held in value.items() if name in ("text", "function", "custom"))
            yield from _texts(value.values() if "name" in value else kept)


def _made(answer: ChatCompletion) -> Iterator[str]:
    for choice in answer.choices:
        message = choice.message
        yield from filter(None, (message.content, message.refusal, message.reasoning_text))
        yield from _texts([message.to_dict().get("tool_calls"), message.to_dict().get("function_call")])


@functools.cache
def _counter(model: str) -> Count:
    encode = _encoder(model)
    return _by_bytes if encode is None else lambda text: len(encode(text))


def _by_bytes(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _encoder(model: str) -> Callable[[str], list[int]] | None:
    """tiktoken's encoder for a model; None where it, or the vocabulary, is not on this machine."""
    try:
        import tiktoken
    except ImportError:
        return None
    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        name = _USUAL
    if not _is_here(name):
        return None
    return tiktoken.get_encoding(name).encode_ordinary


def _is_here(name: str) -> bool:
    """Whether tiktoken has a vocabulary without downloading it: loaded already, or in its cache."""
    loaded = getattr(sys.modules.get("tiktoken.registry"), "ENCODINGS", {})
    if name in loaded:
        return True
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if not folder or name not in _VOCABULARIES:
        return False
    file = Path(folder) / hashlib.sha1(_ADDRESS.format(name).encode(), usedforsecurity=False).hexdigest()
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == _VOCABULARIES[name]
    except OSError:
        return False
