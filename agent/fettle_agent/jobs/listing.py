"""`fettle-agent jobs`: the jobs of this PC, how each is, and why it waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fettle_agent import log
from fettle_agent.errors import AgentError
from fettle_agent.jobs.book import FILE_NAME, FOLDER, Book, BookError, Job
from fettle_agent.status import rfc3339


def listing(state: Path, *, as_json: bool) -> str:
    """The newest jobs, newest first.

    Raises:
        AgentError: the book cannot be read.
    """
    found = _rows(state)
    if as_json:
        return json.dumps(found)
    if not found:
        return "no job was ever handed to this PC"
    return "\n".join(_line(row) for row in found)


def _rows(state: Path) -> list[dict[str, Any]]:
    if not (state / FOLDER / FILE_NAME).exists():
        return []
    try:
        book = Book.open(state)
        try:
            return [_row(book, job) for job in book.jobs()]
        finally:
            book.close()
    except BookError as error:
        raise AgentError(f"{error}: run this as the account that runs the agent") from error


def _row(book: Book, job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "why": job.why,
        "attempt": job.attempt,
        "received_at": rfc3339(job.received_ms),
        "begun_at": rfc3339(job.begun_ms) if job.begun_ms else None,
        "ended_at": rfc3339(job.ended_ms) if job.ended_ms else None,
        "steps": [{"step": row.step, "kind": row.kind, "state": row.state} for row in book.steps(job.id)],
    }


def _line(row: dict[str, Any]) -> str:
    at = row["ended_at"] or row["begun_at"] or row["received_at"]
    about = row["title"] or "(not read yet)"
    return log.plain(f"{row['id'][:8]}  {row['state']:<10} {at}  {about}{': ' if row['why'] else ''}{row['why']}")
