"""Grammars that hold a model's text to them token by token: llguidance behind a few methods.

The package comes with the extra `serve`, but not for every platform. It is imported with the first grammar,
so that a model answers freely where it is missing.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...protocol.errors import InternalServerError
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    import llguidance

__all__ = ["MAX_COMPILED", "MAX_GRAMMAR_BYTES", "Constraint", "Constraints", "GrammarError"]

# How many compiled grammars of a model are kept for requests that ask for the same.
MAX_COMPILED = 16
# What one grammar may cost: its size, states of its lexer (1 to 2 kB each), work at the start and for each token.
MAX_GRAMMAR_BYTES = 2**19
MAX_LEXER_STATES = 20_000
MAX_WORK_AT_START = 1_000_000
MAX_WORK_PER_TOKEN = 200_000
# The most of llguidance's own words that an error repeats.
MAX_WORDS = 300
# What the engine expects before the bytes of a token that is no text.
NO_TEXT = b"\xff"
# How it ends an error that could have said more.
QUIET = "\n<non-verbose/>"


class GrammarError(ValueError):
    """A grammar that cannot be used; the message is in llguidance's words."""


class Constraints:
    """What one model's answers may be held to. `ends` are the tokens that end an answer."""

    def __init__(self, tokenizer: Vocabulary, ends: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = sorted(ends)
        self._compiled = functools.lru_cache(MAX_COMPILED)(self._compile)
        self._lock = threading.Lock()

    def check(self, grammar: str) -> str:
        """What is wrong with a grammar in Lark's syntax, "" for nothing. Raises as `begin` does."""
        try:
            self.begin(grammar)
        except GrammarError as error:
            return str(error)
        return ""

    def begin(self, grammar: str) -> Constraint:
        """The constraint at the beginning of an answer.

        Raises `GrammarError` for a grammar that does not compile or that no text satisfies, and
        `InternalServerError` with status 501 where llguidance is not installed.
        """
        if len(grammar) > MAX_GRAMMAR_BYTES:
            raise GrammarError(f"it is larger than {MAX_GRAMMAR_BYTES} bytes")
        return self._compiled(grammar).fork()

    def _compile(self, grammar: str) -> Constraint:
        engine = _llguidance()
        with self._lock:  # the first request builds it, and others wait for that
            vocabulary = self._vocabulary
        limits = engine.LLParserLimits(
            max_lexer_states=MAX_LEXER_STATES,
            initial_lexer_fuel=MAX_WORK_AT_START,
            step_lexer_fuel=MAX_WORK_PER_TOKEN,
            verbose_errors=False,
        )
        matcher = engine.LLMatcher(
            vocabulary, engine.LLMatcher.grammar_from_lark(grammar), log_level=0, limits=limits
        )
        constraint = Constraint(matcher, len(self._tokenizer))
        satisfiable = matcher.is_error() or constraint.allowed().any()
        words = matcher.get_error().partition(QUIET)[0]
        if not satisfiable or words.startswith("NoExtension"):
            raise GrammarError("no text satisfies it")
        if words:
            raise GrammarError(words)
        return constraint

    @functools.cached_property
    def _vocabulary(self) -> llguidance.LLTokenizer:
        engine = _llguidance()
        wrapper = engine.TokenizerWrapper(_Tokens(self._tokenizer, self._ends[0]))
        vocabulary: llguidance.LLTokenizer = engine.LLTokenizer(wrapper, eos_token=self._ends)
        return vocabulary


class Constraint:
    """One choice's way through a grammar."""

    def __init__(self, matcher: llguidance.LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    @property
    def done(self) -> bool:
        """Whether the text is complete, and nothing may follow but its end."""
        return self._matcher.is_stopped()

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, those that end an answer among them [V]."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, count=self._vocabulary, bitorder="little").view(np.bool_)

    def mask(self, logits: NDArray[Any]) -> None:
        """Set the logits of tokens that may not come next to minus infinity, in place [V].

        Raises `InternalServerError` where the grammar has become too complex, or left no way on.
        """
        allowed = self.allowed()
        if self._matcher.is_error() or not allowed.any():
            raise self._stuck()
        logits[~allowed] = -np.inf

    def accept(self, token: int) -> None:
        """Go on behind a token that was allowed. Raises as `mask` does."""
        if not self._matcher.consume_token(token):
            raise self._stuck()

    def fork(self) -> Constraint:
        """Another one at the same place, that goes its own way."""
        return Constraint(self._matcher.deep_copy(), self._vocabulary)

    def _stuck(self) -> InternalServerError:
        reason = self._matcher.get_error().partition(QUIET)[0] or "nothing may follow"
        return InternalServerError(
            "What the answer is held to (its schema, tools, or grammar) became too complex, or left no way on "
            f"({reason[:MAX_WORDS]}); make it simpler."
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
                ids += [*self._tokenizer.encode(plain), part]
                plain = ""
        return ids + self._tokenizer.encode(plain)


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
