"""One JSON object a line: an event's name, what it is about, and nothing that must stay secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_CHATTY = ("httpx", "httpcore", "h2", "hpack")  # whole addresses and headers at INFO and DEBUG
_SECRETS = re.compile(
    r"[^\s@<>\"']+@[^\s@<>\"']+"  # e-mail addresses, user:password@host
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*"  # JSON web tokens
    r"|sb_(?:secret|publishable)_[\w-]+"  # keys of the database
    r"|(?i:bearer|basic)\s+\S+"
    r"|(?<![\w-])(?![0-9a-fA-F]{8}-[0-9a-fA-F]{4}-)[\w+/=-]{32,}",  # anything long and random, but a UUID
)


def redact(text: str) -> str:
    """Return the text without what looks like an address, a key, a token or a cookie, at most 300 characters of it."""
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
    """Send our events to standard output, and quiet the libraries that would log addresses and headers."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    ours = logging.getLogger("prebooking")
    ours.setLevel(logging.INFO)
    ours.propagate = False  # the platform puts a handler of its own on the root: every line would come twice
    ours.handlers = [_OneLine()]


class Log:
    """Names events. What is bound at construction, ids only, stands in every line: so a run's lines can be found."""

    def __init__(self, **bound: Any) -> None:
        self._logger, self._bound = logging.getLogger("prebooking"), bound

    def info(self, event: str, **fields: Any) -> None:
        """Something happened that an operator may want to follow."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something happened that an operator should look at, in time."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Something is broken."""
        self._write(logging.ERROR, event, fields)

    def unexpected(self, event: str, exc: BaseException, **fields: Any) -> None:
        """Log the type of an unforeseen exception and where it arose: not its text, which may hold anything."""
        frames = traceback.extract_tb(exc.__traceback__)[-3:]
        where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
        self._write(logging.ERROR, event, {"exception": type(exc).__name__, "where": where, **fields})

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        clean = {key: redact(value) if isinstance(value, str) else value for key, value in fields.items()}
        self._logger.log(level, event, extra={"fields": self._bound | clean})
