"""The port: what a backend must offer to be served.

An engine is given one checked `ChatRequest` and yields what the model produces. It never sees SSE or HTTP
and makes no ids or timestamps. A generator function is an engine already:

    async def shout(request):
        yield request.messages[-1].text.upper()

It may raise any class of `duologue`'s errors (`RateLimitError("try later")` is answered with a 429); any
other exception is answered as a 500 with a fixed text, and its own text goes to the log only.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, Literal, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import msgspec

from .types.chat.chat_completion import FinishReason
from .types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob
from .types.chat.request import ChatRequest

__all__ = [
    "Audio",
    "Engine",
    "Event",
    "Finish",
    "FunctionEngine",
    "Head",
    "Reasoning",
    "Refusal",
    "Support",
    "Text",
    "ToolArguments",
    "ToolCall",
    "Usage",
    "as_engine",
    "closing",
]

T = TypeVar("T")

# A number of tokens, or an index.
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class _Event(msgspec.Struct, gc=False):
    """The base of everything an engine yields. `choice` is the index of the choice it belongs to."""


class Text(_Event):
    """A piece of the answer. `logprobs` cover exactly this text; `tokens` says how many tokens it took."""

    text: str
    choice: Count = 0
    logprobs: list[ChatCompletionTokenLogprob] | None = None
    tokens: Count | None = None


class Reasoning(_Event):
    """A piece of the thoughts before the answer."""

    text: str
    choice: Count = 0
    tokens: Count | None = None


class Refusal(_Event):
    """A piece of a refusal, which stands in place of the answer."""

    text: str
    choice: Count = 0
    logprobs: list[ChatCompletionTokenLogprob] | None = None
    tokens: Count | None = None


class ToolCall(_Event):
    """The beginning of a tool call; its arguments follow as `ToolArguments` with the same index.

    The name may not be empty: no client could send such a call back. `id` is made by the server where it is
    None. `type` is `custom` for a tool whose input is free text.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    id: str | None = None
    index: Count = 0
    choice: Count = 0
    type: Literal["function", "custom"] = "function"


class ToolArguments(_Event):
    """A piece of the arguments (JSON text), or of a custom tool's input, of the call at `index`."""

    text: str
    index: Count = 0
    choice: Count = 0
    tokens: Count | None = None


class Audio(_Event):
    """A piece of a spoken answer: base64 `data`, `transcript`, and at its end `expires_at` (Unix s)."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None
    choice: Count = 0


class Usage(_Event):
    """The engine's own count of tokens, for all choices together. The last one yielded counts.

    `estimated` says that it is not exact, and the answer then says so, too.
    """

    prompt_tokens: Count
    completion_tokens: Count
    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    accepted_prediction_tokens: Count | None = None
    rejected_prediction_tokens: Count | None = None
    estimated: bool = False


class Finish(_Event):
    """The end of one choice. A choice without one ends as `tool_calls` if it called a tool, else `stop`."""

    reason: FinishReason
    choice: Count = 0


class Head(_Event):
    """Identity for the answer, of which an engine that forwards another server's answer knows more.

    Must come first. What is None is made by the server; `extra` is added to every chunk as it is.
    """

    id: str | None = None
    created: int | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    extra: Mapping[str, Any] | None = None


Event = Text | Reasoning | Refusal | ToolCall | ToolArguments | Audio | Usage | Finish | Head

# What becomes of a request parameter that is not at its default:
#   native       the engine honours it;
#   emulated     the server does it over what the engine yields (see `EMULATED`);
#   inert        it has by its nature no effect on the answer;
#   delegated    the engine is handed it and may honour it; the answer's headers say so;
#   unsupported  the request is refused.
Support = Literal["native", "emulated", "inert", "delegated", "unsupported"]


@runtime_checkable
class Engine(Protocol):
    """A backend. `start` and `close` may be offered, too, which the server calls if they are there."""

    @property
    def models(self) -> Sequence[str]:
        """The model ids it answers to, the default one first."""
        ...

    @property
    def supports(self) -> Mapping[str, Support]:
        """What becomes of each parameter; one that is not listed is unsupported, or inert by nature."""
        ...

    def generate(self, request: ChatRequest) -> AsyncIterator[Event | str]:
        """Yield the answer. A bare `str` is a `Text`. Closing the iterator stops the work.

        `as_engine` also takes a generator, which then runs in a thread, a coroutine that returns the whole, and a
        function that returns any of these or a list, and does not block before it returns.
        """
        ...


# What a bare function may honour, since it is handed the request: nobody but its author can know.
DELEGATED = (
    "frequency_penalty",
    "logit_bias",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "temperature",
    "top_p",
    "verbosity",
)

# What a server can do itself. The last four are about tools, which the engine must know.
EMULATED = (
    "max_completion_tokens",
    "max_tokens",
    "n",
    "response_format",
    "stop",
    "function_call",
    "functions",
    "parallel_tool_calls",
    "tool_choice",
)


class FunctionEngine:
    """A function as an engine: sync or async, a generator of pieces or one that returns the whole answer.

    Blocking functions run in a thread of their own. `native` names the parameters that the function
    honours itself, such as `tools`; what the server can do without its help is emulated.
    """

    def __init__(
        self, function: Callable[[ChatRequest], Any], *, model: str | None = None, native: Iterable[str] = ()
    ) -> None:
        name = model or getattr(function, "__name__", None) or type(function).__name__
        self._function = function
        self.models: Sequence[str] = (name,)
        self.supports: Mapping[str, Support] = {
            **dict.fromkeys(DELEGATED, "delegated"),
            **dict.fromkeys(EMULATED, "emulated"),
            **dict.fromkeys(native, "native"),
        }

    def generate(self, request: ChatRequest) -> AsyncIterator[Event | str]:
        """What the function yields or returns, as it makes it."""
        if _is(inspect.isasyncgenfunction, self._function):
            return cast("AsyncIterator[Event | str]", self._function(request))
        return _answer(self._function, request)


class _Adapted:
    """An engine whose `generate` is a generator or a coroutine, or a function that returns what to take."""

    def __init__(self, engine: Engine) -> None:
        self.models = engine.models
        self.supports = engine.supports
        self._generate: Callable[[ChatRequest], Any] = engine.generate
        self._plain = not _is(inspect.isgeneratorfunction, engine.generate)
        self._plain &= not _is(inspect.iscoroutinefunction, engine.generate)
        for hook in ("start", "close"):
            if hasattr(engine, hook):
                setattr(self, hook, getattr(engine, hook))

    def generate(self, request: ChatRequest) -> AsyncIterator[Event | str]:
        if not self._plain:
            return _answer(self._generate, request)
        # Called here and not in a thread: most such functions only hand on an async generator.
        given = self._generate(request)
        return given if isinstance(given, AsyncIterator) else _answer(lambda _: given, request)


async def _answer(function: Callable[[ChatRequest], Any], request: ChatRequest) -> AsyncIterator[Event | str]:
    """What a function yields or returns; what blocks does so in a thread."""
    # Imported here, because the protocol knows this module and must not bring in an event loop.
    from ._threads import iterate_in_thread, run_in_thread

    # Making a coroutine or a generator does not block: only running it may.
    blocks = not (_is(inspect.iscoroutinefunction, function) or _is(inspect.isgeneratorfunction, function))
    answer = await run_in_thread(function, request) if blocks else function(request)
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, (str, _Event)):
        yield cast("Event | str", answer)
    elif isinstance(answer, AsyncIterable):
        async with closing(aiter(answer)) as events:
            async for event in events:
                yield event
    elif isinstance(answer, Iterable) and not isinstance(answer, (Mapping, bytes, bytearray)):
        async with aclosing(iterate_in_thread(answer)) as events:
            async for event in events:
                yield event
    elif answer is not None:
        raise TypeError(f"an engine function must yield or return text or events, not {type(answer)!r}")


@asynccontextmanager
async def closing(events: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close an engine's iterator at the end, if it can be closed: that is what stops its work."""
    try:
        yield events
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether a function, or what an object does when it is called, is of a kind that `inspect` knows."""
    return kind(function) or kind(type(function).__call__)


def as_engine(obj: Any, *, model: str | None = None, native: Iterable[str] = ()) -> Engine:
    """An engine from an engine, a function, or an object that can be called with a request.

    For a function, `model` is the id it answers to (its name unless given), and `native` lists the parameters
    that it honours itself; an engine says both itself. Raises `TypeError` for anything else.
    """
    if inspect.isclass(obj):
        raise TypeError(f"{obj.__name__} is a class; pass an instance of it: {obj.__name__}(...)")
    if isinstance(obj, str):
        raise TypeError(
            f"{obj!r} cannot be served: strings are for `serve` and `run_server`. Pass an engine or a function, "
            "or what `duologue.run.load_target` makes of the string"
        )
    if isinstance(obj, Engine):
        if model is not None or native:
            raise TypeError(
                f"{obj!r} is an engine: `model` and `native` are for functions, it has `models` and `supports`"
            )
        return obj if _is(inspect.isasyncgenfunction, obj.generate) else _Adapted(obj)
    if not callable(obj):
        raise TypeError(
            f"{obj!r} cannot be served: pass a function of the request, or an object with `models`, "
            "`supports` and `generate(request)`"
        )
    if not _takes_one(obj):
        raise TypeError(f"{obj!r} cannot be served: it must take one argument, the request")
    return FunctionEngine(obj, model=model, native=native)


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with one argument, as far as it tells."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # some written in C tell nothing
        pass
    return True
