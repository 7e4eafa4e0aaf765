"""How log lines look, in JSON or for a terminal; whatever the line, the request's secrets are masked in it."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime

import orjson

from providers import trace
from providers.redaction import Redactor

# What every record has; anything else was given as `extra` and belongs into the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# Control characters, what Unicode counts as a line break, marks that turn the reading direction, half surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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
        running = trace.current()
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        line = f"{_time(record)} {record.levelname:7} {running.request_id} {record.getMessage()}{extras}"
        # Masked before they are quoted, as above.
        lines = [_quoted(running.redact(line))]
        if record.exc_info:
            traceback = running.redact(self.formatException(record.exc_info))
            # Indented: an error's text may have line breaks, and must not look like a line of its own.
            lines += [f"    {_quoted(line)}" for line in traceback.split("\n")]
        return "\n".join(lines)


def _quoted(text: str) -> str:
    """The text on one line, with nothing in it that moves a terminal's cursor."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _masked(value: object, redact: Redactor) -> object:
    """Numbers and flags as they are, everything else as text without secrets."""
    if isinstance(value, bool | float) or value is None or (isinstance(value, int) and abs(value) < 2**63):
        return value
    # Half of a surrogate pair cannot be written as JSON, and would cost the whole line.
    return redact(str(value)).encode(errors="backslashreplace").decode()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
