"""The agent's log: one line an event on standard error, a constant message first and its facts as key=value after it.

Never a token, a key, a person's name or the text of an event of the machine.
"""

from __future__ import annotations

import logging
import sys
import time

LEVELS = ("debug", "info", "warning", "error")
_logger = logging.getLogger("fettle_agent")


def _formatter() -> logging.Formatter:
    """key=value lines, with times as RFC 3339 in UTC."""
    formatter = logging.Formatter("%(asctime)s level=%(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    return formatter


def start(level: str) -> None:
    """Send the log to standard error from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    _logger.handlers[:] = [handler]
    _logger.propagate = False
    _logger.setLevel(level.upper())


def debug(message: str, **facts: object) -> None:
    """Something for whoever looks for a fault in the agent itself."""
    _write(logging.DEBUG, message, facts)


def info(message: str, **facts: object) -> None:
    """Something that happened as it should."""
    _write(logging.INFO, message, facts)


def warning(message: str, **facts: object) -> None:
    """Something that an administrator may have to see to."""
    _write(logging.WARNING, message, facts)


def _write(level: int, message: str, facts: dict[str, object]) -> None:
    if _logger.isEnabledFor(level):
        _logger.log(level, "%s", " ".join([f'msg="{message}"', *(f"{name}={_quoted(value)}" for name, value in facts.items())]))


def _quoted(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    text = plain(text.replace("\n", " ").replace('"', "'"))
    return f'"{text}"' if " " in text or not text else text


def plain(text: str) -> str:
    """A line as it may go to a terminal, which would obey control characters that another machine put into it."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
