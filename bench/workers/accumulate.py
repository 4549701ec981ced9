"""Reads prepared bytes in process, with all that a stream of events does: µs of CPU per chunk, and MiB it grew.

The stream has `count` chunks; short ones are read again, until `least` chunks have been.
"""

import json
import os
import pathlib
import resource
import sys
import time

BLOCK = 64  # frames fed at once


def duologue_plain(blocks):
    from duologue.protocol.read import StreamReader

    reader = StreamReader()
    for block in blocks:
        reader.feed(block)
    assert reader.result().choices


def duologue_flat(blocks):
    from duologue.protocol.read import StreamReader

    reader = StreamReader(accumulate=False)
    for block in blocks:
        reader.feed(block)
    assert reader.outcome == "complete"


def duologue_events(blocks, response_format=None):
    from duologue.client.parsing import asked_for
    from duologue.protocol.events import EventMaker
    from duologue.protocol.read import StreamReader

    reader, maker = StreamReader(), EventMaker(asked_for(response_format, None)[1])
    for block in blocks:
        for chunk in reader.feed(block):
            maker.take(chunk)
    assert reader.result().choices


def duologue_structured(blocks):
    import msgspec

    duologue_events(blocks, msgspec.defstruct("Items", [("items", list[int])]))


def openai_plain(blocks):
    from openai._models import construct_type
    from openai._streaming import SSEDecoder
    from openai.types.chat import ChatCompletionChunk

    for event in SSEDecoder().iter_bytes(iter(blocks)):
        if event.data.startswith("[DONE]"):
            return
        construct_type(type_=ChatCompletionChunk, value=event.json())


def openai_events(blocks, response_format=None):
    from openai import NOT_GIVEN
    from openai._models import construct_type
    from openai._streaming import SSEDecoder
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    state = ChatCompletionStreamState(input_tools=NOT_GIVEN, response_format=response_format or NOT_GIVEN)
    for event in SSEDecoder().iter_bytes(iter(blocks)):
        if event.data.startswith("[DONE]"):
            return
        list(state.handle_chunk(construct_type(type_=ChatCompletionChunk, value=event.json())))


def openai_structured(blocks):
    from pydantic import BaseModel

    class Items(BaseModel):
        items: list[int]

    openai_events(blocks, Items)


def blocks_of(frames, count):
    """One frame stands for all that are alike: a long stream takes no memory of its own."""
    begin, first, word, end = (frames[name].encode() for name in ("begin", "first", "word", "end"))
    yield begin + first
    whole, rest = divmod(count - 1, BLOCK)
    block = word * BLOCK
    for _ in range(whole):
        yield block
    yield word * rest + end


def peak():
    """The most memory that this program has held, in MiB. `ru_maxrss` would be that of what started it, too."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


job = json.load(sys.stdin)
work, frames, count = globals()[job["client"]], job["frames"], job["count"]
work(blocks_of(frames, 2))  # imports
times = max(1, job["least"] // count)
before, cpu = peak(), time.process_time()
for _ in range(times):
    work(blocks_of(frames, count))
spent = (time.process_time() - cpu) / (times * count) * 1e6
print(json.dumps({"CPU": spent, "memory grown": peak() - before}), flush=True)
os._exit(0)
