"""The tokens of one choice as the events of its answer, whatever backend made them.

The bytes of tokens become whole characters, the reader tells what they are (content, reasoning, calls), the
stop filter holds back content that may begin a stop sequence. Each token is reported, and its log
probability handed over, with the first text that it had a part in.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Container, Sequence
from typing import NamedTuple

from ...engine import Event, Finish, Reasoning, Text, ToolArguments, ToolCall
from ...protocol.stops import StopFilter
from ...types.chat.chat_completion import FinishReason
from ...types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob, TopLogprob
from .plan import Plan
from .reader import Part

__all__ = ["Speaker", "Token"]


class Token(NamedTuple):
    """A token that a model has made: its bytes, and its natural-log probability.

    `top` are the likeliest in its place, best first.
    """

    id: int
    piece: bytes
    logprob: float = 0.0
    top: Sequence[tuple[bytes, float]] = ()


class _Span(NamedTuple):
    """A token and the characters that it had a part in, from `start` up to `end`."""

    start: int
    end: int
    token: Token


class Speaker:
    """Speaks for choice `index`. Tokens in `ends` end it; so do a stop sequence and the plan's limit.

    `tokens` counts what the model has made, the end token included, and `reasoning_tokens` those of them that
    ended inside its thoughts. Nothing may be pushed once it has `ended`.
    """

    def __init__(self, plan: Plan, ends: Container[int], index: int) -> None:
        self.ended = False
        self.tokens = 0
        self.reasoning_tokens = 0
        self._ends = ends
        self._index = index
        self._limit = plan.limit
        self._logprobs = plan.logprobs
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._reader = plan.reader()
        self._visible = StopFilter(plan.stops)
        self._read = 0  # characters of the raw text
        self._unread: deque[_Span] = deque()  # in the raw text, behind what the reader has told
        self._content = 0  # characters of content that the reader has told
        self._shown = 0  # characters of content that are visible
        self._hidden: deque[_Span] = deque()  # in the content, behind what is visible
        self._untold = 0  # tokens without a part in any text

    def push(self, token: Token) -> list[Event]:
        """What a token brings forth; the last event is `Finish` where it ends the choice."""
        self.tokens += 1
        if token.id in self._ends:
            return self.close("stop")
        events = self._tell(self._reader.push(self._decode(token)))
        if self._visible.stopped:
            return [*events, self._finish("stop")]
        if self.tokens >= self._limit:
            return events + self.close("length")
        return events

    def close(self, reason: FinishReason) -> list[Event]:
        """The end: what was held back, and `Finish`."""
        rest = self._characters.decode(b"", final=True)
        self._read += len(rest)
        events = self._tell(self._reader.push(rest) + self._reader.flush())
        if self._visible.stopped:
            reason = "stop"
        else:
            events += self._show(self._visible.flush())
        return [*events, self._finish(reason)]

    def _finish(self, reason: FinishReason) -> Finish:
        self.ended = True
        return Finish("tool_calls" if reason == "stop" and self._reader.called else reason, self._index)

    def _decode(self, token: Token) -> str:
        """The characters that the token completes."""
        start = self._read
        text = self._characters.decode(token.piece)
        self._read += len(text)
        begun, _ = self._characters.getstate()
        self._unread.append(_Span(start, self._read + bool(begun), token))
        return text

    def _tell(self, parts: Sequence[Part]) -> list[Event]:
        events: list[Event] = []
        for part in parts:
            if self._visible.stopped:
                break
            match part.kind:
                case "content":
                    events += self._say(part)
                case "reasoning":
                    count = len(self._spans(part, part.at + len(part.text)))
                    self.reasoning_tokens += count
                    events.append(Reasoning(part.text, self._index, tokens=count))
                case "call":
                    events.append(
                        ToolCall(
                            part.text,
                            index=part.index,
                            choice=self._index,
                            type="custom" if part.custom else "function",
                        )
                    )
                case "arguments":
                    self._untold += len(self._spans(part, part.at + len(part.text)))
                    events.append(ToolArguments(part.text, part.index, self._index, tokens=self._count()))
        return events

    def _say(self, part: Part) -> list[Event]:
        """Content: its tokens wait, with their place in the content, until it is visible."""
        # A token that content shares with what follows has its place here already.
        for start, end, token in self._spans(part, part.at + len(part.text), shared=True):
            at = self._content + max(0, start - part.at)
            self._hidden.append(_Span(at, at + end - start, token))
        self._content += len(part.text)
        return self._show(self._visible.push(part.text))

    def _show(self, text: str) -> list[Event]:
        """Text as an event that counts the tokens since the last one; no event for no text."""
        if not text:
            return []
        self._shown += len(text)
        entries: list[ChatCompletionTokenLogprob] = []
        while self._hidden and self._hidden[0].start < self._shown:
            token = self._hidden.popleft().token
            self._untold += 1
            if self._logprobs:
                entries.append(_entry(token))
        return [Text(text, self._index, entries if self._logprobs else None, tokens=self._count())]

    def _spans(self, part: Part, end: int, *, shared: bool = False) -> list[_Span]:
        """The tokens with a part in the part, which are now told; those before it had none in any text.

        One that goes on behind the part is told with what follows, unless it is `shared`.
        """
        told: list[_Span] = []
        while self._unread and (self._unread[0].start < end if shared else self._unread[0].end <= end):
            span = self._unread.popleft()
            if span.end > part.at:
                told.append(span)
            else:
                self._untold += 1
        return told

    def _count(self) -> int:
        """How many tokens there were since the last event that counted."""
        count, self._untold = self._untold, 0
        return count


def _entry(token: Token) -> ChatCompletionTokenLogprob:
    return ChatCompletionTokenLogprob(
        token=_spell(token.piece),
        bytes=list(token.piece),
        logprob=token.logprob,
        top_logprobs=[
            TopLogprob(token=_spell(piece), bytes=list(piece), logprob=logprob)
            for piece, logprob in token.top
        ],
    )


def _spell(piece: bytes) -> str:
    """A token as text; bytes of a character that it has only a part of are spelled \\xNN."""
    return piece.decode("utf-8", "backslashreplace")
