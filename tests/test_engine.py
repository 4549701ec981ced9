"""The port: what may be served, and what a function becomes."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
import threading
import time
from typing import Any

import pytest

from duologue._threads import MAX_AHEAD, MAX_THREADS, iterate_in_thread, run_in_thread
from duologue.engine import DELEGATED, EMULATED, Engine, FunctionEngine, Text, as_engine
from duologue.protocol.checks import decode_request
from duologue.protocol.errors import InternalServerError

REQUEST, _ = decode_request(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}')


class Whole:
    models = ("whole",)
    supports: dict[str, Any] = {"n": "native"}

    async def generate(self, request):
        yield "x"


class Called:
    def __call__(self, request):
        return "called"


class CalledAsync:
    async def __call__(self, request):
        yield "called"


def plain(request):
    return "plain"


async def collect(engine: Engine) -> list[Any]:
    return [event async for event in engine.generate(REQUEST)]


# --- as_engine -----------------------------------------------------------------------------------------


def test_an_engine_is_served_as_it_is():
    """The very object."""
    engine = Whole()
    assert as_engine(engine) is engine


@pytest.mark.parametrize(
    ("obj", "model", "name"),
    [
        (plain, None, "plain"),
        (plain, "other", "other"),
        (Called(), None, "Called"),
        (functools.partial(plain), None, "partial"),
        (lambda request: "x", "mine", "mine"),
    ],
)
def test_a_function_becomes_an_engine(obj, model, name):
    """It answers to its own name, or to the one it is given."""
    engine = as_engine(obj, model=model)
    assert isinstance(engine, Engine)
    assert list(engine.models) == [name]
    emulated = dict.fromkeys(EMULATED, "emulated")
    assert engine.supports == {**dict.fromkeys(DELEGATED, "delegated"), **emulated}


def test_a_function_may_honour_more():
    """What it names is native, also what would only be delegated."""
    engine = FunctionEngine(plain, native=["n", "temperature"])
    assert (engine.supports["n"], engine.supports["temperature"]) == ("native", "native")
    assert (engine.supports["seed"], engine.supports["stop"]) == ("delegated", "emulated")


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ("echo", r"cannot be served: strings are for `serve` and `run_server`.*load_target"),
        (Whole, r"Whole is a class; pass an instance of it: Whole\(\.\.\.\)"),
        (Called, "Called is a class"),
        (3, "cannot be served: pass a function"),
        (None, "cannot be served"),
        ("my_agent:answer", "cannot be served"),
    ],
)
def test_what_cannot_be_served_is_refused(obj, message):
    """When it is handed over, with what would do."""
    with pytest.raises(TypeError, match=message):
        as_engine(obj)


@pytest.mark.parametrize("options", [{"model": "x"}, {"native": ["n"]}])
def test_an_engine_speaks_for_itself(options):
    """What is said beside it would be ignored, so it is refused."""
    with pytest.raises(TypeError, match="is an engine"):
        as_engine(Whole(), **options)


# --- functions -----------------------------------------------------------------------------------------


async def async_partial_base(word, request):
    yield word


async def returns_list(request):
    return ["a", Text("b")]


def yields(request):
    yield "a"
    yield "b"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, ["plain"]),
        (Called(), ["called"]),
        (CalledAsync(), ["called"]),
        (functools.partial(async_partial_base, "w"), ["w"]),
        (returns_list, ["a", Text("b")]),
        (yields, ["a", "b"]),
        (lambda request: yields(request), ["a", "b"]),
        (lambda request: async_partial_base("w", request), ["w"]),
        (lambda request: None, []),
        (lambda request: Text("x", 1), [Text("x", 1)]),
    ],
)
async def test_what_a_function_yields_or_returns_is_the_answer(function, expected):
    """Sync or async, in pieces or whole."""
    assert await collect(as_engine(function)) == expected


@pytest.mark.parametrize("value", [3, {"a": "b"}, b"x", object()])
async def test_what_is_neither_text_nor_events_is_an_error(value):
    """A mapping is not its keys, bytes are not numbers."""
    with pytest.raises(TypeError, match="must yield or return text or events"):
        await collect(as_engine(lambda request: value))


async def test_an_async_generator_is_handed_on_as_it_is():
    """Nothing stands between its yields and the server."""

    async def engine(request):
        yield "x"

    made = as_engine(engine).generate(REQUEST)
    assert made.__name__ == "engine"
    assert [event async for event in made] == ["x"]


async def test_blocking_functions_run_beside_the_loop():
    """In threads of their own, with the caller's context variables."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("seen")
    seen: list[Any] = []

    def blocking(request):
        seen.append((threading.current_thread() is threading.main_thread(), variable.get()))
        yield "a"
        seen.append((threading.current_thread() is threading.main_thread(), variable.get()))

    await collect(as_engine(blocking))
    assert seen == [(False, "seen"), (False, "seen")]


async def test_closing_an_engine_closes_what_it_iterates():
    """Also an async generator that a coroutine had returned."""
    closed = asyncio.Event()

    async def inner():
        try:
            while True:
                yield "x"
        finally:
            closed.set()

    async def outer(request):
        return inner()

    events: Any = as_engine(outer).generate(REQUEST)
    assert await anext(events) == "x"
    await events.aclose()
    assert closed.is_set()


# --- threads -------------------------------------------------------------------------------------------


async def test_a_blocking_iterator_is_only_so_far_ahead():
    """`MAX_AHEAD` items wait at most, and the one that is being made."""
    made = 0

    def numbers():
        nonlocal made
        for number in range(1000):
            made += 1
            yield number

    events: Any = iterate_in_thread(numbers())
    assert await anext(events) == 0
    await asyncio.sleep(0.05)
    assert made <= MAX_AHEAD + 2
    await events.aclose()


async def test_a_blocking_iterator_is_closed_when_its_reader_leaves():
    """In its own thread, at its next item."""
    closed = threading.Event()

    def numbers():
        try:
            while True:
                yield 1
                time.sleep(0.001)
        finally:
            closed.set()

    events: Any = iterate_in_thread(numbers())
    await anext(events)
    await events.aclose()
    assert await asyncio.to_thread(closed.wait, 2)


class NoIterator:
    def __iter__(self):
        raise ValueError("no iterator")


def fails_later():
    yield "a"
    raise ValueError("later")


@pytest.mark.parametrize(
    ("items", "before"), [(NoIterator(), []), (fails_later(), ["a"])], ids=["iter", "later"]
)
async def test_what_a_blocking_iterator_raises_is_raised_here(items, before):
    """After the items it had made."""
    events = iterate_in_thread(items)
    assert [await anext(events) for _ in before] == before
    with pytest.raises(ValueError):
        await anext(events)


async def test_a_stop_iteration_of_a_function_is_an_error():
    """A future cannot hold it: whoever waits would wait for ever."""
    async with asyncio.timeout(2):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await run_in_thread(next, iter(()))


# --- threads -------------------------------------------------------------------------------------------


async def test_blocking_functions_do_not_wait_for_one_another():
    """Each has a thread of its own: many slow ones take as long as one."""
    begun = time.monotonic()
    await asyncio.gather(*(run_in_thread(time.sleep, 0.2) for _ in range(50)))
    assert time.monotonic() - begun < 2


async def test_threads_are_bounded():
    """Over the limit a call is refused with a 503; the places come back."""
    gate = threading.Event()
    waiting = [asyncio.ensure_future(run_in_thread(gate.wait)) for _ in range(MAX_THREADS)]
    try:
        await asyncio.sleep(0)
        with pytest.raises(InternalServerError, match=str(MAX_THREADS)) as caught:
            await run_in_thread(int)
        assert caught.value.status_code == 503
    finally:
        gate.set()
        await asyncio.gather(*waiting)
    assert await run_in_thread(int) == 0


async def test_a_function_that_exits_is_an_error_of_the_engine():
    """`sys.exit()` reaches the caller as the exception it is, and the thread ends."""
    with pytest.raises(SystemExit):
        await run_in_thread(sys.exit, 3)


# --- classes -------------------------------------------------------------------------------------------


class Counting:
    """A class with state, whose `generate` is what the test says."""

    models = ("counting",)
    supports: dict[str, Any] = {}

    def __init__(self):
        self.asked = 0
        self.log: list[str] = []

    async def start(self):
        self.log.append("start")

    async def close(self):
        self.log.append("close")


class CountingGenerator(Counting):
    def generate(self, request):
        self.asked += 1
        self.thread = threading.current_thread()
        yield f"{self.asked}"


class CountingCoroutine(Counting):
    async def generate(self, request):
        self.asked += 1
        return [f"{self.asked}"]


class CountingAsync(Counting):
    async def generate(self, request):
        self.asked += 1
        yield f"{self.asked}"


class CountingList(Counting):
    def generate(self, request):
        self.asked += 1
        return [f"{self.asked}"]


class CountingLazy(Counting):
    def generate(self, request):
        self.asked += 1
        return (each for each in [f"{self.asked}"])


class CountingHanding(Counting):
    def generate(self, request):
        return CountingAsync.generate(self, request)  # type: ignore[arg-type] # it counts as the other does


KINDS = [
    CountingGenerator,
    CountingCoroutine,
    CountingAsync,
    CountingList,
    CountingLazy,
    CountingHanding,
]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_class_may_yield_or_return_as_a_function_does(kind):
    """It keeps its state, its names and its hooks; what blocks does so in a thread."""
    made = kind()
    engine: Any = as_engine(made)
    assert isinstance(engine, Engine)
    assert (tuple(engine.models), dict(engine.supports)) == (("counting",), {})
    assert [await collect(engine), await collect(engine)] == [["1"], ["2"]]
    await engine.start()
    await engine.close()
    assert (made.asked, made.log) == (2, ["start", "close"])
    if kind is CountingGenerator:
        assert made.thread is not threading.current_thread()


async def test_a_generator_has_one_thread_from_begin_to_end():
    """What belongs to a thread, a database connection for example, can be used throughout."""
    seen: set[threading.Thread] = set()

    def engine(request):
        seen.add(threading.current_thread())
        try:
            yield "a"
            seen.add(threading.current_thread())
            yield "b"
        finally:
            seen.add(threading.current_thread())

    assert await collect(as_engine(engine)) == ["a", "b"]
    assert len(seen) == 1
    assert threading.current_thread() not in seen
