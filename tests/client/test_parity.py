"""The blocking and the asynchronous client are one: the same names, the same signatures, the same words."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

import pytest

from duologue.client import aio, bulk, events, raw, stream, sync, tool_run, unread
from duologue.client.transports.aiohttp import AiohttpTransport
from duologue.client.transports.asgi import AsgiTransport, ThreadedAsgiTransport
from duologue.client.transports.http_client import HttpClientTransport
from duologue.client.transports.httpx2 import AsyncHttpx2Transport, Httpx2Transport
from duologue.protocol import transport

TWINS: list[tuple[type, type]] = [
    (sync.Client, aio.AsyncClient),
    (sync.Chat, aio.AsyncChat),
    (sync.Completions, aio.AsyncCompletions),
    (sync.Models, aio.AsyncModels),
    (stream.Stream, stream.AsyncStream),
    (raw.RawCompletions, raw.AsyncRawCompletions),
    (raw.StreamedCompletions, raw.AsyncStreamedCompletions),
    (unread.StreamedResponse, unread.AsyncStreamedResponse),
    (unread.StreamedResponseManager, unread.AsyncStreamedResponseManager),
    (bulk.Results, bulk.AsyncResults),
    (events.ChatCompletionStream, events.AsyncChatCompletionStream),
    (events.ChatCompletionStreamManager, events.AsyncChatCompletionStreamManager),
    (tool_run.ToolRun, tool_run.AsyncToolRun),
    (transport.Transport, transport.AsyncTransport),
    (transport.Response, transport.AsyncResponse),
]

# What the language calls differently when it waits.
SPELLING = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}


def plain(text: Any) -> str:
    return re.sub(r"Async(?=[A-Z])", "", str(text))


def members(cls: type) -> dict[str, Any]:
    """What a class defines itself, its private methods included, as the blocking one would call it."""
    names = {spelled: name for name, spelled in SPELLING.items()}
    skipped = ("__module__", "__doc__", "__dict__", "__weakref__", "__parameters__", "__orig_bases__")
    return {names.get(name, name): value for name, value in vars(cls).items() if name not in skipped}


def signature(member: Any) -> str:
    function = member.fget if isinstance(member, property) else member
    return plain(inspect.signature(function)) if callable(function) else plain(function)


@pytest.mark.parametrize(("blocking", "waiting"), TWINS, ids=lambda cls: cls.__name__)
def test_twins_have_the_same_members(blocking: type, waiting: type) -> None:
    """Name for name, with the same parameters, defaults and results."""
    ours, theirs = members(blocking), members(waiting)
    assert set(ours) == set(theirs)
    for name in ours:
        if callable(ours[name]) or isinstance(ours[name], property):
            assert signature(ours[name]) == signature(theirs[name]), name


@pytest.mark.parametrize(("blocking", "waiting"), TWINS[:4], ids=lambda cls: cls.__name__)
def test_twins_are_described_alike(blocking: type, waiting: type) -> None:
    """A docstring of a method holds for both; `close` says what an event loop has to do with it."""
    ours, theirs = members(blocking), members(waiting)
    for name in set(ours) - {"close"}:
        assert inspect.getdoc(ours[name]) == inspect.getdoc(theirs[name]), name


@pytest.mark.parametrize(
    ("built", "seam"),
    [
        (HttpClientTransport, transport.Transport),
        (ThreadedAsgiTransport, transport.Transport),
        (AiohttpTransport, transport.AsyncTransport),
        (AsgiTransport, transport.AsyncTransport),
        (Httpx2Transport, transport.Transport),
        (AsyncHttpx2Transport, transport.AsyncTransport),
    ],
    ids=lambda cls: cls.__name__,
)
def test_transports_fit_the_seam(built: type, seam: type) -> None:
    """Each offers exactly what the seam asks for, waiting where it waits."""
    public = {name for name in vars(built) if not name.startswith("_")}
    assert public == {name for name in vars(seam) if not name.startswith("_")}
    for name in public:
        ours, asked = getattr(built, name), getattr(seam, name)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(asked)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(asked).parameters)


class Blocking(ast.NodeTransformer):
    """Code as it would be if nothing had to be waited for."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.generic_visit(ast.FunctionDef(**dict(ast.iter_fields(node))))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.For(**dict(ast.iter_fields(node))))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        node.module = "time" if node.module == "asyncio" else node.module
        return node


def code(cls: type, method: str) -> str:
    tree = Blocking().visit(ast.parse(textwrap.dedent(inspect.getsource(getattr(cls, method)))))
    return plain(ast.unparse(ast.fix_missing_locations(tree)))


@pytest.mark.parametrize(
    ("blocking", "waiting", "method"),
    [
        (sync.Client, aio.AsyncClient, "_run"),
        (sync.Completions, aio.AsyncCompletions, "create"),
        (sync.Completions, aio.AsyncCompletions, "_answer"),
        (raw._Raw, raw._AsyncRaw, "_answer"),
        (raw._Unread, raw._AsyncUnread, "_answer"),
        (unread.StreamedResponse, unread.AsyncStreamedResponse, "parse"),
        (unread.StreamedResponse, unread.AsyncStreamedResponse, "read"),
        (unread.StreamedResponse, unread.AsyncStreamedResponse, "close"),
        (sync.Completions, aio.AsyncCompletions, "stream"),
        (sync.Completions, aio.AsyncCompletions, "create_many"),
        (sync.Completions, aio.AsyncCompletions, "parse"),
        (sync.Completions, aio.AsyncCompletions, "run_tools"),
        (sync.Models, aio.AsyncModels, "list"),
        (sync.Models, aio.AsyncModels, "retrieve"),
        (stream.Stream, stream.AsyncStream, "_more"),
        (stream.Stream, stream.AsyncStream, "_try"),
        (stream.Stream, stream.AsyncStream, "get_final_completion"),
        (stream.Stream, stream.AsyncStream, "close"),
        (events.ChatCompletionStream, events.AsyncChatCompletionStream, "until_done"),
        (events.ChatCompletionStream, events.AsyncChatCompletionStream, "get_final_completion"),
        (tool_run.ToolRun, tool_run.AsyncToolRun, "until_done"),
        (tool_run.ToolRun, tool_run.AsyncToolRun, "get_final_completion"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_drivers_are_alike_to_the_letter(blocking: type, waiting: type, method: str) -> None:
    """But for the words of waiting: whatever could be decided otherwise stands in shared code."""
    assert code(blocking, method) == code(waiting, method)
