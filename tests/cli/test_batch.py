"""`duologue batch`: a file of requests and a file of results, whatever happens in between."""

from __future__ import annotations

import json
import math
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from duologue.cli import main
from duologue.client.bulk import AHEAD
from duologue.protocol.batch import LINE_START
from support.wire import COMPLETION, Peer, WireServer, json_answer, refused_url

# How many requests, and how often the process is killed. More of both: DUOLOGUE_LINES=2000 DUOLOGUE_KILLS=20.
LINES = int(os.environ.get("DUOLOGUE_LINES", "300"))
KILLS = int(os.environ.get("DUOLOGUE_KILLS", "5"))
CONCURRENCY = 8

COMMAND = [sys.executable, "-m", "duologue", "batch"]


def line(custom_id: str, content: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": content or custom_id}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **more}


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in lines))
    return path


def read(path: Path) -> dict[str, Any]:
    """The results by their custom_id, each of which must be there once."""
    assert path.read_bytes().endswith(b"\n")
    results = [json.loads(text) for text in path.read_text().splitlines()]
    found = {result["custom_id"]: result for result in results}
    assert len(found) == len(results)
    return found


def text_of(result: Any) -> str:
    return str(result["response"]["body"]["choices"][0]["message"]["content"])


def answer_to(content: str) -> dict[str, Any]:
    choice = {**COMPLETION["choices"][0], "message": {"role": "assistant", "content": f"<{content}>"}}
    return {**COMPLETION, "choices": [choice]}


def answer(peer: Peer) -> None:
    """Repeats the user's words. "bad" is refused, "broken" is no answer at all."""
    content = peer.asked.json["messages"][0]["content"]
    if content == "bad":
        json_answer({"error": {"message": "No", "type": "t", "param": None, "code": "bad"}}, 400)(peer)
    elif content == "broken":
        peer.close()
    else:
        time.sleep(0.2 if content == "slow" else 0)
        json_answer(answer_to(content), headers={"x-request-id": f"req_{content}"})(peer)


@pytest.fixture
def server() -> Iterator[WireServer]:
    with WireServer(answer) as served:
        yield served


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "in.jsonl", tmp_path / "out.jsonl"


def run(*arguments: object, server: WireServer | None = None) -> Result:
    given = ["batch", *map(str, arguments), "--max-retries", "0"]
    return CliRunner().invoke(main, given if server is None else [*given, "--base-url", server.url])


def asked(server: WireServer) -> list[str]:
    return sorted(request.json["messages"][0]["content"] for request in server.asked)


def test_help() -> None:
    """It has examples, and says what each exit status means."""
    result = CliRunner().invoke(main, ["batch", "--help"])
    assert "duologue batch in.jsonl out.jsonl --retry-failed" in result.output
    assert "Exit status:" in result.output


def test_wrong_usage(files: tuple[Path, Path]) -> None:
    """Exit status 2: a file of requests that is not there, a number that cannot be."""
    source, target = files
    assert run(source, target).exit_code == 2
    write(source, line("a"))
    for wrong in (["--max-concurrency", "0"], ["--timeout", "0"], ["--timeout", "soon"]):
        assert run(source, target, *wrong).exit_code == 2


def test_results_in_the_format_of_openai(server: WireServer, files: tuple[Path, Path]) -> None:
    """A completion, an error that the server sent, and no answer: each has its place. The exit status tells."""
    source, target = files
    write(source, line("a"), line("b", "bad"), line("c", "broken"), line("d"))
    result = run(source, target, server=server)
    assert result.exit_code == 3
    assert result.stderr == "4 of 4 lines have a result, 2 of them failed.\n"
    found = read(target)
    assert found["a"]["response"] == {"status_code": 200, "request_id": "req_a", "body": answer_to("a")}
    assert found["a"]["error"] is None
    assert found["a"]["id"].startswith("batch_req_")
    assert found["b"]["response"]["status_code"] == 400
    assert found["b"]["response"]["body"]["error"]["code"] == "bad"
    assert found["c"]["response"] is None
    assert found["c"]["error"]["code"] == "connection_error"
    assert text_of(found["d"]) == "<d>"


def test_all_is_well(server: WireServer, files: tuple[Path, Path]) -> None:
    """Exit status 0; what is done is not done again."""
    source, target = files
    write(source, *(line(str(number)) for number in range(40)), "")
    assert run(source, target, server=server).exit_code == 0
    assert {custom_id: text_of(result) for custom_id, result in read(target).items()} == {
        str(number): f"<{number}>" for number in range(40)
    }
    before = target.read_bytes()
    assert run(source, target, server=server).exit_code == 0
    assert target.read_bytes() == before
    assert len(server.asked) == 40


def test_lines_that_are_added_later(server: WireServer, files: tuple[Path, Path]) -> None:
    """Only they are asked."""
    source, target = files
    run(write(source, line("a")), target, server=server)
    run(write(source, line("b"), line("a"), line("c")), target, server=server)
    assert sorted(read(target)) == ["a", "b", "c"]
    assert asked(server) == ["a", "b", "c"]


def test_errors_in_a_file_of_their_own(server: WireServer, files: tuple[Path, Path]) -> None:
    """As OpenAI has them; both files count when the run is resumed."""
    source, target = files
    errors = target.with_name("errors.jsonl")
    write(source, line("a"), line("b", "bad"))
    for _ in range(2):
        assert run(source, target, "--errors", errors, server=server).exit_code == 3
    assert list(read(target)) == ["a"]
    assert list(read(errors)) == ["b"]
    assert asked(server) == ["a", "bad"]


@pytest.mark.parametrize("apart", [False, True], ids=["one-file", "two-files"])
def test_what_failed_is_asked_again_on_demand(
    apart: bool, server: WireServer, files: tuple[Path, Path]
) -> None:
    """`--retry-failed`: its new result stands in place of the old one."""
    source, target = files
    more = ["--errors", target.with_name("errors.jsonl")] if apart else []
    write(source, line("a"), line("b", "bad"), line("c", "broken"))
    assert run(source, target, *more, server=server).exit_code == 3
    write(source, line("a"), line("b"), line("c", "bad"))
    assert run(source, target, *more, "--retry-failed", server=server).exit_code == 3
    found = read(target) | (read(more[1]) if apart else {})
    assert [text_of(found["a"]), text_of(found["b"])] == ["<a>", "<b>"]
    assert found["c"]["response"]["status_code"] == 400
    assert asked(server).count("a") == 1


def test_another_model(server: WireServer, files: tuple[Path, Path]) -> None:
    """`--model` stands in place of what the lines name."""
    source, target = files
    run(write(source, line("a")), target, "--model", "other", server=server)
    assert server.asked[0].json["model"] == "other"


def test_the_built_in_model_answers_without_an_endpoint(files: tuple[Path, Path]) -> None:
    """Offline, like the other commands."""
    source, target = files
    write(source, line("a", "Hello"), line("b", "Hello"))
    assert run(source, target, "--model", "pocket").exit_code == 0
    assert len(read(target)) == 2


@pytest.mark.parametrize("kept", [0.001, 0.3, 0.99, 1.0])
def test_a_torn_line_is_cut(kept: float, server: WireServer, files: tuple[Path, Path]) -> None:
    """Wherever it is torn: its request is asked again, unless only its line break is missing."""
    source, target = files
    write(source, line("a"), line("b"))
    run(source, target, server=server)
    first, second = target.read_bytes().splitlines()
    target.write_bytes(first + b"\n" + second[: math.ceil(len(second) * kept)])
    assert run(source, target, server=server).exit_code == 0
    assert len(read(target)) == 2
    assert len(server.asked) == (2 if kept == 1 else 3)


def test_a_file_that_is_nothing_but_a_torn_line(server: WireServer, files: tuple[Path, Path]) -> None:
    """However long it is."""
    source, target = files
    target.write_bytes(LINE_START + b"x" * 200_000)
    assert run(write(source, line("a")), target, server=server).exit_code == 0
    assert list(read(target)) == ["a"]


@pytest.mark.parametrize("zeros", [0, 9])
@pytest.mark.parametrize("begun", [0, 1, 8])
def test_a_line_of_which_the_power_left_little(
    begun: int, zeros: int, server: WireServer, files: tuple[Path, Path]
) -> None:
    """A file system may have filled it up with zeros."""
    source, target = files
    target.write_bytes(LINE_START[:begun] + bytes(zeros))
    assert run(write(source, line("a")), target, server=server).exit_code == 0
    assert list(read(target)) == ["a"]


@pytest.mark.parametrize("content", [b"Dear diary", b'{"name":1}\n{"name":2}', b'{"custom_id":"a"}', b" "])
def test_nothing_is_cut_from_another_file(
    content: bytes, server: WireServer, files: tuple[Path, Path]
) -> None:
    """One that was named by mistake stays as it is, though its last line has no line break."""
    source, target = files
    target.write_bytes(content)
    result = run(write(source, line("a")), target, server=server)
    assert (result.exit_code, server.asked) == (1, [])
    assert "Name a new" in result.stderr
    assert target.read_bytes() == content


def test_bad_lines_are_named_before_anything_is_asked(server: WireServer, files: tuple[Path, Path]) -> None:
    """All of them, with their numbers; of a custom_id that is there twice, both."""
    source, target = files
    write(source, line("a"), "{", "", line("b", url="/v1/embeddings"), line("a"), line("c", body={}))
    result = run(source, target, server=server)
    assert result.exit_code == 1
    assert "4 bad lines. Nothing was asked." in result.stderr
    for words in (
        "line 2: it is not JSON",
        "line 4: url",
        "line 5: custom_id 'a' is that of line 1",
        "line 6: body.model",
    ):
        assert words in result.stderr
    assert server.asked == []
    assert not target.exists()


def test_only_some_of_many_bad_lines_are_shown(files: tuple[Path, Path]) -> None:
    """How many there are is said."""
    source, target = files
    result = run(write(source, *["{"] * 100), target)
    assert "100 bad lines" in result.stderr
    assert len(result.stderr.splitlines()) < 30


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            '{"custom_id": "x", "response": null, "error": {}}\n', "no line of .* 'x'", id="other-batch"
        ),
        pytest.param("something else\n", "line 1: it is not a result", id="no-results"),
        pytest.param(
            '{"custom_id": "a", "response": null, "error": {}}\n' * 2, "line 2: a second", id="twice"
        ),
    ],
)
def test_a_file_of_something_else_is_left_alone(
    content: str, words: str, server: WireServer, files: tuple[Path, Path]
) -> None:
    """Nothing is asked, and nothing is changed in it."""
    source, target = files
    target.write_text(content)
    result = run(write(source, line("a")), target, server=server)
    assert result.exit_code == 1
    assert re.search(words, result.stderr)
    assert target.read_text() == content
    assert server.asked == []


def test_one_file_for_everything(files: tuple[Path, Path]) -> None:
    """Results do not overwrite requests."""
    source, _ = files
    write(source, line("a"))
    before = source.read_text()
    result = run(source, source)
    assert result.exit_code == 1
    assert "different files" in result.stderr
    assert source.read_text() == before


def pipe(path: Path, content: str = "") -> Path:
    """A pipe that is never written to, or a link to one that holds `content`, as a shell makes it of `<(...)`."""
    if not content:
        os.mkfifo(path)
        return path
    end, start = os.pipe()
    os.write(start, content.encode())
    os.close(start)
    path.symlink_to(f"/proc/self/fd/{end}")
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_requests_from_a_pipe(server: WireServer, files: tuple[Path, Path]) -> None:
    """It cannot be read twice: that is said, and nothing is asked."""
    source, target = files
    result = run(pipe(source, json.dumps(line("a"))), target, server=server)
    assert result.exit_code == 1
    assert "a pipe will not do: name a file" in result.stderr
    assert server.asked == []
    assert not target.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize("place", ["/dev/null", "/dev/full", "pipe"])
@pytest.mark.parametrize("option", ["RESULTS", "--errors"])
def test_results_to_what_is_no_file(
    place: str, option: str, server: WireServer, files: tuple[Path, Path]
) -> None:
    """Said at once: it neither waits for ever nor ends in a traceback."""
    source, target = files
    target = pipe(target) if place == "pipe" else Path(place)
    places = [target] if option == "RESULTS" else [source.with_name("good.jsonl"), "--errors", target]
    result = run(write(source, line("a")), *places, server=server)
    assert result.exit_code == 1
    assert "no regular file" in result.stderr
    assert server.asked == []


def test_what_is_rewritten_stays_what_it_was(server: WireServer, files: tuple[Path, Path]) -> None:
    """`--retry-failed` keeps a link a link, and secret what is nobody else's."""
    source, target = files
    real = target.with_name("real.jsonl")
    real.touch(0o600)
    target.symlink_to(real)
    run(write(source, line("a", "bad")), target, server=server)
    assert run(write(source, line("a")), target, "--retry-failed", server=server).exit_code == 0
    assert target.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert text_of(read(real)["a"]) == "<a>"


def test_a_byte_order_mark(server: WireServer, files: tuple[Path, Path]) -> None:
    """It is no part of the first line."""
    source, target = files
    write(source, line("a"))
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    assert run(source, target, server=server).exit_code == 0
    assert list(read(target)) == ["a"]


@pytest.mark.parametrize(
    ("more", "reason", "words"),
    [
        pytest.param({"n": 2}, "stop", "fewer choices", id="fewer-choices"),
        pytest.param({}, None, "no finish reason", id="no-finish"),
    ],
)
def test_an_answer_that_is_less_than_what_was_asked(
    more: dict[str, Any], reason: str | None, words: str, files: tuple[Path, Path]
) -> None:
    """It is kept, says what is missing, and counts as failed."""
    source, target = files
    ask = line("a")
    ask["body"] |= more
    choice = {**COMPLETION["choices"][0], "finish_reason": reason}
    with WireServer(json_answer({**COMPLETION, "choices": [choice]})) as server:
        assert run(write(source, ask), target, server=server).exit_code == 3
        assert run(source, target, server=server).exit_code == 3
        assert len(server.asked) == 1
        assert run(source, target, "--retry-failed", server=server).exit_code == 3
        assert len(server.asked) == 2
    result = read(target)["a"]
    assert result["response"]["body"]["choices"] == [choice]
    assert result["error"]["code"] == "incomplete_response"
    assert words in result["error"]["message"]


@pytest.mark.parametrize("rest", ["", json.dumps(line("other")) + "\n"], ids=["cut", "replaced"])
def test_requests_that_change_meanwhile(rest: str, files: tuple[Path, Path]) -> None:
    """It is said, and is never a success."""
    source, target = files
    write(source, *(line(str(number), "x" * 1000) for number in range(1000)))

    def changed(peer: Peer) -> None:
        if len(served.asked) == 1:
            source.write_text(rest)
        json_answer(COMPLETION)(peer)

    with WireServer(changed) as served:
        result = run(source, target, "--max-concurrency", "1", server=served)
    assert result.exit_code == 1
    assert "has changed while it was read" in result.stderr


def test_a_server_that_is_not_there(files: tuple[Path, Path]) -> None:
    """The lines are not to blame: they stay unanswered, for the next run."""
    source, target = files
    write(source, *(line(str(number)) for number in range(100)))
    result = run(source, target, "--base-url", refused_url())
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "The same command goes on" in result.stderr
    assert target.read_bytes() == b""


def test_a_key_that_is_refused(files: tuple[Path, Path]) -> None:
    """The run ends at once; no line is written."""
    source, target = files
    write(source, *(line(str(number)) for number in range(100)))
    with WireServer(json_answer({"error": {"message": "Who are you?"}}, 401)) as server:
        result = run(source, target, server=server)
    assert result.exit_code == 1
    assert "refuses the key: Who are you?" in result.stderr
    assert target.read_bytes() == b""
    assert len(server.asked) < 100


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_runs_at_once(server: WireServer, files: tuple[Path, Path]) -> None:
    """The second one is refused, or every line would be asked twice."""
    source, target = files
    write(source, *(line(str(number), "slow") for number in range(100)))
    command = [*COMMAND, source, target, "--base-url", server.url, "--max-concurrency", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        wait_for(lambda: target.exists() and target.stat().st_size > 0)
        result = run(source, target, server=server)
        first.kill()
    assert result.exit_code == 1
    assert "another process" in result.stderr


def test_ctrl_c(server: WireServer, files: tuple[Path, Path]) -> None:
    """What came is kept, one message, status 130; the same command goes on."""
    source, target = files
    write(source, *(line(str(number), "slow") for number in range(40)))
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heeding}; from duologue.cli import main; main()", *COMMAND[3:]]
    arguments = [source, target, "--base-url", server.url, "--max-concurrency", "4"]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: target.exists() and target.stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        notes = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in notes
    assert "The same command goes on." in notes
    begun = len(read(target))
    assert 0 < begun < 40
    assert run(source, target, "--max-concurrency", "40", server=server).exit_code == 0
    assert len(read(target)) == 40


def test_a_bar_on_a_terminal(server: WireServer, files: tuple[Path, Path]) -> None:
    """How many of how many, with those of earlier runs."""
    source, target = files
    run(write(source, line("a")), target, server=server)
    write(source, line("a"), line("b"), line("c", "bad"))
    leader, follower = pty.openpty()
    with subprocess.Popen([*COMMAND, source, target, "--base-url", server.url], stderr=follower) as process:
        process.wait(60)
    os.close(follower)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert "1/3" in shown
    assert "3/3" in shown
    assert "1 failed" in shown


# --- killed ---------------------------------------------------------------------------------------------

SERVER = """
import http.server, json, random, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        content = body["messages"][0]["content"]
        with lock:
            log.write(content + "\\n")
        time.sleep(random.random() / 100)
        text = "<" + content + ">" + "." * random.choice((0, 0, 0, 20000))
        message = {"role": "assistant", "content": text}
        data = json.dumps({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        }).encode()
        head = "HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n"
        self.wfile.write(head.encode() % len(data) + data)

    def log_message(self, *_):
        pass

lock, log = threading.Lock(), open(sys.argv[1], "a", 1)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_any_moment(files: tuple[Path, Path]) -> None:
    """kill -9 again and again: in the end every line has one result, its own.

    Only what was in the air when the process was killed, or just answered, is asked a second time.
    """
    source, target = files
    log = target.with_name("asked.txt")
    write(source, *(line(f"id-{number}", f"question {number}") for number in range(LINES)))
    moments = random.Random(4)
    served = subprocess.Popen(
        [sys.executable, "-c", SERVER, log], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with served:
        assert served.stdout is not None
        url = f"http://127.0.0.1:{int(served.stdout.readline())}/v1"
        command = [*COMMAND, source, target, "--base-url", url, "--max-concurrency", str(CONCURRENCY)]
        try:
            for _ in range(KILLS):
                before = size(target)
                with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
                    if moments.random() < 0.8:  # else it may not have come to its first request
                        wait_for(lambda: size(target) > before or process.poll() is not None)  # noqa: B023
                    time.sleep(moments.random() * 0.002 * LINES / KILLS)
                    process.kill()
            last = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=100)
        finally:
            served.kill()
    assert last.returncode == 0, last.stderr
    results = read(target)
    assert len(results) == LINES
    for number in range(LINES):
        assert text_of(results[f"id-{number}"]).startswith(f"<question {number}>")
    times = Counter(log.read_text().splitlines())
    assert len(times) == LINES
    again = sum(times.values()) - LINES
    print(f"{KILLS} kills, {LINES} lines, {again} requests sent again")
    assert again <= KILLS * CONCURRENCY * AHEAD


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
