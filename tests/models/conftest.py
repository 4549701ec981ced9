"""Makes the recipe of the built-in model importable: it is run from its own folder, and never installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "models" / "pocket"))
