"""Which API each environment's host was found to speak: known to the whole process, whoever has found it out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Final

from providers.domain import Environment
from providers.errors import ProviderError

MOST_KNOWN: Final = 256


class KnownAPIs:
    """What was found, and no credential, cookie or connection of who found it; the least recently used goes first."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._findings: OrderedDict[Hashable, Future[str]] = OrderedDict()

    def __len__(self) -> int:
        """Of how many environments something is known."""
        return len(self._findings)

    def find(self, environment: Environment, look: Callable[[], str]) -> str:
        """The API of an environment's host; `look` asks the host for it if nobody knows.

        Who comes while somebody looks waits for that one. A look that has failed is not kept. What no caller would
        fare better with is raised for all who have waited for it (no connection); what Prism says to a caller is that
        one's alone, and the next looks with credentials of its own.
        """
        while True:
            finding, first = self._enter(_identity(environment))
            if first:
                return self._look(_identity(environment), finding, look)
            error = finding.exception()
            if error is None:
                return finding.result()
            if isinstance(error, ProviderError):
                raise error

    def forget(self, environment: Environment, api: str) -> None:
        """An API has proved to be gone; what somebody else has found meanwhile stays."""
        identity = _identity(environment)
        with self._lock:
            finding = self._findings.get(identity)
            if finding is not None and finding.done() and finding.result() == api:
                del self._findings[identity]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._findings.clear()

    def _enter(self, identity: Hashable) -> tuple[Future[str], bool]:
        with self._lock:
            finding = self._findings.get(identity)
            first = finding is None
            if finding is None:
                finding = self._findings[identity] = Future()
            self._findings.move_to_end(identity)
            while len(self._findings) > self._most:
                self._findings.popitem(last=False)
        return finding, first

    def _look(self, identity: Hashable, finding: Future[str], look: Callable[[], str]) -> str:
        try:
            api = look()
        except BaseException as error:
            with self._lock:
                if self._findings.get(identity) is finding:
                    del self._findings[identity]
            finding.set_exception(error)
            raise
        finding.set_result(api)
        return api


def _identity(environment: Environment) -> Hashable:
    """By what an environment is known again when the files are loaded anew."""
    return environment.name, environment.url, environment.tls_verify, environment.ca_file


KNOWN: Final = KnownAPIs()
