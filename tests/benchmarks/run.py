"""`make bench`: every benchmark in turn, then one table, with the facts of the machine that it was taken on.

Nothing here is a test: a figure that misses its target is printed as missed, and the exit status says only whether all ran.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

import agent_idle
import ceiling
import connected
import detection
import durable
import forecasts
import history
import incident
import pages
import rollout
import table

BENCHMARKS = {
    "ceiling": ceiling.measure,
    "durable": durable.measure,
    "history": history.measure,
    "forecasts": forecasts.measure,
    "incident": incident.measure,
    "detection": detection.measure,
    "connected": connected.measure,
    "rollout": rollout.measure,
    "pages": pages.measure,
    "agent": agent_idle.measure,
}


def main() -> int:
    """Exit status 0 where all of them ran, 1 where one could not."""
    parser = argparse.ArgumentParser(description=__doc__)
    table.add_sizes(parser)
    parser.add_argument("only", nargs="*", choices=[[], *BENCHMARKS], help="these; default: all")
    arguments = parser.parse_args()
    rows, failed = [], []
    with tempfile.TemporaryDirectory(prefix="fettle-bench-") as work:
        run = table.Run(arguments.quick, arguments.full, Path(work))
        table.print_facts(run.work)
        for name in arguments.only or BENCHMARKS:
            began = time.monotonic()
            try:
                rows += BENCHMARKS[name](run)
            except Exception:
                traceback.print_exc()
                failed.append(name)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        table.print_table(rows)
    if failed:
        print(f"could not run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
