"""What the service's own log handlers would print."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vms.logs import JSONFormatter, TextFormatter


class Lines(logging.Handler):
    """Keeps each record as a line, in both formats."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [JSONFormatter().format(record), TextFormatter().format(record)]


@contextmanager
def recorded_lines() -> Iterator[Lines]:
    """Record every line that is logged at DEBUG or above."""
    handler = Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
