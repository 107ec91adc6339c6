"""Does one job, step by step, so that whatever is cut off at any moment ends well or is told.

Owns the order: a step's beginning is on the disk before it begins, its end and the report of it together after it. A step that
may be begun again is, after a cut; one that may be begun once only is not, and its job fails. A restart is such a step.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fettle_protocol.manifests import Manifest, Reboots
from fettle_protocol.steps import StepKind, is_repeatable

from fettle_agent import log
from fettle_agent.jobs import facts, restarting, rules, running, steps
from fettle_agent.jobs.book import Book, Job, State, Step
from fettle_agent.jobs.context import Context, Outcome
from fettle_agent.packages import Provider, locks

MAX_RESULT = 64 * 1024
_PROGRESS_POINTS, _PROGRESS_EVERY_S = 5, 2.0
_ON_PACKAGES = (
    StepKind.INSTALL,
    StepKind.UPGRADE,
    StepKind.REMOVE,
    StepKind.HOLD,
    StepKind.UNHOLD,
    StepKind.RESTORE,
)


class Doing:
    """The doer of jobs, one at a time."""

    def __init__(
        self,
        state: Path,
        book: Book,
        clock: facts.Clock,
        system: str,
        find_providers: Callable[[str, Path], Mapping[str, Provider]],
    ) -> None:
        self._state, self._book, self._clock, self._system = state, book, clock, system
        self._find_providers = find_providers

    def do(self, job: Job, manifest: Manifest, *, resumed: bool) -> int | None:
        """Go on with a begun job as far as it goes: when to look again, None where it has ended."""
        rows = {row.step: row for row in self._book.steps(job.id)}
        if resumed and (job.state == "restarting" or any(row.state == "begun" for row in rows.values())):
            paused = self._cut(job, manifest, rows)
            if paused is not None:
                return paused or None
            rows = {row.step: row for row in self._book.steps(job.id)}
        for number, step in enumerate(manifest.steps, 1):
            if number in rows and rows[number].state == "done":
                continue
            paused = self._step(job, manifest, number, step)
            if paused is not None:
                return paused or None
        paused = self._restart_at_end(job, manifest, rows.get(len(manifest.steps) + 1))
        if paused is not None:
            return paused or None
        self._end(job, manifest, "done")
        return None

    def give_up(self, job: Job, why: str) -> None:
        """End a begun job that may not go on."""
        log.warning("job failed", job=job.id, why=why)
        result = self._result(job)
        self._book.end(
            job.id,
            "failed",
            State(why=why[:500], attempt=job.attempt, result=packed(result)),
            self._clock.now_ms(),
            rescan=bool(result["rescan"]),
        )

    # ---- after a cut: each gives 0 where the job has ended, a time where it pauses, None where it goes on ----

    def _cut(self, job: Job, manifest: Manifest, rows: dict[int, Step]) -> int | None:
        """Find out how the step ended in whose middle the last child was."""
        row = next((row for row in rows.values() if row.state == "begun"), None)
        if row is not None and row.kind == StepKind.REBOOT:
            return self._restarted(job, row)
        if row is not None and not self._may_begin_again(job, manifest, row):
            return 0
        if row is not None and row.pid and row.boot == self._clock.boot:  # after a restart the number is a stranger's
            running.stop_left_over(row.pid, (self._clock.now_ms() - row.begun_ms) / 1000)
        self._book.resume(job.id, self._report(State.STATE_RESUMED, job, row.step if row else 0), self._clock.now_ms())
        return None

    def _restarted(self, job: Job, row: Step) -> int | None:
        now_ms = self._clock.now_ms()
        if row.boot == self._clock.boot:
            if now_ms < row.begun_ms + restarting.NOT_RESTARTED_MS:
                return row.begun_ms + restarting.NOT_RESTARTED_MS
            return self._failed(job, row.step, row.kind, Outcome(False, "The PC did not restart within ten minutes."))
        report = self._report(State.STATE_RESUMED, job, row.step, row.kind)
        self._book.resume(job.id, report, now_ms)
        done = self._report(State.STATE_STEP_DONE, job, row.step, row.kind)
        done.words = "The PC restarted."
        self._book.end_step(job.id, row.step, state="done", result="", report=done, now_ms=now_ms)
        self._book.restart(job.id, warned_ms=0)
        return None

    def _may_begin_again(self, job: Job, manifest: Manifest, row: Step) -> bool:
        if not is_repeatable(manifest.steps[row.step - 1]):
            why = "It was cut off in the middle and is not begun twice."
        elif row.tries > manifest.attempts:
            why = f"It was cut off in the middle {row.tries} times."
        else:
            return True
        self._failed(job, row.step, row.kind, Outcome(False, why), state="cut")
        return False

    # ---- steps ----

    def _step(self, job: Job, manifest: Manifest, number: int, step: Mapping[str, Any]) -> int | None:
        kind = StepKind(step["kind"])
        if not is_repeatable(step) and self._done_earlier(manifest, job, number):
            outcome = Outcome(True, "An earlier try of this order did it; it is not done twice.")
            self._book.begin_step(job.id, number, kind, boot=self._clock.boot, now_ms=self._clock.now_ms())
            return self._ended(job, manifest, number, kind, outcome)
        if kind is StepKind.REBOOT:
            if manifest.people.reboots == Reboots.NEVER:
                return self._failed(job, number, kind, Outcome(False, "The order itself says that the PC is never restarted."))
            return self._restart(job, manifest, number)
        seen = facts.look(self._clock)
        keeps = self._keeps(manifest, kind, seen)
        if keeps is not None and seen.now_ms >= manifest.expires_ms:
            return self._failed(job, number, kind, Outcome(False, f"The order's time was over while it waited. {keeps.why}"))
        if keeps is not None:
            self._book.wait(job.id, keeps.why, seen.now_ms)
            return min(keeps.until_ms, manifest.expires_ms)
        self._book.begin_step(job.id, number, kind, boot=self._clock.boot, now_ms=seen.now_ms)
        return self._ended(job, manifest, number, kind, self._tried(job, manifest, number, step))

    def _keeps(self, manifest: Manifest, kind: StepKind, seen: rules.Facts) -> rules.Wait | None:
        """What a step waits for before it begins: what the order needs, and the end of another program's work on packages."""
        who = locks.holder() if kind in _ON_PACKAGES else ""
        if who:
            return rules.Wait(
                seen.now_ms + restarting.BUSY_LOOK_MS, f"{who} is changing packages on this PC; this waits for it."
            )
        return rules.lacks(manifest, seen)

    def _tried(self, job: Job, manifest: Manifest, number: int, step: Mapping[str, Any]) -> Outcome:
        context = Context(
            state=self._state,
            system=self._system,
            book=self._book,
            manifest_id=manifest.id,
            quiet=job.exam,
            progress=_Progress(self, job, number, len(manifest.steps)).heard,
            note_process=lambda pid: self._book.step_process(job.id, number, pid),
            find_providers=self._find_providers,
        )
        try:
            return steps.STEPS[StepKind(step["kind"])](context, step)
        except Exception as error:  # whatever it was: a job that is never told of is worse
            log.warning("step failed", job=job.id, step=number, why=f"{type(error).__name__}: {error}")
            return Outcome(False, f"{type(error).__name__}: {error}", {"rescan": True})

    def _done_earlier(self, manifest: Manifest, job: Job, number: int) -> bool:
        same = self._book.same(manifest.id, job.id)
        return any(row.step == number and row.state == "done" for one in same for row in self._book.steps(one.id))

    def _ended(self, job: Job, manifest: Manifest, number: int, kind: str, outcome: Outcome) -> int | None:
        if not outcome.worked:
            return self._failed(job, number, kind, outcome)
        report = self._report(State.STATE_STEP_DONE, job, number, kind)
        report.percent = min(100, 100 * number // len(manifest.steps))
        report.words, report.result = running.cut(outcome.words), packed(outcome.result) if outcome.result else b""
        kept = json.dumps({key: value for key, value in outcome.result.items() if key != "diagnostics"})
        self._book.end_step(job.id, number, state="done", result=kept, report=report, now_ms=self._clock.now_ms())
        return None

    def _failed(self, job: Job, number: int, kind: str, outcome: Outcome, *, state: str = "failed") -> int:
        """Tell of a step that failed, and end the job: what comes after may need what it did not do."""
        report = self._report(State.STATE_STEP_FAILED, job, number, kind)
        report.words, report.result = running.cut(outcome.words), packed(outcome.result) if outcome.result else b""
        last = next(iter(reversed([line for line in outcome.words.splitlines() if line.strip()])), "It said nothing.")
        result = self._result(job, outcome)
        why = f"Step {number} ({kind}) failed: {last}"
        log.warning("job failed", job=job.id, why=why)
        self._book.fail_step(
            job.id,
            number,
            state=state,
            kind=kind,
            boot=self._clock.boot,
            report=report,
            end=State(why=why[:500], attempt=job.attempt, result=packed(result)),
            now_ms=self._clock.now_ms(),
            rescan=bool(result["rescan"]),
        )
        return 0

    # ---- restarts ----

    def _restart_at_end(self, job: Job, manifest: Manifest, row: Step | None) -> int | None:
        """The restart that comes with the work: always, or where the system says that it must."""
        reboots = manifest.people.reboots
        if reboots == Reboots.NEVER or (row is not None and row.state == "done") or job.exam:
            return None
        if manifest.steps[-1]["kind"] == StepKind.REBOOT:
            return None
        if reboots == Reboots.IF_NEEDED and not (self._result(job)["rescan"] and self._needs_restart()):
            return None
        if self._clock.now_ms() >= manifest.expires_ms:
            return None  # its time is over; that a restart is due is in the result, and the system goes on saying so
        return self._restart(job, manifest, len(manifest.steps) + 1)

    def _restart(self, job: Job, manifest: Manifest, number: int) -> int | None:
        """Restart as soon as the people at the PC allow; a step of its own in the book, noted before it happens."""
        now_ms = self._clock.now_ms()
        if now_ms >= manifest.expires_ms:
            return self._failed(
                job, number, StepKind.REBOOT, Outcome(False, "The order's time was over before it could restart.")
            )
        fresh = self._book.job(job.id) or job
        word = restarting.may(self._state, self._system, self._book, fresh, manifest, facts.look(self._clock))
        if isinstance(word, restarting.Later):
            return min(word.until_ms, manifest.expires_ms)
        self._book.begin_step(job.id, number, StepKind.REBOOT, boot=self._clock.boot, now_ms=now_ms)
        self._book.restarting(job.id, self._report(State.STATE_RESTARTING, job, number, StepKind.REBOOT), now_ms)
        log.info("the PC restarts for a job", job=job.id)
        time.sleep(1.5)  # the running agent looks each second: the server should hear why before the machine goes down
        why = restarting.restart(self._system)
        if why:
            return self._failed(job, number, StepKind.REBOOT, Outcome(False, why))
        return now_ms + restarting.NOT_RESTARTED_MS

    def _needs_restart(self) -> bool:
        return restarting.is_needed(self._system, self._find_providers(self._system, self._state / "packages"))

    # ---- the end ----

    def _end(self, job: Job, manifest: Manifest, state: str) -> None:
        result = self._result(job)
        if result["rescan"] and manifest.steps[-1]["kind"] != StepKind.REBOOT:
            result["reboot_pending"] = self._needs_restart()
        report = State(percent=100, attempt=job.attempt, result=packed(result))
        self._book.end(job.id, state, report, self._clock.now_ms(), rescan=bool(result["rescan"]))
        log.info("job done", job=job.id)

    def _result(self, job: Job, last: Outcome | None = None) -> dict[str, Any]:
        """What all steps that ended came to, and the last one."""
        found = [json.loads(row.result) for row in self._book.steps(job.id) if row.result]
        found += [last.result] if last is not None else []
        packages = [package for one in found for package in one.get("packages", [])]
        return {"packages": packages, "rescan": any(one.get("rescan") for one in found)}

    def tell_progress(self, job: Job, number: int, percent: int) -> None:
        """Tell how far a job is, between the ends of its steps."""
        report = self._report(State.STATE_PROGRESS, job, number)
        report.percent = percent
        self._book.tell(report, self._clock.now_ms())

    def _report(self, state: State.State, job: Job, number: int, kind: str = "") -> State:
        return State(job=job.id, state=state, step=number, kind=kind, attempt=job.attempt)


class _Progress:
    """Hears a step's percentages, and tells the job's where they are news."""

    def __init__(self, doing: Doing, job: Job, number: int, steps_count: int) -> None:
        self._doing, self._job, self._number, self._count = doing, job, number, steps_count
        self._told, self._told_s = -_PROGRESS_POINTS, 0.0

    def heard(self, percent: int) -> None:
        """Of the step."""
        whole = (100 * (self._number - 1) + min(max(percent, 0), 100)) // self._count
        now_s = time.monotonic()
        if whole >= self._told + _PROGRESS_POINTS and now_s >= self._told_s + _PROGRESS_EVERY_S:
            self._told, self._told_s = whole, now_s
            self._doing.tell_progress(self._job, self._number, whole)


def packed(result: Mapping[str, Any]) -> bytes:
    """The result as it travels; over the bound without what is longest, and saying so."""
    content = dict(result)
    while len(body := zlib.compress(json.dumps(content, sort_keys=True).encode(), 6)) > MAX_RESULT:
        longest = max(content, key=lambda key: len(json.dumps(content[key])))
        content[longest] = "too long to be told"
    return body
