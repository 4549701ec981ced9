"""Values as JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["json_text", "plain"]


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and the infinities, which JSON has no words for, become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    return value


def json_text(values: dict[str, Any], indent: int | None) -> str:
    """JSON text that UTF-8 can hold, compact or with an indent."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(plain(values), ensure_ascii=False, indent=indent, separators=separators)
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate becomes its JSON escape
