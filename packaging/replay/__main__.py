"""`make replay`: plays a virtual school year through the real server and prints how far its detection can be trusted.

The exit status says that the replay ran; whether targets are met is in its figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from replay import report
from replay.drive import Options, replay
from replay.score import score
from replay.world.world import Plan

MAX_SCHOOLS, MAX_PCS, MAX_DAYS = 200, 2000, 365
LEAD_DAYS, TAIL_DAYS = 21, 7
SHORT_LEAD_DAYS, SHORT_TAIL_DAYS = 7, 4


def main() -> int:
    """Exit status 0 after a replay, 2 for wrong usage."""
    arguments = _arguments()
    usual = (LEAD_DAYS, TAIL_DAYS) if arguments.days > 30 else (SHORT_LEAD_DAYS, SHORT_TAIL_DAYS)
    lead = usual[0] if arguments.lead is None else arguments.lead
    tail = usual[1] if arguments.tail is None else arguments.tail
    plan = Plan(arguments.seed, arguments.schools, arguments.pcs, arguments.days, lead, tail, arguments.scale)
    outcome = replay(plan, Options(bucket_s=arguments.bucket, processes=arguments.processes, is_quiet=arguments.quiet))
    result = score(outcome)
    print(report.table(outcome, result), flush=True)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(report.as_json(outcome, result), indent=1) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seed", type=int, default=1, help="the world is drawn from it")
    add("--schools", type=int, default=3, help=f"at most {MAX_SCHOOLS}")
    add("--pcs", type=int, default=300, help=f"PCs in each school; 20 to {MAX_PCS}")
    add("--days", type=int, default=365, help=f"days on which causes may begin; at most {MAX_DAYS}")
    add("--out", default="", metavar="FILE", help="write the figures and every story there, as JSON")
    add(
        "--lead",
        type=int,
        default=None,
        help="days of life before, in which habits are learned; default 21, or 7 where DAYS are at most 30",
    )
    add("--tail", type=int, default=None, help="days of life after, without new causes; default 7 or 4")
    add("--scale", type=float, default=1.0, help="how many times as many causes as in an ordinary year")
    add("--bucket", type=float, default=60.0, help="seconds of agents' messages that one transaction takes")
    add("--processes", type=int, default=2, choices=(1, 2), help="1: world and server take turns in one process")
    add("--quiet", action="store_true", help="do not say how far it is")
    arguments = parser.parse_args()
    if not 1 <= arguments.schools <= MAX_SCHOOLS or not 20 <= arguments.pcs <= MAX_PCS or not 1 <= arguments.days <= MAX_DAYS:
        parser.error(f"1 to {MAX_SCHOOLS} schools, 20 to {MAX_PCS} PCs each, 1 to {MAX_DAYS} days")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
