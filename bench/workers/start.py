"""Imports a library and builds its client: ms, CPU ms, and MiB of peak memory, as one JSON object."""

import json
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


job = json.load(sys.stdin)
before, cpu = time.perf_counter(), time.process_time()
globals()[job["client"]]()
spent, cpu = time.perf_counter() - before, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
print(json.dumps({"time": spent * 1e3, "CPU": cpu * 1e3, "memory": peak}))
