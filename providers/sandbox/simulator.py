"""What every simulator's face has: started and stopped, given faults, its calls counted."""

from abc import ABC, abstractmethod
from typing import Self
from wsgiref.types import WSGIApplication

from providers.sandbox.authority import Authority
from providers.sandbox.faults import Calls, Faults
from providers.sandbox.server import Server


class Simulator(ABC):
    """A cloud at `url`, from `start` to `stop`; may be used as a context manager.

    `faults` is what goes wrong from now on, `calls` what was called, `server` the socket.
    """

    server: Server

    def __init__(self) -> None:
        self.faults = Faults()
        self.calls = Calls()

    def be_served(
        self,
        application: WSGIApplication,
        authority: Authority | None,
        port: int,
        requests_per_connection: int | None = None,
    ) -> None:
        """Give it its socket: with TLS if there is an authority, on a free port if `port` is 0."""
        self.server = Server(
            application,
            port=port,
            ssl_context=authority.server_context() if authority else None,
            requests_per_connection=requests_per_connection,
        )

    def start(self) -> Self:
        """Serve; on return `url` answers."""
        self.server.start()
        return self

    def stop(self) -> None:
        """End every connection and thread; calls that are being delayed are dropped."""
        self.faults.clear()
        self.server.stop()

    @property
    def url(self) -> str:
        """The address for an environment's `url`, such as `https://127.0.0.1:8006`."""
        return self.server.url

    @abstractmethod
    def reset(self) -> None:
        """Everything as at the start: what was there, no fault, no knob turned, no call counted."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()
