"""Grammars that hold a model's text to them token by token: llguidance behind a few methods.

The package comes with the extra `serve`, but not for every platform. It is imported with the first grammar,
so that a model answers freely where it is missing.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...protocol.errors import BadRequestError, InternalServerError
from .finite import Numbers
from .grammar_check import QUIET, matcher_of
from .judge import MAX_CHECK_S, Judge
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    import llguidance

__all__ = ["MAX_COMPILED", "MAX_GRAMMAR_BYTES", "Constraint", "Constraints", "GrammarError"]

# How many compiled grammars of a model are kept for requests that ask for the same.
MAX_COMPILED = 16
# How large a grammar may be, and how many are remembered to be fine.
MAX_GRAMMAR_BYTES = 2**19
MAX_KNOWN = 1024
# The most of llguidance's own words that an error repeats.
MAX_WORDS = 300
# What the engine expects before the bytes of a token that is no text.
NO_TEXT = b"\xff"


class GrammarError(ValueError):
    """A grammar that cannot be used; the message is in llguidance's words."""


class Constraints:
    """What one model's answers may be held to. `ends` are the tokens that end an answer."""

    def __init__(self, tokenizer: Vocabulary, ends: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = sorted(ends)
        self._compiled = functools.lru_cache(MAX_COMPILED)(self._compile)
        self._known: dict[bytes, None] = {}
        self._judge: Judge | None = None
        self._lock = threading.Lock()

    def check(self, grammar: str) -> str:
        """What is wrong with a grammar in Lark's syntax, "" for nothing. Raises as `begin` does."""
        return self.checking()(grammar)

    def checking(self) -> Callable[[str], str]:
        """As `check`, for one request: all its grammars together may take `MAX_CHECK_S`."""
        left = MAX_CHECK_S

        def check(grammar: str) -> str:
            nonlocal left
            words, seconds = self._wrong(grammar, left)
            left -= seconds
            return words

        return check

    def begin(self, grammar: str) -> Constraint:
        """The constraint at the beginning of an answer.

        Raises `GrammarError` for a grammar that does not compile, that no text satisfies, or that is too costly,
        and `InternalServerError` with status 501 where llguidance is not installed.
        """
        if words := self.check(grammar):
            raise GrammarError(words)
        return self._compiled(grammar).fork()

    def close(self) -> None:
        """End the process that tries grammars out; it is started again with the next one."""
        with self._lock:
            judge = self._judge
        if judge is not None:
            judge.close()

    def _wrong(self, grammar: str, seconds: float) -> tuple[str, float]:
        """What is wrong with a grammar that may take so long, and how long it took."""
        _llguidance()
        digest = hashlib.sha256(grammar.encode()).digest()
        if digest in self._known:
            return "", 0.0
        if len(grammar) > MAX_GRAMMAR_BYTES:
            return f"it is larger than {MAX_GRAMMAR_BYTES} bytes", 0.0
        with self._lock:
            if self._judge is None:
                self._judge = Judge(self._tokens.tokens, self._tokens.special_token_ids, self._ends)
            judge = self._judge
        words, spent = judge.check(grammar, seconds)
        if not words:
            with self._lock:
                self._known[digest] = None
                while len(self._known) > MAX_KNOWN:
                    del self._known[next(iter(self._known))]
        return words, spent

    def _compile(self, grammar: str) -> Constraint:
        with self._lock:  # the first request builds it, and others wait for that
            vocabulary = self._vocabulary
        return Constraint(matcher_of(_llguidance(), vocabulary, grammar), len(self._tokenizer), self._numbers)

    @functools.cached_property
    def _tokens(self) -> _Tokens:
        return _Tokens(self._tokenizer, self._ends[0])

    @functools.cached_property
    def _numbers(self) -> Numbers:
        return Numbers(self._tokenizer.pieces)

    @functools.cached_property
    def _vocabulary(self) -> llguidance.LLTokenizer:
        engine = _llguidance()
        wrapper = engine.TokenizerWrapper(self._tokens)
        vocabulary: llguidance.LLTokenizer = engine.LLTokenizer(wrapper, eos_token=self._ends)
        return vocabulary


class Constraint:
    """One choice's way through a grammar."""

    def __init__(
        self, matcher: llguidance.LLMatcher, vocabulary: int, numbers: Numbers, tail: bytes = b""
    ) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._numbers = numbers
        self._tail = tail

    @property
    def done(self) -> bool:
        """Whether the text is complete, and nothing may follow but its end."""
        return self._matcher.is_stopped()

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, those that end an answer among them [V].

        Raises `BadRequestError` where the grammar has become too complex, or left no way on.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        allowed = np.unpackbits(bits, count=self._vocabulary, bitorder="little").view(np.bool_)
        if self._matcher.is_error() or not allowed.any():
            raise self._stuck()
        return self._numbers.bound(self._tail, allowed)

    def forced(self) -> Sequence[int]:
        """The tokens that must come next, in the tokenizer's own spelling; none where there is a choice."""
        forced: list[int] = self._matcher.compute_ff_tokens()
        return forced

    def mask(self, logits: NDArray[Any]) -> None:
        """Set the logits of tokens that may not come next to minus infinity, in place [V]. Raises as `allowed`."""
        logits[~self.allowed()] = -np.inf

    def accept(self, token: int) -> None:
        """Go on behind a token that was allowed. Raises as `allowed` does."""
        if not self._matcher.consume_token(token):
            raise self._stuck()
        self._tail = self._numbers.follow(self._tail, token)

    def fork(self) -> Constraint:
        """Another one at the same place, that goes its own way."""
        return Constraint(self._matcher.deep_copy(), self._vocabulary, self._numbers, self._tail)

    def _stuck(self) -> BadRequestError:
        reason = self._matcher.get_error().partition(QUIET)[0] or "nothing may follow"
        return BadRequestError(
            "What the answer is held to (its schema, tools, or grammar) became too complex, or left no way on "
            f"({reason[:MAX_WORDS]}); make it simpler.",
            code="constraint_too_complex",
        )


class _Tokens:
    """A vocabulary as llguidance wants to see it."""

    def __init__(self, tokenizer: Vocabulary, end: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = end
        self.bos_token_id = None
        no_text = tokenizer.control | tokenizer.unused
        self.special_token_ids = sorted(no_text)
        self.tokens = [
            NO_TEXT + piece if index in no_text else piece for index, piece in enumerate(tokenizer.pieces)
        ]

    def __call__(self, text: bytes | str) -> list[int]:
        """How the model would write a text that it must write: with its own tokens for tags, as it learnt to."""
        text = text if isinstance(text, str) else text.decode("utf-8", "replace")
        ids: list[int] = []
        plain = ""
        for part in self._tokenizer.split(text):
            if isinstance(part, str) or part in self._tokenizer.control:
                plain += (
                    part if isinstance(part, str) else self._tokenizer.pieces[part].decode("utf-8", "replace")
                )
            else:
                ids += [*self._tokenizer.encode_inside(plain), part]
                plain = ""
        return ids + self._tokenizer.encode_inside(plain)


def _llguidance() -> Any:
    try:
        import llguidance
    except ModuleNotFoundError as error:
        raise InternalServerError(
            "Tools, response formats and grammars need the package 'llguidance', which is not installed here: "
            "pip install llguidance (it has no wheel for every platform).",
            status_code=501,
            code="constraints_unavailable",
        ) from error
    return llguidance
