"""v4's rate limits: each call has its own, told with every answer, in seconds' windows.

The headers are those of a recorded Prism Central (pc.2024.3.1.1): ten VMs a second, and thirty calls in all.
"""

import threading
import time

from werkzeug.wrappers import Response

from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.refusals import Reason, Refusal
from providers.sandbox.nutanix.wire import Route

CALLS_IN_ALL = 30


class Limits:
    """Counts the calls of each operation in the current second. Thread-safe."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._lock = threading.Lock()

    def admit(self, route: Route) -> None:
        """Count a call, and refuse it if there have been too many."""
        second = int(time.monotonic())
        with self._lock:
            window, calls = self._estate.calls.get(route.operation, (second, 0))
            calls = calls + 1 if window == second else 1
            self._estate.calls[route.operation] = (second, calls)
        if self._estate.knobs.enforces_rate_limits and calls > self._limit(route):
            raise Refusal(Reason.THROTTLED, "Rate limit exceeded for this API.")

    def mark(self, response: Response, route: Route) -> None:
        """Tell what is left."""
        with self._lock:
            _, calls = self._estate.calls.get(route.operation, (0, 0))
        limit = self._limit(route)
        told = {
            "X-Api-Ratelimit-Limit": limit,
            "X-Api-Ratelimit-Remaining": max(limit - calls, 0),
            "X-Api-Ratelimit-Reset": 1 if response.status_code == 429 else 0,
            "X-Api-Ratelimit-Refresh-Period-Seconds": 1,
            "X-Ratelimit-Limit": CALLS_IN_ALL,
            "X-Ratelimit-Remaining": max(CALLS_IN_ALL - calls, 0),
            "X-Ratelimit-Reset": 0,
        }
        for name, number in told.items():
            # A planned fault may have said otherwise.
            response.headers.setdefault(name, str(number))

    def _limit(self, route: Route) -> int:
        knobs = self._estate.knobs
        return knobs.lists_per_second if route.is_list else knobs.calls_per_second
