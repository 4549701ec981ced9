"""What other servers get wrong, as data, and what is done about it.

`RULES` lists each deviation: *tolerate* (nothing is changed, reading copes), *repair* (a field is corrected; no
chunk is added or removed, no content is invented) or *report* (it is told, and nothing is changed). A reader
has one of three dialects:

| dialect             | repairs | a deviation that the protocol forbids |
|---------------------|---------|---------------------------------------|
| `repair`, the usual | yes     | is listed                             |
| `strict`            | no      | is listed, and an error               |
| `off`               | no      | is listed                             |

What was met is listed in `deviations` in every dialect. How it is found out is in three tables: `values` are
JSON values before they are typed, `chunks` the chunks of a stream, `wholes` whole completions.
"""

from __future__ import annotations

from .calls import may_repeat
from .context import Asked, asked_by
from .rules import RULES, Deviation, Rule
from .values import in_error, says_error
from .watch import DIALECTS, Dialect, Watch

__all__ = [
    "DIALECTS",
    "RULES",
    "Asked",
    "Deviation",
    "Dialect",
    "Rule",
    "Watch",
    "asked_by",
    "in_error",
    "may_repeat",
    "says_error",
]
