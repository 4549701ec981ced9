"""Names that a package offers and whose modules are imported only when one is asked for (PEP 562).

A package writes its names twice, because a type checker reads imports and the interpreter reads this table;
a test holds the two together:

    if TYPE_CHECKING:
        from .color import Blue as Blue
    else:
        __all__, __getattr__, __dir__ = lazy(__name__, {"color": ("Blue",)}, submodules=("color",))
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy"]


def lazy(
    package: str, names: Mapping[str, Iterable[str]], *, submodules: Iterable[str] = ()
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """`__all__`, `__getattr__` and `__dir__` for `package`.

    `names` maps a module's path from the package (`types.chat`; `.protocol` for one beside it) to the names it
    gives. Of `submodules`, each can be had as an attribute without importing it first.
    """
    home = {name: module for module, given in names.items() for name in given}
    modules = frozenset(submodules)

    def __getattr__(name: str) -> Any:  # noqa: N807 - becomes the package's
        if name in home:
            value = getattr(import_module(f".{home[name]}", package), name)
        elif name in modules:
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)  # so that the next one asking finds it at once
        return value

    def __dir__() -> list[str]:  # noqa: N807 - becomes the package's
        return sorted({*vars(sys.modules[package]), *home, *modules})

    return sorted(home), __getattr__, __dir__
