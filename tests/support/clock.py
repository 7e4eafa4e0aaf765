"""A clock that tests set."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Counts seconds, which pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
