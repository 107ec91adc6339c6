"""Dead letters: what the server said it will never take, set aside in a bounded file for whoever mends the cause."""

from __future__ import annotations

import json
from pathlib import Path

from fettle_agent import log

FILE_NAME = "dead-letters.jsonl"
MAX_BYTES = 256 * 1024
_MAX_BODY_BYTES = 16 * 1024


def set_aside(folder: Path, *, sequence: int, reason: str, body: bytes, at_ms: int) -> None:
    """Add one letter; a full file takes the place of the .old one. A failing disk costs the letter only."""
    path = folder / FILE_NAME
    letter = {"sequence": sequence, "at_ms": at_ms, "reason": reason[:500], "body_hex": body[:_MAX_BODY_BYTES].hex()}
    try:
        if path.exists() and path.stat().st_size > MAX_BYTES:
            path.replace(path.with_name(FILE_NAME + ".old"))
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(letter) + "\n")
    except OSError as error:
        log.warning("dead letter lost", why=error)
