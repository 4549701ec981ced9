"""A process that tries grammars out, so that one that never compiles takes no more than this process.

It is started by `judge`. Its first line of input is a JSON object with the vocabulary, further lines are grammars
as JSON texts. Each is answered by a line of JSON: what is wrong with it, "" for nothing. It ends with its input.
"""

from __future__ import annotations

import faulthandler
import json
import random
import signal
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

__all__ = [
    "MAX_LEXER_STATES",
    "MAX_MEMORY",
    "MAX_WAYS",
    "MAX_WORK_AT_START",
    "MAX_WORK_PER_TOKEN",
    "QUIET",
    "STEPS",
    "TOO_COMPLEX",
    "main",
    "matcher_of",
]

# What one grammar may cost: states of its lexer (1 to 2 kB each), work at the start and for each token.
MAX_LEXER_STATES = 20_000
MAX_WORK_AT_START = 1_000_000
MAX_WORK_PER_TOKEN = 200_000
# Ways on at one place of an answer: an optional property is up to four.
MAX_WAYS = 5000
# The most memory of this process, in bytes of addresses.
MAX_MEMORY = 2**30
# How many tokens of an answer are tried: some grammars compile, and let nothing be written.
STEPS = 48
# How llguidance ends an error that could have said more.
QUIET = "\n<non-verbose/>"
TOO_COMPLEX = "it becomes too complex while an answer is written"


def matcher_of(engine: Any, vocabulary: Any, grammar: str) -> Any:
    """What llguidance makes of a grammar in Lark's syntax, errors included."""
    limits = engine.LLParserLimits(
        max_lexer_states=MAX_LEXER_STATES,
        initial_lexer_fuel=MAX_WORK_AT_START,
        step_lexer_fuel=MAX_WORK_PER_TOKEN,
        max_items_in_row=MAX_WAYS,
        verbose_errors=False,
    )
    return engine.LLMatcher(
        vocabulary, engine.LLMatcher.grammar_from_lark(grammar), log_level=0, limits=limits
    )


class _Tokens:
    """The vocabulary, as llguidance wants to see it. Texts are split at the longest tokens: no matter here."""

    def __init__(self, tokens: Sequence[bytes], special: Sequence[int], end: int) -> None:
        self.tokens = tokens
        self.special_token_ids = special
        self.eos_token_id = end
        self.bos_token_id = None
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._longest = max(map(len, tokens))

    def __call__(self, text: bytes | str) -> list[int]:
        data = text.encode() if isinstance(text, str) else text
        ids: list[int] = []
        at = 0
        while at < len(data):
            ends = range(min(len(data), at + self._longest), at, -1)
            end = next((end for end in ends if data[at:end] in self._ids), 0)
            if end:
                ids.append(self._ids[data[at:end]])
            at = end or at + 1
        return ids


def _checker(head: dict[str, Any]) -> Callable[[str], str]:
    """What says what is wrong with a grammar, for the vocabulary that the first line of input describes."""
    import llguidance

    ends: list[int] = head["ends"]
    tokens = _Tokens([token.encode("latin-1") for token in head["tokens"]], head["special"], ends[0])
    vocabulary = llguidance.LLTokenizer(llguidance.TokenizerWrapper(tokens), eos_token=ends)

    def check(grammar: str) -> str:
        matcher = matcher_of(llguidance, vocabulary, grammar)
        if not matcher.is_error():
            if not any(matcher.compute_bitmask()) and not matcher.is_error():
                return "no text satisfies it"
            if not matcher.is_error():
                return _walk(matcher, ends)
        words: str = matcher.get_error().partition(QUIET)[0]
        return "no text satisfies it" if words.startswith("NoExtension") else words

    return check


def _walk(matcher: Any, ends: Sequence[int]) -> str:
    """What goes wrong within the first tokens of some answer, "" for nothing."""
    choose = random.Random(0)
    for _ in range(STEPS):
        if matcher.is_stopped():
            break
        mask = bytearray(matcher.compute_bitmask())
        for end in ends:
            mask[end // 8] &= ~(1 << end % 8)
        token = _pick(mask, choose)
        if token is None or not matcher.consume_token(token):
            break
    words: str = matcher.get_error().partition(QUIET)[0] if matcher.is_error() else ""
    return f"{TOO_COMPLEX} ({words})" if words else ""


def _pick(mask: bytearray, choose: random.Random) -> int | None:
    """One of the bits that are set; None where none is."""
    start = choose.randrange(len(mask))
    for at in chain(range(start, len(mask)), range(start)):
        if mask[at]:
            bits = [bit for bit in range(8) if mask[at] >> bit & 1]
            return 8 * at + choose.choice(bits)
    return None


def main() -> None:
    """Answer the grammars that come in. What takes too long ends the process, and so does a lack of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the server, which ends this by itself
    head: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    check = _checker(head)
    _bound_memory()
    _say("")
    for line in sys.stdin.buffer:
        # A thread that needs no lock of Python's: it holds where the server is gone, too.
        faulthandler.dump_traceback_later(head["seconds"], exit=True)
        words = check(json.loads(line))
        faulthandler.cancel_dump_traceback_later()
        _say(words)


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # where there is none, the time is the only bound
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bound = MAX_MEMORY if most == resource.RLIM_INFINITY else min(MAX_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (bound, most))


def _say(words: str) -> None:
    sys.stdout.buffer.write(json.dumps(words).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
