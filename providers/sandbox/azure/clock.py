"""The time as ARM writes it."""

from datetime import UTC, datetime, timedelta


def now() -> str:
    """Such as `2024-02-06T22:07:09.9541568+00:00`: .NET's ticks have seven digits."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0+00:00")


def earlier(moment: str, seconds: float) -> str:
    """A time as above, so many seconds before another."""
    before = datetime.fromisoformat(moment.replace("0+00:00", "+00:00")) - timedelta(seconds=seconds)
    return before.strftime("%Y-%m-%dT%H:%M:%S.%f0+00:00")
