"""What importing the local engines does, and leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
