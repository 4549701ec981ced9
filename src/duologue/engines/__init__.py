"""Backends, one module each, imported only when named: `local`, a language model on this machine; `echo`."""

from __future__ import annotations

__all__: list[str] = []
