"""What `duologue.types` and `duologue.types.chat` offer, and what it costs to import them."""

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import duologue.types
import duologue.types.chat
from duologue._lazy import lazy

# Modules of `duologue.types.chat` whose names are had from themselves, and what the package takes of them.
APART = {"request": {"ChatRequest"}, "request_message": set(), "request_tool": set()}

# Names in the manner of openai-python's that it has not, or has in another module, or only shorter there.
OURS = {
    "ChatCompletionContentPartFileParam",
    "ChatCompletionList",
    "ChatCompletionMessageList",
    "ChatCompletionStreamEvent",
}


def chat_modules():
    return [info.name for info in pkgutil.iter_modules(duologue.types.chat.__path__)]


def own_names(module):
    """The names that a module of `duologue.types.chat` itself lists in `__all__`, without re-exports."""
    path = Path(importlib.import_module(f"duologue.types.chat.{module}").__file__)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{module} has no __all__")


def test_the_package_offers_what_its_modules_list():
    """The table of lazy names is the union of the modules' `__all__`, each name once."""
    names = Counter(
        name
        for module in chat_modules()
        for name in own_names(module)
        if name in APART.get(module, own_names(module))
    )
    assert [name for name, count in names.items() if count > 1] == []
    assert sorted(duologue.types.chat.__all__) == sorted(names)


def test_a_checker_and_the_interpreter_see_the_same_modules():
    """The star imports for type checkers are those of the table."""
    tree = ast.parse(Path(duologue.types.chat.__file__).read_text())
    imported = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
    }
    table = next(node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    assert imported == set(ast.literal_eval(table))
    tree = ast.parse(Path(duologue.types.__file__).read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert imported == {*duologue.types.__all__, "chat"}


@pytest.mark.parametrize(
    "package", [duologue.types, duologue.types.chat], ids=lambda package: package.__name__
)
def test_every_name_is_there(package):
    """Each name of `__all__` can be had, and `dir` lists it."""
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)
    with pytest.raises(AttributeError, match="has no attribute 'Mistake'"):
        _ = package.Mistake
    with pytest.raises(ImportError):
        exec(f"from {package.__name__} import Mistake")


def test_every_module_can_be_imported_first():
    """No module depends on another having been imported before it."""
    names = [f"duologue.types.chat.{module}" for module in chat_modules()]
    names += ["duologue.types.chat_model", "duologue.types.completion_usage", "duologue.types.model"]
    code = (
        "import sys, importlib, json\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    for loaded in [m for m in sys.modules if m.startswith('duologue')]: del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(names)], check=True)


def test_importing_the_packages_imports_no_type():
    """`import duologue.types.chat` costs next to nothing; a name costs its module."""
    code = (
        "import sys, duologue.types.chat\n"
        "loaded = [m for m in sys.modules if m.startswith('duologue.types.') or m in ('msgspec', 'asyncio')]\n"
        "assert loaded == ['duologue.types.chat'], loaded\n"
        "from duologue.types import CompletionUsage\n"
        "assert 'duologue.types.chat.completion_create_params' not in sys.modules\n"
        "import duologue.types\n"
        "duologue.types.chat.ChatCompletionChunk\n"
        "assert 'asyncio' not in sys.modules and 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_are_those_of_openai_python():
    """What people import from `openai.types.chat` can be imported from here, and nothing is misnamed."""
    theirs = {
        name for name in dir(pytest.importorskip("openai.types.chat")) if name.startswith("ChatCompletion")
    }
    ours = {name for name in duologue.types.chat.__all__ if name.startswith("ChatCompletion")}
    assert ours - theirs == OURS
    assert len(theirs & ours) == 43


def test_a_model_is_any_text():
    """`ChatModel`, for annotations; openai-python's lists OpenAI's models, and servers have others."""
    assert duologue.types.ChatModel is str


def test_lazy_finds_submodules_and_remembers(monkeypatch):
    """A submodule is an attribute at once; a name that was asked for is found without asking again."""
    _all, getter, directory = lazy("email", {"charset": ["Charset"]}, submodules=["charset"])
    email = importlib.import_module("email")
    monkeypatch.delitem(vars(email), "Charset", raising=False)
    assert _all == ["Charset"]
    assert getter("Charset") is vars(email)["Charset"]
    assert getter("charset").__name__ == "email.charset"
    assert {"Charset", "charset", "message_from_string"} <= set(directory())
    with pytest.raises(AttributeError, match="module 'email' has no attribute 'Nothing'"):
        getter("Nothing")
    monkeypatch.delitem(vars(email), "Charset")
