"""Messages and tools as a prompt of token ids, in which nothing that a user wrote is ever a control token.

The template is rendered twice: plainly, and with marks around every text that came with the request. Where
the marked prompt is the plain one with marks added, they show which parts are the template's own, and only
there control tokens are looked for. Then the text between control tokens is encoded as one, so that the ids
are the very ones the model was trained on.

A template may also take a text apart (trim it, cut it, change its case), and the marks with it. Then nobody
can say what is whose, and such a prompt is accepted only if no text of the request spells a control token,
and if the prompt has the very same control tokens when all that could begin one is taken out of the texts.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ...protocol.errors import BadRequestError
from ...types.chat.request import Message, Tool
from .describe import Describer, Visit
from .forms import Form, Thoughts
from .template import ChatTemplate
from .vocabulary import Vocabulary

__all__ = ["PromptWriter"]

OPEN, CLOSE = "\ue000", "\ue001"


class Asked(NamedTuple):
    """What a prompt is written for: messages, tools by their path in the request, and the template's variables."""

    messages: Sequence[Message]
    tools: Mapping[str, Tool]
    variables: Mapping[str, Any]
    now: datetime


class PromptWriter:
    """Writes prompts for one model.

    `form` and `thoughts` are how the model writes calls and thoughts, None where nobody can tell; `one_call`
    says that it knows but one call at a time, and `variables` are the names that its template looks at.
    """

    def __init__(self, template: ChatTemplate, tokenizer: Vocabulary) -> None:
        self.variables = template.variables
        self.form: Form | None = template.form
        self.thoughts: Thoughts | None = template.thoughts
        self.one_call = template.one_call
        self._template = template
        self._tokenizer = tokenizer
        self._openings = str.maketrans({text[0]: "x" for text in tokenizer.special if not text[0].isalnum()})

    @property
    def opens_thoughts(self) -> bool:
        """Whether thoughts are begun by prompts, where they are wanted, and never by answers."""
        return self._template.opens_thoughts

    def write(
        self,
        messages: Sequence[Message],
        *,
        most: int,
        tools: Mapping[str, Tool] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """The ids of the prompt.

        Raises `BadRequestError` for content that the model cannot take, for what its template refuses, and
        where the prompt would be longer than `most` tokens, the model's context.
        """
        if len(messages) > most:
            raise _too_long(f"at least {len(messages)}", most)
        segments = self._segments(Asked(messages, tools or {}, variables or {}, datetime.now()))
        size = sum(len(text.encode("utf-8", "replace")) for text, _ in segments)
        least = -(-size // self._tokenizer.longest)
        if least > most:  # not worth the work of counting exactly
            raise _too_long(f"at least {least}", most)
        ids = self._encode(segments)
        if not ids:
            raise BadRequestError(
                "The model's chat template makes nothing of these messages.", param="messages"
            )
        if len(ids) >= most:
            raise _too_long(str(len(ids)), most)
        return ids

    def _encode(self, segments: list[tuple[str, bool]]) -> list[int]:
        """Ids of (text, whether it is the template's own); plain text is encoded across segments."""
        ids: list[int] = []
        plain: list[str] = []
        for text, trusted in segments:
            for part in self._tokenizer.split(text) if trusted else (text,):
                if isinstance(part, str):
                    plain.append(part)
                else:
                    ids += self._tokenizer.encode("".join(plain))
                    ids.append(part)
                    plain.clear()
        return ids + self._tokenizer.encode("".join(plain))

    def _segments(self, asked: Asked) -> list[tuple[str, bool]]:
        """The prompt in parts, each with whether control tokens may be looked for in it."""
        plain = self._render(asked, _as_it_is)
        segments = self._marked(asked)
        if segments is not None and "".join(text for text, _ in segments) == plain:
            return segments
        self._render(asked, self._refuse_control)
        neutral = self._render(asked, self._neutralize)
        if self._tokenizer.spelled(plain) != self._tokenizer.spelled(neutral):
            raise BadRequestError(
                "With these messages the model's chat template writes control tokens that are not its own; "
                "remove what looks like one from the messages.",
                param="messages",
            )
        return [(plain, True)]

    def _marked(self, asked: Asked) -> list[tuple[str, bool]] | None:
        """The parts as the marks show them; None where the template stumbles over the marks."""
        marks = _Marks()
        try:
            marked = self._render(asked, marks)
        except BadRequestError:
            return None
        for path in marks.lost(marked):
            raise BadRequestError(
                f"The model's chat template leaves out {path}: it has no place for such a message.",
                param=path,
            )
        return marks.segments(marked)

    def _render(self, asked: Asked, visit: Visit) -> str:
        describe = Describer(self._template, visit)
        return self._template.render(
            [describe.message(message, f"messages[{index}]") for index, message in enumerate(asked.messages)],
            asked.now,
            tools=[describe.tool(tool, path) for path, tool in asked.tools.items()],
            variables=asked.variables,
        )

    def _refuse_control(self, text: str, path: str) -> str:
        folded = text.casefold()
        for special in self._tokenizer.special:
            if special.casefold() in folded:
                raise BadRequestError(
                    f"{path} contains {special!r}, a control token of this model, whose chat template does "
                    "not allow to tell such text from a real one; remove it.",
                    param=path,
                )
        return text

    def _neutralize(self, text: str, _path: str) -> str:
        return text.translate(self._openings)


class _Marks:
    """Marks that nobody can forge around the texts of one request, numbered in the order of their paths.

    Equal texts have equal marks, since templates compare them; but not contents, of which none may be lost.
    """

    def __init__(self) -> None:
        self._tag = str(secrets.randbits(64))  # digits, which no change of case disturbs
        self._paths: list[str] = []
        self._numbers: dict[str, int] = {}
        self._mark = re.compile(f"([{OPEN}{CLOSE}]){self._tag}-([0-9]+);")

    def __call__(self, text: str, path: str) -> str:
        """Mark a text inside its white space, which templates like to trim."""
        core = text.strip()
        if not core:
            return text
        start = text.index(core)
        number = None if path.endswith(".content") else self._numbers.get(core)
        if number is None:
            number = self._numbers[core] = len(self._paths)
            self._paths.append(path)
        name = f"{self._tag}-{number};"
        return f"{text[:start]}{OPEN}{name}{core}{CLOSE}{name}{text[start + len(core) :]}"

    def lost(self, prompt: str) -> Iterator[str]:
        """The paths of the contents that did not get into the prompt."""
        present = {int(match[2]) for match in self._mark.finditer(prompt)}
        for index, path in enumerate(self._paths):
            if path.endswith(".content") and index not in present:
                yield path

    def segments(self, prompt: str) -> list[tuple[str, bool]] | None:
        """The prompt without marks: (text, whether it lay outside of all marks); None if they do not pair."""
        segments: list[tuple[str, bool]] = []
        at, inside = 0, None
        for match in self._mark.finditer(prompt):
            segments.append((prompt[at : match.start()], inside is None))
            kind, index = match.groups()
            if (inside is None) != (kind == OPEN) or (kind == CLOSE and index != inside):
                return None
            inside = index if kind == OPEN else None
            at = match.end()
        segments.append((prompt[at:], True))
        return segments if inside is None else None


def _as_it_is(text: str, _path: str) -> str:
    return text


def _too_long(count: str, most: int) -> BadRequestError:
    return BadRequestError(
        f"This model's context is {most} tokens, and the messages have {count}, with the tools, which leaves no "
        "room for an answer; shorten the messages.",
        param="messages",
        code="context_length_exceeded",
    )
