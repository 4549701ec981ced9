"""Rows: how tokens are picked, and what is told of them."""

from __future__ import annotations

import math
import string
from collections import Counter

from .chat import Chat, Row

__all__ = ["ROWS"]


def temperature(chat: Chat) -> str:
    cold = set(chat.texts(n=8, temperature=0))
    hot = set(chat.texts(n=8, temperature=2))
    assert len(cold) == 1
    assert len(hot) >= 4
    return f"at 0 all 8 answers are the same, at 2 there are {_many(len(hot))}"


def top_p(chat: Chat) -> str:
    likeliest = chat.text(temperature=0)
    narrow = set(chat.texts(n=8, temperature=2, top_p=0))
    wide = set(chat.texts(n=8, temperature=2, top_p=1))
    assert narrow == {likeliest}
    assert len(wide) >= 4
    return f"at 0 all 8 are the likeliest answer, at 1 there are {_many(len(wide))}"


def seed(chat: Chat) -> str:
    first, again, other = (chat.texts(n=4, temperature=2, seed=number) for number in (7, 7, 8888))
    assert first == again
    assert first != other
    assert len(set(first)) > 1
    return "the same seed gives the same 4 answers, which differ among each other; another seed gives others"


LETTERS = string.ascii_lowercase


def letters_only(chat: Chat) -> dict[str, int]:
    """A bias that leaves the model nothing but single letters to say."""
    return {str(chat.tokenizer.encode(letter)[0]): 100 for letter in LETTERS}


def count_letters(chat: Chat, **penalty: float) -> Counter[str]:
    text = "".join(
        chat.text(question, logit_bias=letters_only(chat), max_completion_tokens=52, **penalty)
        for question in ("Hello", "Tell me a story.")
    )
    assert len(text) == 104
    assert set(text) <= set(LETTERS)
    return Counter(text)


def presence_penalty(chat: Chat) -> str:
    plain, punished = count_letters(chat), count_letters(chat, presence_penalty=2)
    assert len(punished) > len(plain)
    return f"of 26 letters, {len(punished)} come up in the same number of tokens, instead of {len(plain)}"


def frequency_penalty(chat: Chat) -> str:
    plain, punished = count_letters(chat), count_letters(chat, frequency_penalty=2)
    most = max(plain.values()), max(punished.values())
    assert most[1] < most[0] / 2
    return f"of 104 letters the most frequent comes {most[1]} times, instead of {most[0]} times"


def logit_bias(chat: Chat) -> str:
    first = chat.ask(logprobs=True).choices[0].logprobs.content[0]
    banned = next(i for i, piece in enumerate(chat.tokenizer.pieces) if piece == bytes(first.bytes))
    without = chat.text(logit_bias={str(banned): -100})
    assert not without.startswith(first.token)
    (letter,) = chat.tokenizer.encode("z")
    assert chat.text(logit_bias={str(letter): 100}, max_completion_tokens=5) == "zzzzz"
    return "100 makes all 5 tokens this one; -100 on the likeliest first token begins another answer"


def logprobs(chat: Chat) -> str:
    choice = chat.ask(logprobs=True).choices[0]
    entries = choice.logprobs.content
    assert b"".join(bytes(entry.bytes) for entry in entries) == choice.message.content.encode()
    assert all(entry.logprob <= 0 and entry.top_logprobs == [] for entry in entries)
    assert chat.ask().choices[0].logprobs is None
    return "each token of the answer with its log probability; the bytes of all are the answer"


def top_logprobs(chat: Chat) -> str:
    for entry in chat.ask(logprobs=True, top_logprobs=5).choices[0].logprobs.content:
        others = [other.logprob for other in entry.top_logprobs]
        assert len(others) == 5
        assert others == sorted(others, reverse=True)
        assert sum(map(math.exp, others)) <= 1 + 1e-6
        assert entry.top_logprobs[0].bytes == entry.bytes  # at temperature 0
    return "the 5 likeliest in each place, best first; at temperature 0 the first of them is the answer's"


def prediction(chat: Chat) -> str:
    digits = {str(chat.tokenizer.encode(digit)[0]): 100 for digit in string.digits}
    text = chat.text(logit_bias=digits)
    details = []
    for predicted in (text, "no digit at all"):
        answer = chat.ask(logit_bias=digits, prediction={"type": "content", "content": predicted})
        assert answer.choices[0].message.content == text
        details.append(answer.usage.completion_tokens_details)
    if chat.engine.supports["prediction"] == "inert":
        assert all(
            told.accepted_prediction_tokens == told.rejected_prediction_tokens == 0 for told in details
        )
        return "the answer stays the same; nothing is guessed, and the usage says so"
    assert details[0].accepted_prediction_tokens >= len(text) / 2
    assert details[1].rejected_prediction_tokens >= 1
    return "the answer stays the same; tokens guessed rightly and wrongly are counted in the usage"


def _many(count: int) -> str:
    return f"{count} different ones"


ROWS = (
    Row("temperature", "0, then 2", temperature),
    Row("top_p", "0, then 1, at temperature 2", top_p),
    Row("seed", "7 twice, then another, at temperature 2", seed),
    Row("presence_penalty", "2, where only letters may come", presence_penalty),
    Row("frequency_penalty", "2, where only letters may come", frequency_penalty),
    Row("logit_bias", "100, then -100, for one token", logit_bias),
    Row("logprobs", "true", logprobs),
    Row("top_logprobs", "5", top_logprobs),
    Row("prediction", "the answer itself, then another text, where only digits may come", prediction),
)
