"""Finding pip's wheel without pip: the index of a test, served over a socket."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

WHEEL = b"the bytes of a wheel"
SHA256 = hashlib.sha256(WHEEL).hexdigest()


@pytest.fixture
def pip_wheel(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import pip_wheel

    return pip_wheel


class Index:
    """A package index: what is at each path, and who may read it."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.password: str | None = None
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                expected = index.password and f"Basic {base64.b64encode(index.password.encode()).decode()}"
                content = index.pages.get(self.path)
                allowed = self.headers["Authorization"] == expected
                self.send_response(404 if content is None else 200 if allowed else 401)
                self.end_headers()
                self.wfile.write(content if content and allowed else b"")

            def log_message(self, *args) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def page(self, *anchors: str) -> None:
        """The index's page about pip; every wheel that it may name is there."""
        self.pages["/simple/pip/"] = "".join(f"<a {anchor}>pip</a><br/>" for anchor in anchors).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()
    yield index
    index.close()


def wheel(version: str, more: str = "", sha256: str = SHA256) -> str:
    return f'href="../../files/pip-{version}-py3-none-any.whl#sha256={sha256}" {more}'


CHOICES = {
    "newest by number, not by text": ([wheel("9.1"), wheel("25.1"), wheel("25.10")], "25.10"),
    "no pre-release": ([wheel("25.1"), wheel("26.0b1"), wheel("26.0.dev1")], "25.1"),
    "no yanked release": (
        [wheel("25.1"), wheel("26.0", "data-yanked='broken'"), wheel("26.1", "data-yanked")],
        "25.1",
    ),
    "for this Python only": (
        [
            wheel("25.1", 'data-requires-python="&gt;=3.9,!=3.10.*"'),
            wheel("99", 'data-requires-python="&gt;=4.0"'),
        ],
        "25.1",
    ),
    "a rule that cannot be read is not met": (
        [wheel("25.1"), wheel("26.0", 'data-requires-python="~=3.11"')],
        "25.1",
    ),
    "an sdist is no wheel": ([wheel("25.1"), 'href="../../files/pip-26.0.tar.gz"'], "25.1"),
    "another project is not pip": ([wheel("25.1"), 'href="../../files/pipx-26.0-py3-none-any.whl"'], "25.1"),
}


@pytest.mark.parametrize(("anchors", "version"), CHOICES.values(), ids=CHOICES.keys())
def test_the_newest_wheel_that_may_be_installed(pip_wheel, index, tmp_path, anchors, version):
    """Of what the index lists, the newest released wheel for this Python is fetched."""
    index.page(*anchors)
    index.pages[f"/files/pip-{version}-py3-none-any.whl"] = WHEEL
    settings = pip_wheel.read_settings(
        {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": f"http://{index.host}/simple"}
    )
    saved = pip_wheel.fetch_pip_wheel(tmp_path, settings)
    assert saved.name == f"pip-{version}-py3-none-any.whl"
    assert saved.read_bytes() == WHEEL


def settings_of(pip_wheel, **environ: str):
    """The settings of an environment that has no configuration files."""
    return pip_wheel.read_settings({"PIP_CONFIG_FILE": "/dev/null", **environ})


def test_a_wheel_that_was_changed_is_not_used(pip_wheel, index, tmp_path):
    """A wheel without the sha256 that the index gives is refused and not saved."""
    index.page(wheel("25.1", sha256="0" * 64))
    index.pages["/files/pip-25.1-py3-none-any.whl"] = WHEEL
    with pytest.raises(SystemExit, match="sha256"):
        pip_wheel.fetch_pip_wheel(
            tmp_path, settings_of(pip_wheel, PIP_INDEX_URL=f"http://{index.host}/simple/")
        )
    assert list(tmp_path.iterdir()) == []


def test_the_password_of_an_index(pip_wheel, index, tmp_path):
    """User and password in the index's address are sent to the index, for its pages and its files."""
    index.password = "me:p@ss"
    index.page(wheel("25.1"))
    index.pages["/files/pip-25.1-py3-none-any.whl"] = WHEEL
    settings = settings_of(pip_wheel, PIP_INDEX_URL=f"http://me:p%40ss@{index.host}/simple")
    assert pip_wheel.fetch_pip_wheel(tmp_path, settings).read_bytes() == WHEEL


def test_an_index_that_fails_is_named_without_its_password(pip_wheel, index, tmp_path):
    """Where nothing is found the line says where it was looked for; the password is not in it."""
    settings = settings_of(pip_wheel, PIP_INDEX_URL=f"http://me:secret@{index.host}/simple")
    with pytest.raises(SystemExit) as raised:
        pip_wheel.fetch_pip_wheel(tmp_path, settings)
    assert f"http://{index.host}/simple/pip/: HTTP Error 404" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("form", ["{}", "file://{}"], ids=["a path", "an address"])
def test_a_folder_of_wheels(pip_wheel, tmp_path, form):
    """A folder in `find-links` is enough, without any index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "pip-25.1-py3-none-any.whl").write_bytes(b"older")
    (folder / "pip-25.2-py3-none-any.whl").write_bytes(WHEEL)
    settings = settings_of(pip_wheel, PIP_NO_INDEX="1", PIP_FIND_LINKS=form.format(folder))
    assert pip_wheel.fetch_pip_wheel(tmp_path, settings).read_bytes() == WHEEL


def test_nowhere_to_look(pip_wheel, tmp_path):
    """Without any place to look the line names the option that says so."""
    with pytest.raises(SystemExit, match="no-index"):
        pip_wheel.fetch_pip_wheel(tmp_path, settings_of(pip_wheel, PIP_NO_INDEX="true"))


def test_the_order_of_the_configuration(pip_wheel, tmp_path):
    """As in pip: the environment, then `[install]`, then `[global]`, a later file before an earlier one."""
    for name, text in {
        "etc/pip/pip.conf": "[global]\nindex-url = http://everyone/\n",
        "home/.config/pip/pip.conf": "[global]\nindex_url = http://me\nfind-links = /a\n /b\ncert = /a.pem\n",
        "named.conf": "[install]\nextra-index-url = http://more/\n[global]\nextra-index-url = http://less/\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    folders = {"XDG_CONFIG_DIRS": str(tmp_path / "etc"), "HOME": str(tmp_path / "home")}

    user = pip_wheel.read_settings(folders)
    assert user.indexes[0] == "http://me"
    assert user.links == ["/a", "/b"]
    assert user.certificates == "/a.pem"

    named = pip_wheel.read_settings({**folders, "PIP_CONFIG_FILE": str(tmp_path / "named.conf")})
    assert named.indexes[1:] == ["http://more/"]
    assert named.indexes[0] != "http://me"

    environ = pip_wheel.read_settings({**folders, "PIP_INDEX_URL": "http://now/", "PIP_CERT": "/now.pem"})
    assert environ.indexes[0] == "http://now/"
    assert environ.certificates == "/now.pem"


def test_the_public_index_is_the_default(pip_wheel):
    """Where nothing is configured pip comes from the public index."""
    assert settings_of(pip_wheel) == ([pip_wheel.PUBLIC_INDEX], [], None)
