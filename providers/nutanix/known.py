"""Which API each environment's host was found to speak: known to the whole process, whoever has found it out."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from providers.domain import Environment
from providers.findings import Findings

MOST_KNOWN: Final = 256


class KnownAPIs:
    """What was found, and no credential, cookie or connection of who found it."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._findings: Findings[Hashable, str] = Findings(most)

    def __len__(self) -> int:
        """Of how many environments something is known."""
        return len(self._findings)

    def find(self, environment: Environment, look: Callable[[], str]) -> str:
        """The API of an environment's host; `look` asks the host for it if nobody knows. See `Findings`.

        What no caller would fare better with is a `ProviderError` (no connection); what Prism says to a caller is not.
        """
        return self._findings.find(_identity(environment), look)

    def forget(self, environment: Environment, api: str) -> None:
        """An API has proved to be gone; what somebody else has found meanwhile stays."""
        self._findings.forget(_identity(environment), api)

    def clear(self) -> None:
        """Forget everything."""
        self._findings.clear()


def _identity(environment: Environment) -> Hashable:
    """By what an environment is known again when the files are loaded anew."""
    return environment.name, environment.url, environment.tls_verify, environment.ca_file


KNOWN: Final = KnownAPIs()
