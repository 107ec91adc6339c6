"""What an agent's report of a job may hold. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from fettle_protocol.steps import MAX_STEPS, StepKind
from fettle_protocol.v1 import link_pb2

from fettle_server.change.jobs.rules import Report, Told
from fettle_server.ingest.cleaning import OutOfBounds, inflated, plain_object, text

RESULT_PACKED_BYTES = 64 * 1024
RESULT_PLAIN_BYTES = 512 * 1024
WHY_LIMIT = 500
WORDS_LIMIT = 4000
ATTEMPT_LIMIT = 1000
_TOLD = {
    link_pb2.JobReport.STATE_RECEIVED: Told.RECEIVED,
    link_pb2.JobReport.STATE_REFUSED: Told.REFUSED,
    link_pb2.JobReport.STATE_WAITING: Told.WAITING,
    link_pb2.JobReport.STATE_DEFERRED: Told.DEFERRED,
    link_pb2.JobReport.STATE_STARTED: Told.STARTED,
    link_pb2.JobReport.STATE_STEP_DONE: Told.STEP_DONE,
    link_pb2.JobReport.STATE_STEP_FAILED: Told.STEP_FAILED,
    link_pb2.JobReport.STATE_RESTARTING: Told.RESTARTING,
    link_pb2.JobReport.STATE_RESUMED: Told.RESUMED,
    link_pb2.JobReport.STATE_DONE: Told.DONE,
    link_pb2.JobReport.STATE_FAILED: Told.FAILED,
    link_pb2.JobReport.STATE_CANCELLED: Told.CANCELLED,
    link_pb2.JobReport.STATE_PROGRESS: Told.PROGRESS,
}
_KINDS = frozenset({"", *StepKind})
_JOB_ID = re.compile(r"[0-9a-f]{32}")


class JobSaid(NamedTuple):
    """What an agent says of a job."""

    at_ms: int
    report: Report


def job_said(said: link_pb2.JobReport, at_ms: int, _said_ms: int, _adjusted: bool) -> JobSaid:
    """What a report says.

    Raises:
        OutOfBounds: it will never be taken.
    """
    told = _TOLD.get(said.state)
    if told is None:
        raise OutOfBounds("The job's report is of no known state.")
    if not _JOB_ID.fullmatch(said.job):
        raise OutOfBounds("The job's id must be 32 hex digits.")
    if said.step > MAX_STEPS or said.percent > 100 or said.attempt > ATTEMPT_LIMIT or said.kind not in _KINDS:
        raise OutOfBounds("The job's step, percent or attempt cannot be.")
    result = None
    if said.result:
        plain = inflated(said.result, "The job's result", RESULT_PACKED_BYTES, RESULT_PLAIN_BYTES)
        result = plain_object(plain, "The job's result")
    why = text(said.why, WHY_LIMIT)
    return JobSaid(
        at_ms, Report(said.job, told, said.step, said.kind, said.percent, why, _words(said.words), result, said.attempt)
    )


def _words(said: str) -> str:
    """What a tool printed: its lines, cleaned, and of too many the end."""
    lines = (text(line, WORDS_LIMIT) for line in said[-2 * WORDS_LIMIT :].splitlines())
    return "\n".join(lines)[-WORDS_LIMIT:]
