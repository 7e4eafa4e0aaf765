"""What goes by between the driver and the simulator, written down."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from providers.sandbox.authority import Authority
from providers.sandbox.azure import AzureSandbox
from tests.support.between import Between, Passed
from tests.support.serving import serving


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went by; a body is JSON or None, a form's text stays text."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer_headers: dict[str, str]
    answer_body: Any


@dataclass
class Record:
    """What has gone by so far."""

    exchanges: list[Exchange] = field(default_factory=list)
    between: Between = field(init=False)

    @property
    def url(self) -> str:
        """Where the recorder listens."""
        return self.between.url

    @property
    def before(self) -> Callable[[str, str], None] | None:
        """What is called with method and path before a request is passed on; may be set."""
        return self.between.before

    @before.setter
    def before(self, call: Callable[[str, str], None] | None) -> None:
        self.between.before = call

    def sent(self, method: str, end: str = "") -> list[Exchange]:
        """The exchanges of a method whose path, without its query, ends so."""
        return [one for one in self.exchanges if one.method == method and one.path.partition("?")[0].endswith(end)]


@contextmanager
def recording(sandbox: AzureSandbox, authority: Authority) -> Iterator[Record]:
    """A recorder in front of the simulator; links of its answers lead back to the recorder."""
    record = Record()

    def passed(by: Passed) -> None:
        record.exchanges.append(
            Exchange(
                by.method, by.path, by.headers, _read(by.body), by.status, by.answer_headers, _read(by.answer_body)
            )
        )

    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    record.between = Between(sandbox.server.port, trusted, passed, authority.server_context())
    with serving(record.between):
        yield record


def _read(content: bytes) -> Any:
    if content[:1] in {b"{", b"["}:
        return json.loads(content)
    return content.decode() or None
