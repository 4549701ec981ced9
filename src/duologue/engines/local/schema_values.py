"""What the values of a schema's keywords may be, where llguidance would not tell, or do something else."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from ...protocol.errors import BadRequestError

__all__ = [
    "CONTROL_WORDS",
    "DATED",
    "FORMATS",
    "MAX_NUMBER",
    "Place",
    "bound_days",
    "check_text",
    "check_value",
    "spells_control",
]

# Beyond these, JSON readers no longer agree on what a number is.
MAX_NUMBER = 2**53
FORMATS = frozenset(
    (
        "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
    )
)  # fmt: skip
# Days that there are: llguidance has a year 0, and a 29th of February in every year.
YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
FOURTH = r"(?:0[48]|[2468][048]|[13579][26])"
LEAP_YEAR = rf"(?:[0-9]{{2}}{FOURTH}|{FOURTH}00)"
DAYS = rf"^(?:{YEAR}-(?:0[13-9]|1[0-2]|02-(?:[01]|2[0-8]))|{LEAP_YEAR}-02-29)"
DATED = ("date", "date-time")
# Characters that JSON can only write by their number, which answers are not written with.
CONTROL = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")
CONTROL_WORDS = "control characters other than \\b, \\t, \\n, \\f and \\r cannot be enforced; take them out"
# The elements of a pattern, and classes of characters that are excluded.
ELEMENT = re.compile(
    r"\\(?:(?:x(?=[0-9a-fA-F]{2})|u(?=[0-9a-fA-F]{4})|U)(?P<hex>(?<=x)..|(?<=u)....|(?<=U)[0-9a-fA-F]{8})"
    r"|[xuU]\{(?P<braced>[0-9a-fA-F]{1,8})\}|.)|.",
    re.DOTALL,
)
EXCLUDING = re.compile(r"\[\^(?:\\.|[^\]\\])+\]", re.DOTALL)
SPELLED = {r"\a": "\a", r"\v": "\v"}


class Place:
    """Where in a request a schema stands: `param` is named by errors, `path` is what their text says."""

    def __init__(self, param: str, path: str) -> None:
        self.param = param
        self.path = path

    def inside(self, *steps: object) -> Place:
        """A place inside of this one."""
        return Place(self.param, ".".join((self.path, *map(str, steps))))

    def refuse(self, text: str) -> NoReturn:
        """Raise the error that says `text` of this place."""
        raise BadRequestError(f"{self.path}: {text}", param=self.param, code="invalid_json_schema")


def bound_days(schema: dict[str, Any]) -> None:
    """Let a schema of dates have only days that there are."""
    if "pattern" in schema:
        schema["allOf"] = [*schema.get("allOf", []), {"pattern": DAYS}]
    else:
        schema["pattern"] = DAYS


def check_value(name: str, value: Any, place: Place) -> None:
    """Raise for what a keyword may not be, and llguidance does not tell."""
    if name == "pattern" and isinstance(value, str):
        check_text(value, place, is_pattern=True)
    elif name == "format" and value not in FORMATS:
        place.refuse(f"Unknown format: {value}; known are {', '.join(sorted(FORMATS))}.")
    elif name == "multipleOf" and isinstance(value, (int, float)) and value <= 0:
        place.refuse("'multipleOf' must be above 0.")
    elif name != "pattern":
        _check_parts(value, place)


def check_text(text: str, place: Place, *, is_pattern: bool = False) -> None:
    """Raise for control characters that could only be written as `\\u0001`."""
    if spells_control(text) if is_pattern else CONTROL.search(text):
        place.refuse(f"{CONTROL_WORDS}.")


def spells_control(pattern: str) -> bool:
    """Whether a pattern asks for control characters that nothing is written with."""
    for match in ELEMENT.finditer(EXCLUDING.sub("", pattern)):
        code = match["hex"] or match["braced"]
        spelled = (
            chr(int(code, 16))
            if code and int(code, 16) <= sys.maxunicode
            else SPELLED.get(match[0], match[0])
        )
        if CONTROL.search(spelled):
            return True
    return False


def _check_parts(value: Any, place: Place) -> None:
    """Raise for a number that not everybody reads as the same, and for text with control characters."""
    if isinstance(value, str):
        check_text(value, place)
    if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= MAX_NUMBER):
        place.refuse("numbers must be between -2^53 and 2^53.")
    if isinstance(value, list):
        for item in value:
            _check_parts(item, place)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_text(key, place)
            _check_parts(item, place)
