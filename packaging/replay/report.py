"""The replay's figures for people and for programs: the table on the terminal, and the JSON file with every story."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from replay.drive import Outcome, Told
from replay.score import NOISES, Figures, Score, noise_of
from replay.world import terms
from replay.world.causes import Cause


def as_json(outcome: Outcome, score: Score) -> dict[str, Any]:
    """Exactly the issue's figures, the stories, and what else helps to judge them."""
    plan = outcome.plan
    return {
        "seed": plan.seed,
        **score.ours.as_json(outcome.pc_days),
        "baseline": score.baseline.as_json(outcome.pc_days),
        "missed_causes": [_missed(cause) for cause in score.ours.missed],
        "false_incident_stories": [_false(one, outcome) for one in score.false_told],
        "doubled_causes": [_doubled(number, found, outcome) for number, found in score.of_cause.items() if len(found) > 1],
        "false_per_1000_pc_days": round(score.ours.false / outcome.pc_days * 1000, 5),
        "incidents_per_cause_mean": _mean(score.ours),
        "seconds_to_find_since_felt_p50": score.ours.percentile(0.5, seen=True),
        "seconds_to_find_since_felt_p99": score.ours.percentile(0.99, seen=True),
        "found_by_kind": _by_kind(outcome, score),
        "false_by_noise": _by_noise(outcome, score),
        "causes_that_nobody_felt": score.unfelt,
        "reopened": score.reopened,
        "targets": {name: is_met for name, _, is_met in targets(outcome, score)},
        "world": {
            "schools": plan.schools, "pcs": plan.pcs, "days": plan.days, "lead_days": plan.lead, "tail_days": plan.tail,
            "first_day": plan.first.isoformat(), "server_restarts": len(outcome.world.outages.down),
        },
        "wall_seconds": round(outcome.wall_s, 1),
        "world_seconds": round(outcome.world_s, 1),
        "messages": outcome.tally.messages,
        "writer_seconds": round(outcome.tally.writer_s, 1),
        "job_seconds": dict(sorted(((name, round(took, 1)) for name, took in outcome.tally.job_s.items()), key=_last)[-8:]),
        "job_runs": dict(outcome.tally.job_runs.most_common(8)),
        "failed_jobs": dict(outcome.tally.failed),
        "refused": outcome.tally.refused,
        "rejected": outcome.tally.rejected,
    }  # fmt: skip


def targets(outcome: Outcome, score: Score) -> list[tuple[str, str, bool]]:
    """Each target: its name, what it came to, and whether it is met."""
    ours = score.ours
    share = ours.found / ours.causes if ours.causes else 1.0
    most = max(ours.per_cause.values(), default=0)
    rate = ours.false / outcome.pc_days * 1000
    noise = _by_noise(outcome, score)
    zero = {name: noise.get(name, 0) for name in ("holidays", "trolleys", "restarts", "re-imaging")}
    return [
        ("at least 99 % of causes found", f"{share:.2%}", share >= 0.99),
        ("exactly one incident per cause", f"{most} at most", most <= 1),
        ("at most 0.01 false per 1,000 PC-days", f"{rate:.4f}", rate <= 0.01),
        (
            "none from holidays, trolleys, restarts, re-imaging",
            ", ".join(f"{n}: {c}" for n, c in zero.items()),
            not any(zero.values()),
        ),
    ]


def table(outcome: Outcome, score: Score) -> str:
    """The figures side by side, the targets below them, and the stories of what went wrong."""
    plan, ours, usual = outcome.plan, score.ours, score.baseline
    rows = [
        ("", "Fettle", "usual practice"),
        ("true causes", ours.causes, usual.causes),
        ("found", ours.found, usual.found),
        ("missed", len(ours.missed), len(usual.missed)),
        ("time to find, p50", _span(ours.percentile(0.5)), _span(usual.percentile(0.5))),
        ("time to find, p99", _span(ours.percentile(0.99)), _span(usual.percentile(0.99))),
        ("  since a machine felt it, p50", _span(ours.percentile(0.5, seen=True)), _span(usual.percentile(0.5, seen=True))),
        ("  since a machine felt it, p99", _span(ours.percentile(0.99, seen=True)), _span(usual.percentile(0.99, seen=True))),
        ("incidents", ours.incidents, usual.incidents),
        ("incidents per true cause, most", max(ours.per_cause.values(), default=0), max(usual.per_cause.values(), default=0)),
        ("incidents per true cause, mean", _mean(ours), _mean(usual)),
        ("false incidents", ours.false, usual.false),
        (
            "false per 1,000 PC-days",
            f"{ours.false / outcome.pc_days * 1000:.4f}",
            f"{usual.false / outcome.pc_days * 1000:.1f}",
        ),
        ("notices sent", ours.notices, usual.notices),
    ]
    head = (
        f"Seed {plan.seed}: {plan.schools} schools of {plan.pcs} PCs, {plan.days} days, after {plan.lead} to learn habits and "
        f"before {plan.tail} for late finds: {outcome.pc_days:,} PC-days,\n"
        f"{outcome.tally.messages:,} messages in {outcome.wall_s:.0f} s. Thinned: readings only while they leave the ordinary, "
        f"few vitals, no gRPC.\n{score.unfelt} causes that no machine felt for ten minutes are not counted."
    )
    lines = [head, "", *(f"{name:<34}{mine!s:>14}{theirs!s:>18}" for name, mine, theirs in rows), ""]
    lines += [f"{'met   ' if is_met else 'MISSED'}  {name}: {value}" for name, value, is_met in targets(outcome, score)]
    lines += [f"FAILED  {count} times: job {job}" for job, count in outcome.tally.failed.items()]
    lines += _stories(outcome, score)
    return "\n".join(lines)


def _stories(outcome: Outcome, score: Score) -> list[str]:
    lines: list[str] = []
    if score.ours.missed:
        lines += ["", "Missed:"] + [f"  {_when(cause.start)} {cause.kind}: {cause.story}" for cause in score.ours.missed[:20]]
    if score.false_told:
        lines += ["", "False:"] + [
            f"  {_when(one.opened)} #{one.number} {one.title} ({_world(one, outcome)})" for one in score.false_told[:20]
        ]
    doubled = {number: found for number, found in score.of_cause.items() if len(found) > 1}
    if doubled:
        lines += ["", "Told more than once:"]
        lines += [
            f"  {_cause(number, outcome).story}: {', '.join(one.title for one in found[:5])}"
            for number, found in list(doubled.items())[:20]
        ]
    return lines


def _missed(cause: Cause) -> dict[str, Any]:
    return {
        "cause": cause.number, "kind": cause.kind, "school": cause.school, "room": cause.room, "pcs": sorted(cause.pcs)[:40],
        "start": _when(cause.start), "end": _when(cause.end), "felt_at": _when(cause.felt_at),
        "felt_seconds": round(cause.felt_s), "story": cause.story,
    }  # fmt: skip


def _false(one: Told, outcome: Outcome) -> dict[str, Any]:
    return {
        "incident": one.number, "title": one.title, "rule": one.rule, "scope": one.scope, "school": one.school,
        "room": one.room,
        "pcs": sorted(one.pcs)[:40], "opened": _when(one.opened), "began": [_when(begun) for begun in one.begun[:3]],
        "trail": one.trail, "noise": noise_of(one, outcome.world), "story": _world(one, outcome),
    }  # fmt: skip


def _doubled(number: int, found: list[Told], outcome: Outcome) -> dict[str, Any]:
    cause = _cause(number, outcome)
    return {
        "cause": number, "kind": cause.kind, "story": cause.story, "start": _when(cause.start), "end": _when(cause.end),
        "incidents": [_again(one) for one in found[:10]],
    }  # fmt: skip


def _again(one: Told) -> dict[str, Any]:
    return {"number": one.number, "title": one.title, "scope": one.scope, "opened": _when(one.opened), "trail": one.trail}


def _world(one: Told, outcome: Outcome) -> str:
    pc = min(one.pcs, default=None)
    school = one.school if one.school is not None else None if pc is None else outcome.world.estate.pcs[pc].school
    return outcome.world.what_happened(pc, school, one.begun[0] if one.begun else one.opened)


def _cause(number: int, outcome: Outcome) -> Cause:
    return next(cause for cause in outcome.causes if cause.number == number)


def _by_kind(outcome: Outcome, score: Score) -> dict[str, str]:
    missed = Counter(cause.kind for cause in score.ours.missed)
    felt = Counter(cause.kind for cause in outcome.causes if cause.number in score.of_cause) + missed
    return {kind: f"{count - missed[kind]} of {count}" for kind, count in sorted(felt.items())}


def _by_noise(outcome: Outcome, score: Score) -> dict[str, int]:
    counts = Counter(noise for one in score.false_told for noise in noise_of(one, outcome.world))
    return {name: counts[name] for name in NOISES}


def _mean(figures: Figures) -> float | None:
    values = figures.per_cause.values()
    return round(sum(values) / len(values), 3) if values else None


def _last(pair: tuple[str, float]) -> float:
    return pair[1]


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _when(seconds: float | None) -> str:
    return "" if seconds is None else dt.datetime.fromtimestamp(seconds, terms.LONDON).strftime("%a %Y-%m-%d %H:%M:%S")
