"""What a benchmark says: rows of ours beside a peer or a limit of the same run, with the target and whether it was met.

Owns the rows, their printing and the facts of the machine. Importing it puts packaging/ on the path, where the crowd lives.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")  # the bare echo has it as good as our edge
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "packaging") not in sys.path:
    sys.path.append(str(ROOT / "packaging"))


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `beside` is a peer or limit with its own figure, and where that comes from if not from this run.

    `target` in the same unit as `ours`; `less` says which way is better. `remark` is what a reader must know to judge it.
    """

    item: str
    ours: float | None
    unit: str
    beside: str = ""
    target: float | None = None
    less: bool = True
    remark: str = ""

    @property
    def verdict(self) -> str:
        """Met, or missed by how much."""
        if self.target is None:
            return ""
        if self.ours is None:
            return "not measured"
        if self.ours <= self.target if self.less else self.ours >= self.target:
            return "met"
        away = self.ours / self.target - 1 if self.less else 1 - self.ours / self.target
        return f"missed by {away:.0%}"


@dataclass(frozen=True, slots=True)
class Run:
    """How large this run is: `quick` for a first look, `full` for everything, neither for the published table."""

    quick: bool
    full: bool
    work: Path

    def pick(self, quick: float, usual: float, full: float | None = None) -> float:
        """The figure for this size of run."""
        if self.quick:
            return quick
        return full if self.full and full is not None else usual


Measure = Callable[[Run], list[Row]]


def run_alone(measure: Measure) -> int:
    """The `main` of a benchmark that is run by itself."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    add_sizes(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fettle-bench-") as work:
        print_facts(Path(work))
        print_table(measure(Run(arguments.quick, arguments.full, Path(work))))
    return 0


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark has."""
    parser.add_argument("--quick", action="store_true", help="a first look: short windows, fewer streams")
    parser.add_argument("--full", action="store_true", help="everything, 20,000 streams included")


def print_facts(work: Path) -> None:
    """What the figures were taken on."""
    print(
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, fdatasync of 4 KiB {fdatasync_ms(work):.2f} ms, "
        f"load {os.getloadavg()[0]:.1f} before",
        flush=True,
    )


def fdatasync_ms(directory: Path) -> float:
    """What this disk takes for 4 KiB to be safe, the median of 200, in ms."""
    times = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for place in range(200):
            os.pwrite(file.fileno(), bytes(4096), place * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)[100] * 1000


def print_table(rows: Sequence[Row]) -> None:
    """All rows, as a table that is also Markdown."""
    head = ("item", "ours", "beside it", "target", "")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    for place, line in enumerate(cells):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |")
        if not place:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in rows:
        if row.remark:
            print(f"  {row.item}: {row.remark}")
    sys.stdout.flush()


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    ours = "-" if row.ours is None else f"{_number(row.ours)} {row.unit}"
    sign = "at most" if row.less else "at least"
    target = "" if row.target is None else f"{sign} {_number(row.target)} {row.unit}"
    return row.item, ours, row.beside, target, row.verdict


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}" if value < 1 else f"{value:.2f}"
