"""The time as ARM writes it."""

from datetime import UTC, datetime


def now() -> str:
    """Such as `2024-02-06T22:07:09.9541568+00:00`: .NET's ticks have seven digits."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0+00:00")
