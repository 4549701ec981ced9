"""The asynchronous client. Its twin is `sync`; a test holds the two to the same methods and signatures."""

# `timeout` is the name that callers know; its deadlines are not those of one coroutine.
# ruff: noqa: ASYNC109

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from ..protocol.transport import AsyncTransport, TransportError
from .base import BaseClient, checked_key, checked_network, over_httpx2
from .options import MAX_PARALLEL_TOOLS, MAX_TURNS, TOOL_TIMEOUT_S, ClientOptions, Timeout, omit

if TYPE_CHECKING:
    from ssl import SSLContext

    import httpx2

    from ..protocol.schema.form import TypedFormat
    from ..protocol.turns import ToolCallEvent
    from ..types.chat.chat_completion import ChatCompletion
    from ..types.chat.chat_completion_chunk import ChatCompletionChunk
    from ..types.chat.completion_create_params import CompletionCommonParams, CompletionCreateParamsBase
    from ..types.chat.parsed_chat_completion import ParsedChatCompletion
    from ..types.model import Model, ModelList
    from .bulk import AsyncRequests, AsyncResults
    from .call import Call, Plan
    from .events import AsyncChatCompletionStreamManager
    from .params import CommonParams, CreateParams
    from .parsing import ToolLike
    from .raw import AsyncRawCompletions, AsyncStreamedCompletions
    from .stream import AsyncStream
    from .tool_run import AsyncToolRun
    from .transports.asgi import ASGIApp

__all__ = ["AsyncChat", "AsyncClient", "AsyncCompletions", "AsyncModels", "AsyncOpenAI"]

T = TypeVar("T")


class AsyncClient(BaseClient[AsyncTransport]):
    """Calls a Chat Completions endpoint, for asynchronous code; used by any number of tasks at once, on any
    event loop.

    Options are those of `ClientOptions`. `app` is an ASGI application to call in this process instead of a
    server; `http_client`, an `httpx2.AsyncClient`, or `transport` carries the requests in place of aiohttp.
    `proxy` is the URL of a proxy for every request; None is for no proxy, whatever the environment says.
    `ssl_context` holds other certificates than those the system trusts, and those that the client shows.
    """

    def __init__(
        self,
        *,
        app: ASGIApp | None = None,
        http_client: httpx2.AsyncClient | None = None,
        transport: AsyncTransport | None = None,
        proxy: str | None = omit,
        ssl_context: SSLContext | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        network = checked_network(proxy, ssl_context, app=app, http_client=http_client, transport=transport)
        if http_client is not None:
            transport = over_httpx2(http_client, "AsyncClient", "AsyncHttpx2Transport")
        super().__init__(options, lambda: transport or _transport(app, network), in_process=app is not None)

    @property
    def chat(self) -> AsyncChat:
        """Chat completions."""
        return AsyncChat(self)

    @property
    def beta(self) -> Self:
        """This client: `client.beta.chat.completions` is where openai-python had `parse` and `stream` before."""
        return self

    @property
    def models(self) -> AsyncModels:
        """The models that the endpoint serves."""
        return AsyncModels(self)

    async def close(self) -> None:
        """Close the connections of this event loop, its copies' as well. A later request opens new ones."""
        if self._carrier.made is not None:
            await self._carrier.made.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _key(self) -> str | None:
        key = self._given_key()
        if isinstance(key, Awaitable):
            key = await key
        return checked_key(key)

    async def _run(self, plan: Plan) -> Any:
        """Carry out the steps of a call; what it returns."""
        from asyncio import sleep

        from .call import Ask, Read, Release

        transport = self._carrier.get()
        if self._gate is not None:
            from .pacing import AsyncPaced

            transport = AsyncPaced(transport, self._gate)
        try:
            step = next(plan)
            while True:
                result: Any = None
                try:
                    if isinstance(step, Ask):
                        result = await transport.send(step.request, step.deadlines)
                    elif isinstance(step, Read):
                        result = await step.response.read(step.by)
                    elif isinstance(step, Release):
                        await step.response.release()
                    else:
                        await sleep(step.seconds)
                except TransportError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(result)
        except StopIteration as end:
            return end.value
        finally:
            plan.close()


AsyncOpenAI = AsyncClient


class AsyncChat:
    """`client.chat`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def completions(self) -> AsyncCompletions:
        """Chat completions."""
        return AsyncCompletions(self._client)


class AsyncCompletions:
    """`client.chat.completions`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> AsyncRawCompletions:
        """`create`, giving the HTTP answer: its headers and bytes, and by `parse()` what `create` returns."""
        from .raw import AsyncRawCompletions

        return AsyncRawCompletions(self._client)

    @property
    def with_streaming_response(self) -> AsyncStreamedCompletions:
        """The same in a `with`, and the body is read only when it is asked for, as it arrives."""
        from .raw import AsyncStreamedCompletions

        return AsyncStreamedCompletions(self._client)

    async def _answer(self, call: Call) -> Any:
        """What is returned for a call."""
        from .call import perform
        from .stream import AsyncStream

        answer = await self._client._run(perform(call, self._client._run))
        return AsyncStream(answer) if call.answer is None else answer

    @overload
    async def create(
        self,
        *,
        stream: Literal[False] | None = ...,
        **params: Unpack[CreateParams],
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self,
        *,
        stream: Literal[True],
        **params: Unpack[CreateParams],
    ) -> AsyncStream[ChatCompletionChunk]: ...

    @overload
    async def create(
        self,
        *,
        stream: bool | None,
        **params: Unpack[CreateParams],
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...

    async def create(
        self,
        *,
        stream: bool | None = omit,
        extra_headers: Mapping[str, str | None] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = omit,
        **params: Unpack[CompletionCreateParamsBase],
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]:
        """Ask for a completion: whole, or with `stream=True` as a stream of chunks.

        A parameter that is None is sent as null; one that is left out, or `omit`, is not sent.
        `extra_body` holds what only your server knows. Raises a `DuologueError`, of the class that
        `duologue.protocol.errors` lists for what went wrong.
        """
        from .calls import chat_completion

        client = self._client
        call = chat_completion(
            client._options,
            await client._key(),
            params,
            stream=stream,
            extra_body=extra_body,
            timeout=timeout,
            headers=extra_headers,
            query=extra_query,
        )
        answer: ChatCompletion | AsyncStream[ChatCompletionChunk] = await self._answer(call)
        return answer

    @overload
    async def parse(
        self,
        *,
        response_format: type[T] | TypedFormat[T],
        tools: Iterable[ToolLike] | None = ...,
        **params: Unpack[CommonParams],
    ) -> ParsedChatCompletion[T]: ...

    @overload
    async def parse(
        self,
        *,
        tools: Iterable[ToolLike],
        response_format: None = ...,
        **params: Unpack[CommonParams],
    ) -> ParsedChatCompletion[None]: ...

    @overload
    async def parse(
        self,
        *,
        response_format: Any,
        tools: Iterable[ToolLike] | None = ...,
        **params: Unpack[CommonParams],
    ) -> ParsedChatCompletion[Any]: ...

    async def parse(
        self,
        *,
        response_format: Any = omit,
        tools: Iterable[ToolLike] | None = omit,
        extra_headers: Mapping[str, str | None] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = omit,
        **params: Unpack[CompletionCommonParams],
    ) -> ParsedChatCompletion[Any]:
        """Ask for an answer of a type, and read it: `message.parsed`; of tool calls `function.parsed_arguments`.

        `response_format` is a pydantic model, dataclass, TypedDict, Struct, `list[...]` or any other type that
        `typed_format` takes. `tools` are functions, tools made by `@tool`, or dicts; a dict's arguments are
        read if it is strict. An answer that is no value of the type is returned all the same: `message.parsed`
        is then None, and `message.parse_error` says why. Raises what `create` raises, `SchemaError` for a type
        that cannot be asked for, and `LengthFinishReasonError` or `ContentFilterFinishReasonError` for an
        answer that was cut before there was a value; they carry it in `completion`.
        """
        from .calls import chat_completion
        from .parsing import asked_for

        asked, parser = asked_for(response_format, tools)
        client = self._client
        call = chat_completion(
            client._options,
            await client._key(),
            {**params, **asked},
            stream=omit,
            extra_body=extra_body,
            timeout=timeout,
            headers=extra_headers,
            query=extra_query,
        )
        make = call.answer
        assert make is not None
        call = call._replace(answer=lambda response, body: parser.finished(make(response, body)))
        answer: ParsedChatCompletion[Any] = await self._answer(call)
        return answer

    @overload
    def stream(
        self,
        *,
        response_format: type[T] | TypedFormat[T],
        tools: Iterable[ToolLike] | None = ...,
        **params: Unpack[CommonParams],
    ) -> AsyncChatCompletionStreamManager[T]: ...

    @overload
    def stream(
        self,
        *,
        response_format: None = ...,
        tools: Iterable[ToolLike] | None = ...,
        **params: Unpack[CommonParams],
    ) -> AsyncChatCompletionStreamManager[None]: ...

    @overload
    def stream(
        self,
        *,
        response_format: Any,
        tools: Iterable[ToolLike] | None = ...,
        **params: Unpack[CommonParams],
    ) -> AsyncChatCompletionStreamManager[Any]: ...

    def stream(
        self,
        *,
        response_format: Any = omit,
        tools: Iterable[ToolLike] | None = omit,
        extra_headers: Mapping[str, str | None] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = omit,
        **params: Unpack[CompletionCommonParams],
    ) -> AsyncChatCompletionStreamManager[Any]:
        """Ask for a completion as a stream of typed events. The request is sent when `with` is entered.

        Parameters are those of `parse`: with a type as `response_format`, `event.parsed` is the value so far.
        Whatever the option `accumulate` says, the stream accumulates: its events tell when something is whole.
        """
        from .call import perform
        from .calls import chat_completion
        from .events import AsyncChatCompletionStream, AsyncChatCompletionStreamManager
        from .parsing import asked_for

        asked, parser = asked_for(response_format, tools)
        client = self._client

        async def begin() -> AsyncChatCompletionStream[Any]:
            call = chat_completion(
                client._options._replace(accumulate=True),
                await client._key(),
                {**params, **asked},
                stream=True,
                extra_body=extra_body,
                timeout=timeout,
                headers=extra_headers,
                query=extra_query,
            )
            return AsyncChatCompletionStream(await client._run(perform(call, client._run)), parser)

        return AsyncChatCompletionStreamManager(begin)

    @overload
    def run_tools(
        self,
        *,
        tools: Iterable[ToolLike],
        response_format: type[T] | TypedFormat[T],
        stream: bool = ...,
        max_turns: int = ...,
        context: Any = ...,
        confirm: Callable[[ToolCallEvent], Any] | None = ...,
        stop_when: Callable[[AsyncToolRun[Any]], Any] | None = ...,
        tool_timeout: float | None = ...,
        max_parallel: int = ...,
        on_tool_error: Callable[[ToolCallEvent, Exception], str] | None = ...,
        **params: Unpack[CommonParams],
    ) -> AsyncToolRun[T]: ...

    @overload
    def run_tools(
        self,
        *,
        tools: Iterable[ToolLike],
        response_format: None = ...,
        stream: bool = ...,
        max_turns: int = ...,
        context: Any = ...,
        confirm: Callable[[ToolCallEvent], Any] | None = ...,
        stop_when: Callable[[AsyncToolRun[None]], Any] | None = ...,
        tool_timeout: float | None = ...,
        max_parallel: int = ...,
        on_tool_error: Callable[[ToolCallEvent, Exception], str] | None = ...,
        **params: Unpack[CommonParams],
    ) -> AsyncToolRun[None]: ...

    @overload
    def run_tools(
        self,
        *,
        tools: Iterable[ToolLike],
        response_format: Any,
        stream: bool = ...,
        max_turns: int = ...,
        context: Any = ...,
        confirm: Callable[[ToolCallEvent], Any] | None = ...,
        stop_when: Callable[[AsyncToolRun[Any]], Any] | None = ...,
        tool_timeout: float | None = ...,
        max_parallel: int = ...,
        on_tool_error: Callable[[ToolCallEvent, Exception], str] | None = ...,
        **params: Unpack[CommonParams],
    ) -> AsyncToolRun[Any]: ...

    def run_tools(
        self,
        *,
        tools: Iterable[ToolLike],
        response_format: Any = omit,
        stream: bool = False,
        max_turns: int = MAX_TURNS,
        context: Any = None,
        confirm: Callable[[ToolCallEvent], Any] | None = None,
        stop_when: Callable[[AsyncToolRun[Any]], Any] | None = None,
        tool_timeout: float | None = TOOL_TIMEOUT_S,
        max_parallel: int = MAX_PARALLEL_TOOLS,
        on_tool_error: Callable[[ToolCallEvent, Exception], str] | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = omit,
        **params: Unpack[CompletionCommonParams],
    ) -> AsyncToolRun[Any]:
        """Let the model call functions until it has an answer; nothing is sent before the run is read.

        `tools` are typed functions, tools made by `@tool`, or dicts, whose calls are left to the caller
        (`run.unanswered`). Calls of one answer are made side by side, at most `max_parallel`, each within
        `tool_timeout` seconds. Results are sent back, and so are errors, unknown tools and bad arguments. With
        `stream` the run tells the events of its streams, too. `context` is for the functions that ask for one.
        `confirm` is asked before each call: True makes it, False or a text declines it. `stop_when` is given the
        run after the results of each turn. `on_tool_error` says what the model is told of an error, or raises.
        `max_turns` bounds the completions. A `tool_choice` that forces a call does so in the first turn.
        """
        from .tool_run import AsyncToolRun, ToolSettings, conversation

        settings = ToolSettings(
            stream, max_turns, context, confirm, stop_when, tool_timeout, max_parallel, on_tool_error
        )
        reasoning = self._client._options.send_reasoning
        turns, asked = conversation(params, tools, settings, reasoning=reasoning)
        asked |= {"response_format": response_format, "extra_headers": extra_headers}
        asked |= {"extra_query": extra_query, "extra_body": extra_body, "timeout": timeout}
        return AsyncToolRun(self, turns, asked, settings)

    def create_many(
        self,
        requests: AsyncRequests,
        *,
        max_concurrency: int | None = None,
        in_order: bool = True,
        deadline: float | None = None,
        progress: bool = False,
    ) -> AsyncResults:
        """Ask for many completions, so many at once, and iterate over what became of each: `BulkResult`s.

        Each request is a mapping of what `create` takes, but for `stream`. There may be any number of them: they
        are taken only as results are. A request that fails does not end the others: its result holds the error.
        `max_concurrency` is the client's own unless given, or else 16; limits that the server tells in its headers
        are kept. `in_order=False` gives results as they come. `deadline` is for all together, in seconds from now;
        what is not done then fails. `progress` shows a bar on a terminal.
        """
        from .bulk import AsyncResults, settings_of

        client = self._client
        settings = settings_of(
            client._options,
            requests,
            max_concurrency=max_concurrency,
            in_order=in_order,
            deadline=deadline,
            progress=progress,
        )
        if client._gate is None:
            client = client.with_options(max_concurrency=settings.workers)
        return AsyncResults(client.chat.completions.create, requests, settings)


class AsyncModels:
    """`client.models`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(
        self,
        *,
        extra_headers: Mapping[str, str | None] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | None = omit,
    ) -> ModelList:
        """The models that the endpoint serves; iterate over it. Raises `DuologueError`."""
        from .call import perform
        from .calls import model_list

        client = self._client
        call = model_list(
            client._options, await client._key(), timeout=timeout, headers=extra_headers, query=extra_query
        )
        answer: ModelList = await client._run(perform(call, client._run))
        return answer

    async def retrieve(
        self,
        model: str,
        *,
        extra_headers: Mapping[str, str | None] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | None = omit,
    ) -> Model:
        """One model by its id. Raises `DuologueError`."""
        from . import calls
        from .call import perform

        client = self._client
        call = calls.model(
            client._options,
            await client._key(),
            model,
            timeout=timeout,
            headers=extra_headers,
            query=extra_query,
        )
        answer: Model = await client._run(perform(call, client._run))
        return answer


def _transport(app: ASGIApp | None, network: dict[str, Any]) -> AsyncTransport:
    if app is not None:
        from .transports.asgi import AsgiTransport

        return AsgiTransport(app)
    from .transports.aiohttp import AiohttpTransport

    return AiohttpTransport(**network)
