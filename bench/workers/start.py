"""Imports a library and builds its client: ms, CPU ms, and MiB of peak memory, as one JSON object.

With a URL it also reads a first streamed answer there.
"""

import json
import os
import pathlib
import resource
import sys
import time


def duologue():
    from duologue import Client

    return Client(base_url="http://127.0.0.1:1/v1", api_key="none")


def openai():
    from openai import OpenAI

    return OpenAI(base_url="http://127.0.0.1:1/v1", api_key="none")


def litellm():
    import litellm  # it has functions in place of a client

    return litellm.completion


def nothing():
    return None


ASKED = {"model": "content-2-0", "messages": [{"role": "user", "content": "hello"}], "stream": True}


def duologue_sync(url):
    from duologue import Client

    read(Client(base_url=url, api_key="none").chat.completions.create(**ASKED))


def openai_sync(url):
    from openai import OpenAI

    read(OpenAI(base_url=url, api_key="none").chat.completions.create(**ASKED))


def litellm_sync(url):
    import litellm

    model = f"openai/{ASKED['model']}"
    read(litellm.completion(api_base=url, api_key="none", **{**ASKED, "model": model}))


def duologue_async(url):
    from duologue import AsyncClient

    arun(lambda: AsyncClient(base_url=url, api_key="none").chat.completions.create(**ASKED))


def openai_async(url):
    from openai import AsyncOpenAI

    arun(lambda: AsyncOpenAI(base_url=url, api_key="none").chat.completions.create(**ASKED))


def litellm_async(url):
    import litellm

    model = f"openai/{ASKED['model']}"
    arun(lambda: litellm.acompletion(api_base=url, api_key="none", **{**ASKED, "model": model}))


def read(stream):
    assert sum(1 for _ in stream) >= 2


def arun(ask):
    import asyncio

    async def read():
        assert len([chunk async for chunk in await ask()]) >= 2

    asyncio.run(read())


def peak():
    """The most memory that this program has held, in MiB. `ru_maxrss` would be that of what started it, too."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


job = json.load(sys.stdin)
arguments = [job["url"]] if "url" in job else []
before, cpu = time.perf_counter(), time.process_time()
globals()[job["client"]](*arguments)
spent, cpu = time.perf_counter() - before, time.process_time() - cpu
print(json.dumps({"time": spent * 1e3, "CPU": cpu * 1e3, "memory": peak()}), flush=True)
os._exit(0)  # clients that are left open would be waited for
