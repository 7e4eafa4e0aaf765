"""Which Prism a host is, and which of the three APIs is spoken with it."""

from __future__ import annotations

from typing import Final

from providers.nutanix.answers import answer_of
from providers.nutanix.client import PrismClient
from providers.nutanix.naming import V2, VMM_INFO
from providers.nutanix.session import PrismSession
from providers.nutanix.v2 import ElementClient
from providers.nutanix.v3 import IntentClient
from providers.nutanix.v4 import CentralClient

_CLIENTS: Final[dict[str, type[PrismClient]]] = {
    client.name: client for client in (ElementClient, IntentClient, CentralClient)
}


def client_of(api: str, session: PrismSession) -> PrismClient:
    """A client that speaks an API."""
    return _CLIENTS[api](session)


def found_api(session: PrismSession) -> str:
    """The newest API that the host speaks. One call, or two to a Prism Central.

    `cluster_functions` of v2.0's `GET /cluster` has MULTICLUSTER on a Central. To a caller who may not see that,
    or on a Central that knows no v2.0 any more, a header says it.
    """
    response = session.send("GET", f"{V2}/cluster")
    kind = response.headers.get("X-Ntnx-Env", "").lower()
    if response.ok or response.status_code == 401 or kind not in {"pc", "pe"}:
        functions = answer_of(response).read(lambda said: [str(one) for one in said["cluster_functions"]])
        kind = "pc" if "MULTICLUSTER" in functions else "pe"
    if kind == "pe":
        return "v2"
    info = session.send("OPTIONS", VMM_INFO)
    if info.status_code in {404, 405}:
        return "v3"
    # To whom the host does not show its version it has said that it has one: lists take no more rights than that.
    if info.status_code != 403:
        answer_of(info)
    return "v4"
