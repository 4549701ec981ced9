"""The process that grammars are tried out in: how it starts, ends, and is ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from duologue.engines.local import default_engine, judge
from duologue.engines.local.judge import TOO_COSTLY, Judge
from duologue.protocol.errors import InternalServerError

TOKENS = [*(bytes([byte]) for byte in range(256)), b"\xff<end>"]
FINE = 'start: "a" | "b"'
ENDLESS = "start: T\nT: /.*a.{20}/ & /.*b.{19}/ & ~/.*c.{18}/"


@pytest.fixture
def fresh() -> Judge:
    return Judge(TOKENS, [256], [256])


def children() -> set[str]:
    """The judges that this process has started, and all it has not waited for."""
    found: set[str] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            command = stat.with_name("cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if int(parent) == os.getpid() and ("grammar_check" in command or state == "Z"):
            found.add(stat.parent.name)
    return found


def test_what_is_wrong_with_a_grammar(fresh):
    assert fresh.check(FINE, 5)[0] == ""
    assert "unknown name" in fresh.check("start: nobody", 5)[0]
    assert fresh.check(FINE, 0) == (TOO_COSTLY, 0)


def test_one_that_takes_too_long_is_ended_and_others_are_judged_after_it(fresh):
    fresh.check(FINE, 5)
    start = time.monotonic()
    words, seconds = fresh.check(ENDLESS, 0.2)
    assert words == TOO_COSTLY
    assert 0.2 <= seconds <= time.monotonic() - start < 5
    assert fresh.check(FINE, 5)[0] == ""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the processes of this machine")
def test_nothing_is_left_of_it():
    before = children()
    fresh = Judge(TOKENS, [256], [256])
    fresh.check(FINE, 5)
    assert len(children()) == len(before) + 1
    del fresh
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the processes of this machine")
def test_nothing_is_left_of_one_that_is_closed(fresh):
    """Not even what it is busy with; and the next grammar starts it again."""
    before = children()
    fresh.close()
    fresh.check(FINE, 5)
    busy = threading.Thread(target=fresh.check, args=(ENDLESS, 60))
    busy.start()
    time.sleep(0.2)  # so that it is at it; else it comes after the end, and ends by itself
    fresh.close()
    busy.join(10)
    assert not busy.is_alive()
    assert children() <= before
    assert fresh.check(FINE, 5)[0] == ""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the processes of this machine")
async def test_nothing_is_left_of_an_engine_that_is_closed(make_request):
    before = children()
    engine = default_engine()
    asked = make_request("Hello", response_format={"type": "json_object"}, max_tokens=2)
    for _ in range(2):
        assert [event async for event in engine.generate(asked)]
        await engine.close()
        assert children() <= before


def test_it_ends_with_the_interpreter_without_a_word():
    program = (
        "from duologue.engines.local.judge import Judge\n"
        "judge = Judge([*(bytes([byte]) for byte in range(256)), b'end'], [256], [256])\n"
        f"print(judge.check({FINE!r}, 5)[0] or 'fine', judge._process._popen.pid)\n"
    )
    done = subprocess.run(
        (sys.executable, "-W", "error", "-c", program), capture_output=True, text=True, check=True
    )
    said, pid = done.stdout.split()
    assert (said, done.stderr) == ("fine", "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.parametrize("executable", ["", "/nowhere/python", "/bin/true"])
def test_without_an_interpreter_the_error_says_so(executable, fresh, monkeypatch):
    monkeypatch.setattr(judge.sys, "executable", executable)
    with pytest.raises(InternalServerError, match=r"sys\.executable") as caught:
        fresh.check(FINE, 5)
    assert caught.value.status_code == 501


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_starts_its_own(fresh):
    fresh.check(FINE, 5)
    program = (
        "import os\n"
        "from duologue.engines.local.judge import Judge\n"
        "judge = Judge([*(bytes([byte]) for byte in range(256)), b'end'], [256], [256])\n"
        f"assert judge.check({FINE!r}, 5)[0] == ''\n"
        "pid = os.fork()\n"
        f"assert judge.check({FINE!r}, 5)[0] == ''\n"
        "if pid:\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        f"    assert judge.check({FINE!r}, 5)[0] == ''\n"
    )
    subprocess.run((sys.executable, "-c", program), check=True, timeout=60)
