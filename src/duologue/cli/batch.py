"""`duologue batch`: a file of requests, and a file of their results."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from ..protocol.batch import LINE_START, BatchAnswer, error_line, read_answer, read_request, success_line
from ..protocol.dialect import RULES
from ..protocol.errors import APIConnectionError, AuthenticationError, DuologueError
from ._endpoint import endpoint
from ._journal import Journal, lines_of
from ._terminal import INTERRUPTED

if TYPE_CHECKING:
    from ..client.bulk import BulkResult
    from ..client.progress import Progress
    from ..types.chat.chat_completion import ChatCompletion

__all__ = ["batch"]

# An exit status besides those of click: 1 for what stops the whole run, 2 for wrong usage.
SOME_FAILED = 3

MAX_RETRIES = 5  # some fifteen seconds: long enough for a server to be started anew
MAX_UNANSWERED = 20  # so many requests in a row without an answer: the server is gone
MAX_SHOWN = 20  # so many bad lines are shown

# The deviations by which an answer is less than what was asked for.
INCOMPLETE = ("choices-missing", "finish-missing")

AT_LEAST_0, AT_LEAST_1 = click.IntRange(min=0), click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    short_help="Ask for a file of requests, and write a file of results.",
    epilog="""\b
Examples:
  duologue batch in.jsonl out.jsonl --base-url http://127.0.0.1:8000/v1
  duologue batch in.jsonl out.jsonl --errors failed.jsonl --max-concurrency 64
  duologue batch in.jsonl out.jsonl --retry-failed
  duologue batch in.jsonl out.jsonl --model pocket     with the built-in model

\b
Exit status:
  0    every line has its completion
  1    the run could not begin or go on: the message says why
  2    wrong usage
  3    every line was asked, and some failed
  130  interrupted; the same command goes on
""",
)
@click.argument("requests", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("results", type=FILE)
@click.option("--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, help="The endpoint to ask.")
@click.option("--model", help="The model to ask, in place of those that the lines name.")
@click.option(
    "--max-concurrency", type=AT_LEAST_1, default=16, show_default=True, help="How many requests at once."
)
@click.option(
    "--max-retries",
    type=AT_LEAST_0,
    default=MAX_RETRIES,
    show_default=True,
    help="How often a request that failed is sent again.",
)
@click.option(
    "--timeout", type=POSITIVE, help="Seconds for one request with its retries; unless given, no limit."
)
@click.option(
    "--errors", type=FILE, help="A file for the results of lines that failed; unless given, RESULTS."
)
@click.option("--retry-failed", is_flag=True, help="Ask again for what failed in an earlier run.")
def batch(
    requests: Path,
    results: Path,
    base_url: str | None,
    model: str | None,
    max_concurrency: int,
    max_retries: int,
    timeout: float | None,
    errors: Path | None,
    retry_failed: bool,
) -> None:
    """Ask for every line of REQUESTS, and write each result as a line to RESULTS.

    The files are those of OpenAI's Batch API. Results come in any order; custom_id tells them apart. A run that
    was ended, however it was, is resumed by the same command: what has its result is not asked again, and what was
    in the air is. The limits that a server tells in its headers are kept.

    Without an endpoint, the built-in model answers in this process. The key is taken from OPENAI_API_KEY.
    """
    from ..client.options import Timeout

    with ExitStack() as stack:
        run = _Run(requests, model)
        run.open(stack, results, errors, retry_failed=retry_failed)
        client = stack.enter_context(endpoint(base_url)).with_options(
            max_concurrency=max_concurrency, max_retries=max_retries, timeout=Timeout(total=timeout)
        )
        found = stack.enter_context(client.chat.completions.create_many(run.open_requests(), in_order=False))
        try:
            run.write(found)
        except KeyboardInterrupt:
            click.echo(f"\nInterrupted. {run.summary} The same command goes on.", err=True)
            sys.exit(INTERRUPTED)
    click.echo(run.summary, err=True)
    if run.failed:
        sys.exit(SOME_FAILED)


class _Run:
    """What is asked, what is answered, and where the results go."""

    def __init__(self, requests: Path, model: str | None) -> None:
        if not requests.is_file():
            raise DuologueError(
                f"{requests} is no regular file. It is read twice, so a pipe will not do: name a file."
            )
        self._requests = requests
        self._model = model
        self._lines = self._checked()
        self._done: set[int] = set()
        self._asked: dict[int, str] = {}  # the custom_ids of what is in the air
        self.failed = 0

    @property
    def summary(self) -> str:
        """How far it has come."""
        return f"{len(self._done)} of {len(self._lines)} lines have a result, {self.failed} of them failed."

    def open(self, stack: ExitStack, results: Path, errors: Path | None, *, retry_failed: bool) -> None:
        """Open the files of the results, and see what is in them."""
        paths = [results] if errors is None else [results, errors]
        if len({path.resolve() for path in (self._requests, *paths)}) <= len(paths):
            raise DuologueError("REQUESTS, RESULTS and --errors must be different files.")
        try:
            journals = [stack.enter_context(Journal(path, partial(_is_whole, path))) for path in paths]
            for path, journal in zip(paths, journals, strict=True):
                self._resume(path, journal, retry_failed=retry_failed)
        except OSError as error:
            raise DuologueError(f"{error.filename}: {error.strerror}.") from None
        self._good, self._bad = journals[0], journals[-1]

    def open_requests(self) -> Iterator[dict[str, Any]]:
        """The requests that have no result yet, as `create_many` takes them."""
        count = 0
        with self._requests.open("rb") as file:
            for number, line in lines_of(file):
                if number not in self._done:
                    try:
                        custom_id, body = read_request(line, model=self._model)
                    except DuologueError:  # it could be read before
                        raise self._changed() from None
                    if self._lines.get(custom_id) != number:
                        raise self._changed()
                    self._asked[count] = custom_id
                    count += 1
                    yield {"extra_body": body}

    def write(self, found: Iterable[BulkResult]) -> None:
        """Write each result as it comes. Raises what ends the run."""
        from ..client.progress import Progress

        # Whether a line without an answer has itself to blame, or the server, shows when another one is answered.
        unanswered: list[tuple[str, BulkResult]] = []
        alive = False
        with Progress(len(self._lines), done=len(self._done)) as progress:
            for result in found:
                unanswered.append((self._asked.pop(result.index), result))
                if isinstance(result.error, AuthenticationError):
                    raise DuologueError(f"The server refuses the key: {result.error} {self.summary}")
                if not isinstance(result.error, APIConnectionError):
                    alive = True
                    self._put(unanswered, progress)
                elif len(unanswered) >= MAX_UNANSWERED:
                    alive = False
                    break
            if unanswered and not alive:
                why = f"The server does not answer: {unanswered[-1][1].error}"
                raise DuologueError(f"{why} {self.summary} The same command goes on.")
            self._put(unanswered, progress)
        if len(self._done) < len(self._lines):
            raise self._changed()

    def _changed(self) -> DuologueError:
        return DuologueError(
            f"{self._requests} has changed while it was read. {self.summary} The same command goes on."
        )

    def _put(self, results: list[tuple[str, BulkResult]], progress: Progress) -> None:
        """Write what has come, and forget it."""
        for custom_id, result in results:
            name, completion, error = f"batch_req_{uuid4().hex}", result.completion, result.error
            misses = _misses(completion) if completion is not None else ""
            failed = error is not None or bool(misses)
            into = self._bad if failed else self._good
            if completion is not None:
                raw, request_id = completion.wire.raw, completion._request_id
                into.add(success_line(name, custom_id, raw, request_id=request_id, misses=misses))
            elif error is not None:
                into.add(error_line(name, custom_id, error))
            self._done.add(self._lines[custom_id])
            self.failed += failed
            progress.step(failed=failed)
        results.clear()

    def _checked(self) -> dict[str, int]:
        """The custom_ids and their lines. Raises `DuologueError` that names every line that cannot be asked."""
        lines: dict[str, int] = {}
        problems: list[str] = []
        with self._requests.open("rb") as file:
            for number, line in lines_of(file):
                try:
                    custom_id = read_request(line, model=self._model).custom_id
                    if custom_id in lines:
                        raise DuologueError(
                            f"custom_id {custom_id!r} is that of line {lines[custom_id]}, too"
                        )
                    lines[custom_id] = number
                except DuologueError as problem:
                    problems.append(f"\n  line {number}: {problem}")
        if problems:
            shown = "".join(problems[:MAX_SHOWN]) + "\n  …" * (len(problems) > MAX_SHOWN)
            raise DuologueError(f"{self._requests}: {len(problems)} bad lines. Nothing was asked.{shown}")
        return lines

    def _resume(self, path: Path, journal: Journal, *, retry_failed: bool) -> None:
        """Take the results of earlier runs. Raises `DuologueError` for one that does not belong here."""
        if retry_failed:
            journal.keep(lambda number, line: _answer(path, number, line).good)
        for number, line in journal.lines():
            custom_id, good = _answer(path, number, line)
            asked = self._lines.get(custom_id)
            if asked is None:
                raise DuologueError(
                    f"{path}, line {number}: no line of {self._requests} has the custom_id {custom_id!r}. "
                    "Is it the file of another batch? Name a new one."
                )
            if asked in self._done:
                raise DuologueError(f"{path}, line {number}: a second result of {custom_id!r}. Remove one.")
            self._done.add(asked)
            self.failed += not good


def _misses(completion: ChatCompletion) -> str:
    """What a completion lacks of what was asked for; empty for a whole one."""
    met = completion.response.deviations if completion.response is not None else ()
    return "; ".join(RULES[deviation.rule].text for deviation in met if deviation.rule in INCOMPLETE)


def _is_whole(path: Path, line: bytes) -> bool:
    """Whether the last line of a file of results lacks nothing but its line break. Raises `DuologueError`."""
    try:
        read_answer(line)
    except DuologueError:
        begun = line.rstrip(b"\0")  # with which a file system may fill up what the power took
        if not begun.startswith(LINE_START) and not LINE_START.startswith(begun):
            raise DuologueError(
                f"{path} ends in something that is no result. Is it another file? Name a new one."
            ) from None
        return False
    return True


def _answer(path: Path, number: int, line: bytes) -> BatchAnswer:
    try:
        return read_answer(line)
    except DuologueError as problem:
        raise DuologueError(
            f"{path}, line {number}: {problem}. Remove the line, or name a new file."
        ) from None
