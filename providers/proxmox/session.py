"""The project's HTTP session as proxmoxer calls it: the caller's proof on each request, and forms as PVE reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from providers.http import Effect, HTTPSession
from providers.proxmox.access import Access

# A guest agent that does not answer holds PVE up for as long as PVE likes.
AGENT_SECONDS: Final = 5.0
AGENT_CALL: Final = "/agent/network-get-interfaces"
_LOG_IN: Final = "/access/ticket"
_START: Final = "/status/start"


@dataclass(frozen=True)
class Upload:
    """A file on its way."""

    name: str
    data: bytes = field(repr=False)


class PveSession(HTTPSession):
    """The project's HTTP session as proxmoxer calls it, with the caller's proof on each request."""

    # A node answers so for another one.
    away_statuses = HTTPSession.away_statuses | {595, 596, 597, 598, 599}
    access: Access | None = None

    def request(  # type: ignore[override] # proxmoxer hands over these and no others
        self, method: str, url: str, data: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """One request; once more with another proof if PVE says that this one is too old.

        PVE can take each PUT twice: a disk is given its size, and a configuration its values. The task of a second
        start fails, and is known to mean that the VM runs.
        """
        access = None if url.endswith(_LOG_IN) else self.access
        asked = requests.Request(method, url, params=params, auth=access or _nobody, headers=_HEADERS, **_body(data))
        timeout = AGENT_SECONDS if url.endswith(AGENT_CALL) else None
        effect = Effect.REPEATABLE if method == "PUT" or url.endswith(_START) else Effect.CHANGE
        response = self.send(self.prepare_request(asked), effect=effect, timeout=timeout)
        if response.status_code == 401 and access and access.renewed(response.request):
            return self.send(self.prepare_request(asked), effect=effect, timeout=timeout)
        return response


_HEADERS: Final = {"Accept": "application/json", "User-Agent": "cloudvm"}


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _body(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """A form, or a form with a file: PVE reads the file last, and wants a type on each part."""
    if not data:
        return {}
    file = next((value for value in data.values() if isinstance(value, Upload)), None)
    if file is None:
        return {"data": data}
    fields = [(key, (None, str(value), "text/plain")) for key, value in data.items() if value is not file]
    return {"files": [*fields, ("filename", (file.name, file.data, "application/octet-stream"))]}
