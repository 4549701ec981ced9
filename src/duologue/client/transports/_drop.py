"""What becomes of something that is held open when nobody holds it any more."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["when_dropped"]


def when_dropped(holder: object, function: Callable[..., object], *args: Any) -> weakref.finalize[..., Any]:
    """Have `function(*args)` called when nobody refers to `holder` any more; not when the process ends.

    Neither may refer to `holder`. Whoever comes to an orderly end detaches what is returned.
    """
    finalizer = weakref.finalize(holder, function, *args)
    finalizer.atexit = False
    return finalizer
