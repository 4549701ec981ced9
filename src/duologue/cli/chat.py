"""`duologue chat`: one question, or a conversation."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ..protocol.errors import DuologueError
from ._endpoint import endpoint
from ._terminal import INTERRUPTED, printable

if TYPE_CHECKING:
    from ..client import Client, Stream
    from ..types.chat import ChatCompletionChunk, ChatCompletionMessageParam

__all__ = ["chat"]

# What is to be known of an answer that ended for another reason than that all was said.
_NOTES: dict[str | None, str] = {
    "length": "cut at the token limit",
    "content_filter": "stopped by the content filter",
    "tool_calls": "it calls tools, of which there are none here",
}


@click.command(
    short_help="Ask one question, or hold a conversation.",
    epilog="""\b
Examples:
  duologue chat "Hello"                     one answer from the built-in model
  duologue chat                             a conversation; Ctrl-D ends it
  duologue chat "Hi" --base-url http://127.0.0.1:8000/v1
  git diff | duologue chat -                the prompt from a pipe
""",
)
@click.argument("prompt", required=False)
@click.option("--model", help="The model to ask; the endpoint's first one unless given.")
@click.option("--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, help="The endpoint to ask.")
def chat(prompt: str | None, model: str | None, base_url: str | None) -> None:
    """Ask a model PROMPT and show the answer as it comes; without PROMPT, hold a conversation.

    Without an endpoint, the built-in model answers in this process. The key is taken from OPENAI_API_KEY.
    Ctrl-C stops an answer and keeps what came. PROMPT `-` is read from standard input.
    """
    if sys.stdout is None:
        raise DuologueError("Standard output is closed, so there is nowhere to show an answer.")
    if prompt is None or prompt == "-":
        prompt = _from_input(always=prompt == "-")
    if prompt is not None and not prompt.strip():
        raise click.UsageError("The prompt is empty.")
    with endpoint(base_url) as client:
        name = model or _first_model(client)
        where = f"at {base_url}" if base_url else "in this process"
        click.echo(printable(f"{name} answers, {where}."), err=True)
        if prompt is None:
            _converse(client, name)
        elif not _answer(client, name, [{"role": "user", "content": _utf8(prompt)}])[1]:
            sys.exit(INTERRUPTED)


def _from_input(*, always: bool) -> str | None:
    """The prompt on standard input; None where that is a terminal, for a conversation, unless `always`."""
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed: give the prompt as an argument.")
    if sys.stdin.isatty() and not always:
        return None
    return sys.stdin.buffer.read().decode(sys.stdin.encoding, "replace")


def _first_model(client: Client) -> str:
    models = client.models.list().data
    if not models:
        raise DuologueError("The endpoint lists no models. Name one with --model.")
    return models[0].id


def _converse(client: Client, model: str) -> None:
    with suppress(ImportError):  # Windows edits lines by itself
        import readline  # noqa: F401 - arrow keys, and the key up for earlier questions

    # Apart from the answers where those go into a file. Lines can be edited where both are on the terminal.
    apart = not sys.stdout.isatty()
    messages: list[ChatCompletionMessageParam] = []
    while True:
        try:
            question = click.prompt("", prompt_suffix="> ", err=apart)
        except click.Abort:  # Ctrl-D, or Ctrl-C at the prompt
            click.echo(err=True)
            return
        messages.append({"role": "user", "content": _utf8(question)})
        try:
            answer, _ = _answer(client, model, messages)
            messages.append({"role": "assistant", "content": answer})
        except DuologueError as error:
            messages.pop()
            click.echo(f"Error: {printable(str(error))}", err=True)


def _answer(client: Client, model: str, messages: list[ChatCompletionMessageParam]) -> tuple[str, bool]:
    """Show the answer to `messages` as it comes: its text, and whether it was not stopped by Ctrl-C."""
    parts: list[str] = []
    whole = True
    try:
        with client.chat.completions.create(model=model, messages=messages, stream=True) as stream:
            for chunk in stream:
                parts.append(_said(chunk))
                _show(parts[-1])
            note = _NOTES.get(_finish_reason(stream)) or ("" if any(parts) else "the answer is empty")
    except KeyboardInterrupt:
        whole, note = False, "stopped; what came is kept"
    finally:
        if any(parts):
            click.echo()
    if note:
        click.echo(f"({note})", err=True)
    return "".join(parts), whole


def _said(chunk: ChatCompletionChunk) -> str:
    """What a chunk adds to the answer, or to the refusal of one."""
    deltas = [choice.delta for choice in chunk.choices if not choice.index]
    return "".join((delta.content or "") + (delta.refusal or "") for delta in deltas)


def _finish_reason(stream: Stream[ChatCompletionChunk]) -> str | None:
    choices = stream.completion.choices if stream.completion else []
    return choices[0].finish_reason if choices else None


def _utf8(text: str) -> str:
    """`text` without what stands for bytes that were no text, which no request can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _show(text: str) -> None:
    if sys.stdout.isatty():
        text = printable(text)
    sys.stdout.write(text)
    sys.stdout.flush()
