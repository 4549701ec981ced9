"""The README and the pages of docs/: their code runs, and prints what they say it prints."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import duologue
from duologue import Client
from duologue.cli import main
from duologue.engines.local import default_engine
from duologue.run import run_server

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000/v1"  # where the pages say that the built-in model is served

# Commands that run until they are stopped, take files, or set the whole project up: other tests run them.
NOT_HERE = re.compile(r"duologue (serve|batch)|^make|^pip")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with run_server(default_engine()) as url:
        yield url


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_blocks_run_and_print_what_follows_them(page: Path, served: str) -> None:
    """The blocks of a page run in order in one module; a `text` block right after one is its output."""
    namespace: dict[str, object] = {"__name__": "page"}
    blocks = BLOCK.findall(page.read_text("utf-8"))
    for at, (language, code) in enumerate(blocks):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code.replace(ADDRESS, served), named(page), "exec", dont_inherit=True), namespace)
        follows = blocks[at + 1] if at + 1 < len(blocks) else ("", "")
        if follows[0] == "text":
            assert printed.getvalue() == follows[1]
    for value in namespace.values():
        if isinstance(value, Client):  # a page need not show how its own client ends
            value.close()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_those_of_the_command_line(page: Path, served: str) -> None:
    """Every `duologue` command on a page parses; those that end by themselves succeed."""
    for language, code in BLOCK.findall(page.read_text("utf-8")):
        for line in code.splitlines() if language == "console" else ():
            command, _, _ = line.removeprefix("$ ").partition("#")
            if not line.startswith("$ duologue"):
                continue
            arguments = shlex.split(command.replace(ADDRESS, served))[1:]
            if NOT_HERE.search(command):
                arguments = [*arguments, "--help"]
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 0, result.output


def links(page: Path) -> list[tuple[Path, str]]:
    """What a page links to in the project: the file, and the name of a heading in it or nothing."""
    found = LINK.findall(page.read_text("utf-8"))
    return [((page.parent / file).resolve() if file else page, at) for file, at in found if "://" not in file]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the project, and a heading that is in it."""
    for target, anchor in links(page):
        assert target.exists(), target
        if anchor:
            headings = HEADING.findall(target.read_text("utf-8"))
            assert anchor in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]


def test_every_page_can_be_found() -> None:
    """From the README, by following links."""
    found = set[Path]()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in PAGES and page not in found:
            found.add(page)
            ahead += [target for target, _ in links(page)]
    assert sorted(set(PAGES) - found) == []


def test_every_name_of_the_package_is_explained() -> None:
    """Each stands once on the page of names: in the first column of a table, or in the list of errors."""
    page, _, _ = (ROOT / "docs/reference/names.md").read_text("utf-8").partition("## Modules with more")
    told = re.findall(r"`(\w+)`", "\n".join(line.split(" | ")[0] for line in page.splitlines()))
    assert sorted(told) == duologue.__all__


def test_the_tree_of_errors_is_the_real_one() -> None:
    """Each exception that the package offers, once, below the class that it is derived from."""
    page = (ROOT / "docs/reference/outcomes.md").read_text("utf-8")
    above = ["DuologueError"]
    drawn = {"DuologueError"}
    for line in page.partition("DuologueError\n")[2].partition("```")[0].splitlines():
        branch, name = re.match(r"([│ ]*[├└]── )(\w+)", line).groups()
        depth = len(branch) // 4
        assert getattr(duologue, name).__bases__[0] is getattr(duologue, above[depth - 1])
        above[depth:] = [name]
        drawn.add(name)
    offered = {name for name in duologue.__all__ if name.endswith("Error")}
    assert drawn == offered - {"OpenAIError"}


def test_every_dependency_has_its_reason() -> None:
    """What is required, by the package, by an extra or for development, stands on the page of dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    page = (ROOT / "docs/reference/dependencies.md").read_text("utf-8")
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    required = [project["project"]["dependencies"], *extras.values(), *groups.values()]
    names = {re.split(r"[^\w-]", each)[0] for lists in required for each in lists if isinstance(each, str)}
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", page)) == []
