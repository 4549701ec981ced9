"""How a server behaves: one value, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["PROFILES", "Profile", "ServerOptions"]

# strict    refuses what is unknown, wrong or unsupported
# lenient   drops it, and names it in a header of the answer; takes any model name
# mock      lenient; the double for test suites of clients, with the echo engine only
Profile = Literal["strict", "lenient", "mock"]
PROFILES: tuple[Profile, ...] = get_args(Profile)


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The settings of a server. Times are in seconds, sizes in bytes.

    `first_event_hold`: how long the head of a stream waits for the engine's first event, so that an error
    before it can still be a status. `keep_alive`: after how long a silence a comment is sent. `breath`: after
    how much engine time the event loop gets its turn. `allowed_hosts`: the Host headers that a server without
    a key answers to; loopback ones unless given.
    """

    api_key: str | None = field(default=None, repr=False)
    profile: Profile = "strict"
    allowed_hosts: frozenset[str] | None = None
    max_body_bytes: int = 32 * 1024 * 1024
    body_timeout: float = 60.0
    first_event_hold: float = 2.0
    keep_alive: float = 15.0
    breath: float = 0.010

    def __post_init__(self) -> None:
        if self.api_key is not None and (not self.api_key or self.api_key != self.api_key.strip()):
            raise ValueError(
                "api_key is empty or has white space around it: give a key, or None for a server without one"
            )
        if self.profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {self.profile!r}")

    @property
    def lenient(self) -> bool:
        """Whether what cannot be honoured is dropped and named instead of refused."""
        return self.profile != "strict"
