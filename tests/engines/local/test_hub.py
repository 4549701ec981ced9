"""Model files from a hub: a small server stands in for it, with the answers that the real one gives."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

CONTENT = b"GGUF" + bytes(range(256)) * 64
# What the hub answers for paths that have these words in them: status, and its name for what is wrong.
REFUSALS = {
    "unknown/": (404, "RepoNotFound"),
    "gated/": (403, "GatedRepo"),
    "no-file": (404, "EntryNotFound"),
    "broken/": (500, ""),
}


@dataclass
class Hub:
    """A hub in this process: its address, and the files that were fetched from it."""

    address: str = ""
    fetched: list[str] = field(default_factory=list)


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(b"")

        def do_GET(self) -> None:
            self.answer(CONTENT)

        def answer(self, body: bytes) -> None:
            status, kind = next((v for word, v in REFUSALS.items() if word in self.path), (200, ""))
            self.send_response(status)
            if kind:
                self.send_header("x-error-code", kind)
            if status == 200:
                self.send_header("etag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
                self.send_header("x-repo-commit", "a" * 40)
            self.send_header("content-length", str(len(CONTENT) if status == 200 else 0))
            self.end_headers()
            if status == 200 and body:
                made.fetched.append(self.path.rpartition("/")[2])
                self.wfile.write(body)

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


def download(home: Path, endpoint: str, *specs: str, **variables: str) -> list[str]:
    """What is printed of each spec: a path, or an error. The library reads its settings when it is imported."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *specs],
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
    return ended.stdout.splitlines()


def test_a_file_is_downloaded_once(hub, tmp_path):
    """The second time no network is needed, even if the hub has gone."""
    (path,) = download(tmp_path, hub.address, "hf:some.one/model-GGUF:folder/model.Q8_0.gguf")
    assert Path(path).read_bytes() == CONTENT
    assert hub.fetched == ["model.Q8_0.gguf"]
    nowhere = "http://127.0.0.1:9"
    again = download(tmp_path, nowhere, "hf:some.one/model-GGUF:folder/model.Q8_0.gguf", HF_HUB_OFFLINE="1")
    assert again == [path]


def test_all_parts_of_a_model_are_downloaded(hub, tmp_path):
    """They lie beside the first, which is returned."""
    (path,) = download(tmp_path, hub.address, "hf:me/big:big-00001-of-00003.gguf")
    parts = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert Path(path).name == parts[0]
    assert sorted(part.name for part in Path(path).parent.iterdir()) == parts


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("hf:unknown/model:a.gguf", "error: The Hub has no unknown/model, or it is private"),
        ("hf:gated/model:a.gguf", "accept its terms: do so at huggingface.co/gated/model, and set HF_TOKEN"),
        ("hf:me/model:no-file.gguf", "no no-file.gguf in huggingface.co/me/model/tree/main"),
        ("hf:broken/model:a.gguf", "error: Cannot download broken/model:a.gguf: Server error"),
    ],
)
def test_what_the_hub_refuses_is_said(hub, tmp_path, spec, words):
    """In one line, with what to do."""
    (line,) = download(tmp_path, hub.address, spec)
    assert words in line


@pytest.mark.parametrize("variables", [{}, {"HF_HUB_OFFLINE": "1"}], ids=["no network", "told to be offline"])
def test_no_network_is_said_at_once(tmp_path, variables):
    """Without the half minute that the library would go on trying for."""
    (line,) = download(tmp_path, "http://127.0.0.1:9", "hf:me/model:a.gguf", **variables)
    assert line.startswith("error: The Hugging Face Hub does not answer, and me/model:a.gguf has not been")
    assert "give its path" in line


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
def test_a_spec_that_names_no_model_file_is_refused(tmp_path, spec):
    """Before anything is asked of anybody, with an example of one that does."""
    (line, *more) = download(tmp_path, "http://127.0.0.1:9", spec)
    assert line.startswith("error: ")
    assert "hf:owner/repository:folder/model.Q8_0.gguf" in line
    assert not more


def test_more_parts_than_a_model_has_are_refused(tmp_path):
    (line,) = download(tmp_path, "http://127.0.0.1:9", "hf:me/model:a-00001-of-12345.gguf")
    assert "1 to 999" in line
