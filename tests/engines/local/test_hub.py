"""Model files from a hub: a small server stands in for it, with the answers that the real one gives."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from duologue.cli import main

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

CONTENT = b"GGUF" + bytes(range(256)) * 64
# A large file, and how much of it comes before the connection breaks: the library goes on at steps of 10 MB.
LARGE = b"GGUF" + bytes(12 * 2**20)
BREAKS_AT = 11 * 2**20
# What the hub answers for paths that have these words in them: status, its name for what is wrong, and its words.
REFUSALS = {
    "unknown/": (401, "RepoNotFound", ""),
    "gated/": (403, "GatedRepo", ""),
    "gated-unasked/": (401, "GatedRepo", ""),
    "no-file": (404, "EntryNotFound", ""),
    "closed/": (403, "", "Access to this resource is disabled."),
    "token/": (401, "", "Invalid credentials in Authorization header"),
    "rights/": (403, "", ""),
    "busy/": (429, "", ""),
    "broken/": (503, "", ""),
    "odd/": (418, "", ""),
}
# The files of repositories, by words in their paths.
FILES = {
    "me/empty": ["README.md", "model.safetensors"],
    "me/many": [f"{number:02}.gguf" for number in range(15)],
    "me/": ["README.md", "a.Q4.gguf", "a\x1b[2J.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf"],
}


@dataclass
class Hub:
    """A hub in this process: its address, what was fetched from it, and from where on if not from the start."""

    address: str = ""
    fetched: list[str] = field(default_factory=list)
    resumed: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    made = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(whole=False)

        def do_GET(self) -> None:
            made.fetched.append(self.path.rpartition("/")[2])
            self.answer(whole=True)

        def answer(self, *, whole: bool) -> None:
            refusal = next((found for word, found in REFUSALS.items() if word in self.path), None)
            if refusal is not None:
                status, kind, words = refusal
                self.head(status, 0, {"x-error-code": kind, "x-error-message": words})
            elif self.path.startswith("/api/models/"):
                files = next((found for word, found in FILES.items() if word in self.path), [])
                listed = json.dumps([{"type": "file", "path": name, "size": 1, "oid": "0"} for name in files])
                siblings = json.dumps({"id": "x", "siblings": [{"rfilename": name} for name in files]})
                body = (listed if "/tree/" in self.path else siblings).encode()
                self.head(200, len(body), {"content-type": "application/json"})
                self.wfile.write(body)
            else:
                self.file(whole=whole)

        def file(self, *, whole: bool) -> None:
            content = LARGE if "large" in self.path else CONTENT
            start = int(self.headers.get("range", "bytes=0-")[6:].partition("-")[0])
            size = 2**60 if "huge/" in self.path else len(content) - start
            named = {"etag": f'"{hashlib.sha256(content).hexdigest()}"', "x-repo-commit": "a" * 40}
            if start:
                made.resumed.append(start)
                named["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.head(206 if start else 200, size, named)
            if not whole:
                return
            if "reset/" in self.path:  # without the goodbye that would be taken for an end
                self.wfile.write(content[:100])
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                os.close(self.connection.detach())
            elif "breaks/" in self.path and not start:
                self.wfile.write(content[:BREAKS_AT])
            else:
                self.wfile.write(content[start:])
                return
            self.close_connection = True

        def head(self, status: int, size: int, named: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**named, "content-length": str(size)}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


SCRIPT = """
import sys
from duologue.engines.local.hub import download
from duologue.protocol.errors import DuologueError

for spec in sys.argv[1:]:
    try:
        print(download(spec))
    except DuologueError as error:
        print("error:", error)
"""


def ran(script: str, home: Path, endpoint: str, *specs: str, **variables: str) -> Any:
    """The library reads its settings when it is imported, so it is in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", script, *specs],
        env={
            "PATH": "",
            "HF_HOME": str(home),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def download(home: Path, endpoint: str, *specs: str, **variables: str) -> list[str]:
    """What is printed of each spec: a path, or an error."""
    return list(ran(SCRIPT, home, endpoint, *specs, **variables).stdout.splitlines())


def test_a_file_is_downloaded_once(hub, tmp_path):
    """The second time no network is needed, even if the hub has gone."""
    (path,) = download(tmp_path, hub.address, "hf:some.one/model-GGUF:folder/model.Q8_0.gguf")
    assert Path(path).read_bytes() == CONTENT
    assert hub.fetched.count("model.Q8_0.gguf") == 1
    nowhere = "http://127.0.0.1:9"
    again = download(tmp_path, nowhere, "hf:some.one/model-GGUF:folder/model.Q8_0.gguf", HF_HUB_OFFLINE="1")
    assert again == [path]


def test_all_parts_of_a_model_are_downloaded(hub, tmp_path):
    """They lie beside the first, which is returned."""
    (path,) = download(tmp_path, hub.address, "hf:me/big:big-00001-of-00003.gguf")
    parts = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert Path(path).name == parts[0]
    assert sorted(part.name for part in Path(path).parent.iterdir()) == parts


def test_a_connection_that_breaks_is_taken_up_again(hub, tmp_path):
    """Where it broke off, in steps of the library's."""
    (path,) = download(tmp_path, hub.address, "hf:breaks/model:large.gguf")
    assert Path(path).read_bytes() == LARGE
    assert hub.resumed == [10 * 2**20]


def test_a_bar_shows_how_far_it_is(hub, tmp_path):
    """On a terminal; the variable is the library's own way to say that there is one."""
    shown = ran(SCRIPT, tmp_path, hub.address, "hf:me/model:a.gguf", TQDM_POSITION="-1").stderr
    assert "a.gguf: " in shown
    assert "100%" in shown


SERVE = """
import resource, signal, sys
from duologue.cli import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for spec in sys.argv[1:]:
    if "full/" in spec:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        main(["serve", spec, "--port", "0"])
    except SystemExit as ended:
        print("ended with", ended.code, file=sys.stderr)
"""


def serve(home: Path, endpoint: str, *specs: str, **variables: str) -> list[str]:
    """What `duologue serve` says of each spec, one line and no more, before it ends with 1."""
    lines = ran(SERVE, home, endpoint, *specs, **variables).stderr.splitlines()
    assert lines[1::2] == ["ended with 1"] * len(specs)
    return lines[::2]


REFUSED = {
    "hf:unknown/model:a.gguf": "The Hub has no unknown/model, or it is private: check the name, or set HF_TOKEN",
    "hf:gated/model:a.gguf": "accept its terms: do so at HUB/gated/model, and set HF_TOKEN.",
    "hf:gated-unasked/model:a.gguf": "accept its terms: do so at HUB/gated-unasked/model, and set HF_TOKEN.",
    "hf:me/model:no-file.gguf": "me/model has no no-file.gguf; it has a.Q4.gguf, b-00001-of-00002.gguf.",
    "hf:me/many:no-file.gguf": "has no no-file.gguf; it has 00.gguf, 01.gguf, 02.gguf,",
    "hf:me/empty:no-file.gguf": "has no no-file.gguf; nor any other GGUF file: take a repository that has some.",
    "hf:closed/model:a.gguf": "The Hub has closed closed/model; take another repository.",
    "hf:token/model:a.gguf": "does not take the token that it got: set HF_TOKEN to one from HUB/settings/tokens.",
    "hf:rights/model:a.gguf": "may not read rights/model: give it the right to, at HUB/settings/tokens.",
    "hf:busy/model:a.gguf": "takes no more requests from here for now: wait some minutes, or set HF_TOKEN.",
    "hf:broken/model:a.gguf": "The Hub is out of order (status 503): try again later.",
    "hf:odd/model:a.gguf": "Cannot download odd/model:a.gguf: Client error '418",
    "hf:reset/model:a.gguf": "The connection to HUB broke off while a.gguf was downloaded: try again",
    "hf:huge/model:a.gguf": "There is no room for a.gguf in HOME/hub: make some, or set HF_HOME",
    "hf:full/model:a.gguf": "There is no room for a.gguf in HOME/hub: make some, or set HF_HOME",
}


@pytest.fixture(scope="module")
def refused(hub, tmp_path_factory) -> dict[str, str]:
    """What is said of each spec of the table; the disk is full for the last."""
    home = tmp_path_factory.mktemp("home")
    said = serve(home, hub.address, *REFUSED, HF_TOKEN="hf_secret")
    return {
        spec: line.replace(hub.address, "HUB").replace(str(home), "HOME")
        for spec, line in zip(REFUSED, said, strict=True)
    }


@pytest.mark.parametrize("spec", REFUSED)
def test_what_goes_wrong_is_said_in_one_line_with_what_to_do(refused, spec):
    assert refused[spec].startswith("Error: ")
    assert REFUSED[spec] in refused[spec]
    assert "hf_secret" not in refused[spec]


def test_a_list_of_files_has_an_end(refused):
    assert refused["hf:me/many:no-file.gguf"].endswith("11.gguf, and 3 more.")


def test_a_folder_that_cannot_be_written_to_is_said(hub, tmp_path):
    (tmp_path / "file").write_text("")
    (line,) = serve(tmp_path / "file", hub.address, "hf:me/model:a.gguf")
    assert "file/hub cannot be written to (Not a directory): set HF_HOME" in line


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({}, "http://127.0.0.1:9 does not answer, and me/model:a.gguf has not", id="no network"),
        pytest.param(
            {"HF_HUB_OFFLINE": "1"},
            "HF_HUB_OFFLINE is set, and me/model:a.gguf has not",
            id="told to be offline",
        ),
    ],
)
def test_no_network_is_said_at_once(tmp_path, variables, words):
    """Without the half minute that the library would go on trying for."""
    (line,) = serve(tmp_path, "http://127.0.0.1:9", "hf:me/model:a.gguf", **variables)
    assert words in line
    assert "or give the path of a file that is there." in line


@pytest.mark.parametrize(
    "spec",
    [
        "hf:",
        "hf:model.gguf",
        "hf:me:model.gguf",
        "hf:me/model",
        "hf:me/model:",
        "hf:me/model:weights.bin",
        "hf:me/model:../../other.gguf",
        "hf:me/model:a//b.gguf",
        "hf:me/model:/etc/x.gguf",
        "hf:../model:a.gguf",
        "hf:me/model:a\\b.gguf",
        "hf:me/model:c:a.gguf",
        "hf:me/model/more:a.gguf",
        "hf:me/mo del:a.gguf",
        "hf:me/model:a\n.gguf",
    ],
    ids=repr,
)
def test_a_spec_that_names_no_model_file_is_refused(spec):
    """Before anything is asked of anybody, with an example of one that does."""
    ended = CliRunner().invoke(main, ["serve", spec, "--port", "0"])
    (line,) = ended.stderr.splitlines()
    assert ended.exit_code == 1
    assert line.startswith("Error: ")
    assert "hf:owner/repository:folder/model.Q8_0.gguf" in line


def test_more_parts_than_a_model_has_are_refused(tmp_path):
    (line,) = download(tmp_path, "http://127.0.0.1:9", "hf:me/model:a-00001-of-12345.gguf")
    assert "1 to 999" in line
