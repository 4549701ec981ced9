"""How a server behaves: one value, checked when it is made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Literal, TypedDict, get_args

__all__ = ["PROFILES", "Profile", "ServerOptions", "ServerSettings"]

# strict    refuses what is unknown, wrong or unsupported
# lenient   drops it, and names it in a header of the answer; takes any model name
# mock      lenient; the double for test suites of clients, with the echo engine only
Profile = Literal["strict", "lenient", "mock"]
PROFILES: tuple[Profile, ...] = get_args(Profile)


class ServerSettings(TypedDict, total=False):
    """`ServerOptions` as `serve`, `run_server` and `create_app` take them, by keyword."""

    api_key: str | None
    profile: Profile
    allowed_hosts: Collection[str] | None
    max_requests: int
    max_body_bytes: int
    max_held_bytes: int
    max_answer_bytes: int
    max_fanout: int
    body_timeout: float
    first_event_hold: float
    keep_alive: float
    breath: float
    engine_idle: float
    answer_timeout: float
    reader_idle: float
    cleanup_timeout: float


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The settings of a server. Times are in seconds, sizes in bytes.

    `allowed_hosts`: the Host headers that a server without a key answers to; loopback ones unless given.

    What a server takes on: `max_requests` at once; bodies of `max_body_bytes` each and `max_held_bytes`
    together, each within `body_timeout`. More is refused with a 503 that says when to ask again. `max_fanout` is
    how many choices of one request are made side by side, where the engine makes one at a time.

    How an answer runs: `first_event_hold` is how long the head of a stream waits for the engine's first event,
    so that an error before it can still be a status; after a silence of `keep_alive` a comment is sent; after
    `breath` of engine time the event loop gets its turn.

    How an answer is ended: `engine_idle` after the engine's last event; `answer_timeout` after its beginning;
    when the client has not taken for `reader_idle` what was sent to it; and when it is not streamed and its
    chunks are more than `max_answer_bytes`. An engine that does not stop within `cleanup_timeout` is told again.
    """

    api_key: str | None = field(default=None, repr=False)
    profile: Profile = "strict"
    allowed_hosts: frozenset[str] | None = None
    max_requests: int = 1024
    max_body_bytes: int = 32 * 1024 * 1024
    max_held_bytes: int = 256 * 1024 * 1024
    max_answer_bytes: int = 128 * 1024 * 1024
    max_fanout: int = 16
    body_timeout: float = 60.0
    first_event_hold: float = 2.0
    keep_alive: float = 15.0
    breath: float = 0.010
    engine_idle: float = 600.0
    answer_timeout: float = 3600.0
    reader_idle: float = 300.0
    cleanup_timeout: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.api_key, (str, NoneType)):
            raise TypeError(f"api_key must be a string, not of the type {type(self.api_key).__name__}")
        if self.api_key is not None and (not self.api_key or self.api_key != self.api_key.strip()):
            raise ValueError(
                "api_key is empty or has white space around it: give a key, or None for a server without one"
            )
        if self.profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {self.profile!r}")
        for each in fields(self):
            value = getattr(self, each.name)
            if not isinstance(each.default, (int, float)):
                continue
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise TypeError(f"{each.name} must be a number, not {value!r}")
            if not value > 0:
                raise ValueError(f"{each.name} must be more than 0, not {value!r}")

    @property
    def lenient(self) -> bool:
        """Whether what cannot be honoured is dropped and named instead of refused."""
        return self.profile != "strict"
