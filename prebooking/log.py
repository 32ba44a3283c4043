"""Structured logging: one JSON object per line, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

# These libraries log URLs and headers at INFO and DEBUG.
_VERBOSE_LIBRARIES = ("httpx", "httpcore", "h2", "hpack")
_SECRETS = re.compile(
    r"[^\s@<>\"']+@[^\s@<>\"']+"  # e-mail addresses, user:password@host
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*"  # JSON web tokens
    r"|sb_(?:secret|publishable)_[\w-]+"  # keys of the database
    r"|(?i:bearer|basic)\s+\S+"
    r"|(?<![\w-])(?![0-9a-fA-F]{8}-[0-9a-fA-F]{4}-)[\w+/=-]{32,}",  # long random text, but not a UUID
)


def redact(text: str) -> str:
    """Return the text without anything that looks like an address, key or token, cut to 300 characters."""
    return _SECRETS.sub("[redacted]", text)[:300]


class _OneLine(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        sys.stdout.write(json.dumps(line, default=str) + "\n")
        sys.stdout.flush()


def set_up() -> None:
    """Write our events to standard output, and disable the logs of libraries that log URLs and headers."""
    for name in _VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    ours = logging.getLogger("prebooking")
    ours.setLevel(logging.INFO)
    # The platform adds a handler to the root logger, which would write every line a second time.
    ours.propagate = False
    ours.handlers = [_OneLine()]


class Log:
    """Logs events. The ids given to the constructor are added to every line, so that one run's lines can be found."""

    def __init__(self, **bound: Any) -> None:
        self._logger, self._bound = logging.getLogger("prebooking"), bound

    def info(self, event: str, **fields: Any) -> None:
        """Log an event of normal operation."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log an event that the operator should look at, but that is not urgent."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log a failure."""
        self._write(logging.ERROR, event, fields)

    def unexpected(self, event: str, exc: BaseException, **fields: Any) -> None:
        """Log the type and the place of an unexpected exception, but not its text, which may hold secrets."""
        frames = traceback.extract_tb(exc.__traceback__)[-3:]
        where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
        self._write(logging.ERROR, event, {"exception": type(exc).__name__, "where": where, **fields})

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        clean = {key: redact(value) if isinstance(value, str) else value for key, value in fields.items()}
        self._logger.log(level, event, extra={"fields": self._bound | clean})
