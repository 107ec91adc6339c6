"""How the server's processes log: structured lines on standard error, as JSON or, on a terminal, as text.

A line is a constant message with facts beside it (endpoint_id, duration_s). Never tokens, keys, people's names or event text.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def set_up(part: str, *, level: str = "info", form: str = "auto") -> None:
    """Log to standard error from now on, each line marked with the part of the server that speaks."""
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())

    def mark(_logger: Any, _method: str, event: Any) -> Any:
        return {"part": part, **event}

    shared: list[Any] = [
        mark,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Tracebacks without what the variables held: by themselves both renderers show it, passwords and tokens included.
    traceback = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if as_text
        else [traceback, structlog.processors.JSONRenderer(sort_keys=False)]
    )
    least = LEVELS.get(level.lower(), logging.INFO)
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer[-1], foreign_pre_chain=[*shared, *renderer[:-1]])
    )
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[handler])  # what libraries say, in the same form
    logging.getLogger("grpc").setLevel(logging.ERROR)  # it warns of each stream that a stopping server lets go


def log() -> Any:
    """What everybody logs with: a constant message, then facts by name."""
    return structlog.get_logger()
