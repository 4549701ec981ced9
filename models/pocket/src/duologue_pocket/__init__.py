"""The language model `pocket`: a GGUF file of 5 MB, for demonstrations and tests.

>>> import duologue_pocket
>>> duologue_pocket.path().name
'pocket-q8_0.gguf'
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["__version__", "path"]

__version__ = "0.5.0"


def path() -> Path:
    """Where the model file lies."""
    return Path(__file__).with_name("pocket-q8_0.gguf")
