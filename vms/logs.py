"""How log lines look, in JSON or for a terminal; whatever the line, the request's secrets are masked in it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson

from providers import trace
from providers.redaction import Redactor

# What every record has; anything else was given as `extra` and belongs into the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, and whatever the place of logging added."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        running = trace.current()
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": running.request_id,
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # Masked before they are quoted: a secret may hold what JSON writes in another way.
        line = {key: _masked(value, running.redact) for key, value in line.items()}
        return orjson.dumps(line).decode()


class TextFormatter(logging.Formatter):
    """A line for people: time, level, request, message, and what was added as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        line = f"{_time(record)} {record.levelname:7} {trace.current().request_id} {record.getMessage()}{extras}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        # A value with a line break must not look like a line of its own.
        return trace.current().redact(line if record.exc_info else line.replace("\r", "\\r").replace("\n", "\\n"))


def _masked(value: object, redact: Redactor) -> object:
    """Numbers and flags as they are, everything else as text without secrets."""
    return value if isinstance(value, bool | int | float) or value is None else redact(str(value))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
