"""What importing the local engines does, and leaves alone; and what a fresh machine without a network has."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from duologue import Client

PROGRAM = """
import os
before = dict(os.environ)
{first}
from duologue.engines.local import LocalEngine
import numpy
numpy.ones((600, 600)) @ numpy.ones((600, 600))
assert dict(os.environ) == before
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the threads of a process")
@pytest.mark.parametrize(
    ("first", "said", "threads"),
    [
        pytest.param("", None, 1, id="one thread"),
        pytest.param("", "2", min(2, os.cpu_count() or 1), id="as many as were asked for"),
        pytest.param("import numpy", None, os.cpu_count(), id="as before, where numpy is there"),
    ],
)
def test_numpy_computes_in_one_thread(first, said, threads):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("NUM_THREADS")}
    if said is not None:
        environment["OPENBLAS_NUM_THREADS"] = said
    program = PROGRAM.format(first=first)
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True, env=environment
    )
    assert int(done.stdout) == threads


# Ends the process, and says so, where it asks for a name or an address of another machine.
OFFLINE = """
import os, sys

def watch(event, args):
    if event == "socket.getaddrinfo" and args[0] not in ("127.0.0.1", "localhost"):
        where = args[0]
    elif event == "socket.connect" and not str(args[1][0]).startswith("127."):
        where = args[1]
    else:
        return
    print("not offline:", where, file=sys.stderr)
    os._exit(9)

sys.addaudithook(watch)
from duologue.cli import main
main(["serve", "--port", "0"])
"""


def test_serve_alone_answers_on_a_fresh_machine_without_a_network(tmp_path):
    """`duologue serve`: from the embedded model, with no setting, no file of the user's, and no other machine."""
    process = subprocess.Popen(
        [sys.executable, "-c", OFFLINE],
        env={"HOME": str(tmp_path), "PATH": ""},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"Serving pocket at (\S+)\n", process.stdout.readline())
        assert found is not None
        with Client(base_url=found[1]) as client:
            messages = [{"role": "user", "content": "Hello"}]
            with client.chat.completions.create(model="pocket", messages=messages, stream=True) as stream:
                said = "".join(stream.text)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert said
    assert (process.returncode, errors) == (0, "")
    assert not list(tmp_path.iterdir())
