"""Puts the benchmarks and the crowd where their tests can import them, as running a script from its folder does."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[1] / "packaging"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
