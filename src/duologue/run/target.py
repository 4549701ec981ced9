"""What a TARGET on the command line means: an engine, found by what names it."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

from ..engine import Engine, as_engine
from ..protocol.errors import DuologueError

__all__ = ["is_module_target", "load_target", "load_targets", "own_traceback", "resolve"]

# `name=TARGET`; the name is a model id.
_NAMED = re.compile(r"(?P<name>[^=\\]*)=(?P<target>.*)", re.DOTALL)


def load_targets(targets: Sequence[str], **settings: Any) -> Engine | dict[str, Engine]:
    """What `targets` name: one engine, or several by the model ids that they answer to.

    `name=TARGET` gives a target its id; without, it answers to its own. `settings` are those of
    `engines.local.open_model`, for the model files among them. Raises `DuologueError` saying what is wrong.
    """
    named = [_named(target) for target in targets]
    if settings and not any(_names_model(target) for _, target in named):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in settings)
        raise DuologueError(f"{names} is for a model file: duologue serve model.gguf")
    if not named:
        return load_target(None)
    found: dict[str, Engine] = {}
    for name, target in named:
        engine = load_target(target, **(settings if _names_model(target) else {}))
        if len(named) == 1 and name is None:
            return engine
        for own in engine.models if name is None else (name,):
            if own in found:
                raise DuologueError(
                    f"Two targets answer to the model {own!r}. Give one another name: other={target}"
                )
            found[own] = engine
    return found


def load_target(target: str | None, **settings: Any) -> Engine:
    """The engine that a TARGET names: nothing (the default engine), `echo`, a model file, or `module:attribute`.

    A model file is a path that ends with .gguf, or `hf:owner/repository:file.gguf`; `settings` are those of
    `engines.local.open_model`, for model files only. Raises `DuologueError` saying what is wrong with the target.
    """
    if target is None:
        from ..engines.local import default_engine

        return default_engine()
    if _names_model(target):
        from ..engines.local import open_model

        return open_model(target, **settings)
    if target == "echo":
        from ..engines.echo import EchoEngine

        return EchoEngine()
    if not is_module_target(target):
        raise DuologueError(_no_target(target))
    module, _, attribute = target.partition(":")
    return _import_engine(module, attribute)


def is_module_target(target: str) -> bool:
    """Whether a target, without a name before it, is `module:attribute`."""
    module, colon, attribute = target.partition(":")
    dotted = all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))
    return bool(colon) and dotted and not module.endswith(".py") and not _names_model(target)


def own_traceback(error: Exception) -> str:
    """The traceback of `error`; of one in a module that was loaded as a target, from that module on."""
    found = error.__traceback__
    while found is not None and found.tb_frame.f_code is not _import_engine.__code__:
        found = found.tb_next
    if found is not None:
        error.with_traceback(_after_importlib(found.tb_next))
    return "".join(traceback.format_exception(error)).rstrip()


def _after_importlib(found: TracebackType | None) -> TracebackType | None:
    while found is not None and found.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "importlib":
        found = found.tb_next
    return found


def _named(target: str) -> tuple[str | None, str]:
    """The name before `=`, if there is one, and the target."""
    match = None if Path(target).is_file() else _NAMED.fullmatch(target)
    if match is None:
        return None, target
    if not match["name"] or not match["target"]:
        raise DuologueError(f"{target!r} lacks a half: write name=TARGET, such as small=model.gguf")
    return match["name"], match["target"]


def _names_model(target: str) -> bool:
    return target.startswith("hf:") or target.lower().endswith(".gguf")


def _no_target(target: str) -> str:
    """What is wrong with a target that is none, and what was probably meant."""
    file, _, attribute = target.partition(":")
    as_module = re.sub(r"[/\\]", ".", file.removesuffix(".py").removeprefix("./"))
    if file.endswith(".py") or Path(f"{as_module.replace('.', '/')}.py").is_file():
        meant = f"{as_module}:{attribute or 'answer'}"
        return f"Cannot serve {target!r}: name the function in it as module:attribute, such as {meant!r}."
    before, _, last = target.rpartition(".")
    if Path(f"{before.replace('.', '/')}.py").is_file():
        return f"Cannot serve {target!r}: did you mean '{before}:{last}'?"
    if Path(target).is_file():
        return f"Cannot serve {target!r}: a model file must be a GGUF file, whose name ends with .gguf."
    if get_close_matches(target, ["echo"]):
        return f"Cannot serve {target!r}: did you mean 'echo'?"
    return (
        f"Cannot serve {target!r}: give 'echo', or 'module:attribute' such as 'my_agent:answer', or a model file "
        "such as 'model.gguf'."
    )


def _import_engine(module_name: str, attribute: str) -> Engine:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does, so that a file in this folder is found
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only if it is this module that is missing: what it imports is its own author's business.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise DuologueError(
            f"Cannot find the module {module_name!r}. Is its file in this folder ({here}), or installed?"
        ) from None
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            close = get_close_matches(name, [each for each in dir(found) if not each.startswith("_")], 1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise DuologueError(f"The module {module_name!r} has no {attribute!r}.{meant}") from None
    try:
        return as_engine(found)
    except TypeError as error:
        raise DuologueError(f"{module_name}:{attribute}: {error}") from None


def resolve(target: Any) -> Any:
    """What `serve` is given, with the strings in it loaded: an engine or function, or a mapping of such."""
    if isinstance(target, Mapping):
        return {name: load_target(item) if isinstance(item, str) else item for name, item in target.items()}
    return load_target(target) if target is None or isinstance(target, str) else target
