"""Decoding in several threads."""

from __future__ import annotations

import subprocess
import sys

FIRST = """
import sys, threading
sys.setswitchinterval(1e-6)
from duologue.protocol.codec import decode_completion
body = b'{"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}'
start, good = threading.Barrier(4), []
def decode():
    start.wait()
    good.append(decode_completion(body).id == "c")
threads = [threading.Thread(target=decode) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert good == [True] * 4
"""


def test_the_first_answers_may_come_at_once() -> None:
    """Nothing is left to be built by whichever thread comes first. In a new process, several times."""
    for _ in range(4):
        subprocess.run([sys.executable, "-c", FIRST], check=True, timeout=60)
