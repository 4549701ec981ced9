"""Imports a library and builds its client: ms, CPU ms, and MiB of peak memory, as one JSON object."""

import json
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


def peak():
    """The most memory that this program has held, in MiB. `ru_maxrss` would be that of what started it, too."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


job = json.load(sys.stdin)
before, cpu = time.perf_counter(), time.process_time()
globals()[job["client"]]()
spent, cpu = time.perf_counter() - before, time.process_time() - cpu
print(json.dumps({"time": spent * 1e3, "CPU": cpu * 1e3, "memory": peak()}))
