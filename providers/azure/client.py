"""How Azure Resource Manager is spoken to: the few calls that the driver needs, in JSON, by the SDK's pipeline.

The SDK's models cost twenty times what its JSON does, its retry policy repeats any refusal that has a Retry-After, its
poller sleeps for half a minute, and it registers resource providers by itself: its pipeline is used with none of these.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import orjson
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import HeadersPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.compute import ComputeManagementClient

from providers.azure.access import Access, EntraSession, OneHostSession, transport
from providers.azure.attachments import Disk, NetworkInterface, read_disk, read_nic
from providers.azure.failures import not_understood, refusal_of
from providers.azure.naming import operation_named, operation_of, vm_path
from providers.azure.records import Machine, read_machine
from providers.azure.site import Site
from providers.credentials import Credentials
from providers.domain import Environment
from providers.errors import BackendFailureError, BackendReply
from providers.headers import whole_number
from providers.http import HTTPSession
from providers.network import Network

# The official descriptions that requests are held to by tests.
COMPUTE_API: Final = "2024-07-01"
DISK_API: Final = "2024-03-02"
NETWORK_API: Final = "2024-05-01"

_VIEW: Final = {"$expand": "instanceView"}
_NEW_ONLY: Final = {"If-None-Match": "*"}
_NICS: Final = "providers/Microsoft.Network/networkInterfaces"
_DISKS: Final = "providers/Microsoft.Compute/disks"

# Both were recorded: the one of the resource manager, the other of the compute provider behind it.
_MISSING: Final = frozenset({"ResourceNotFound", "NotFound"})

S = TypeVar("S", bound=OneHostSession)


@dataclass(frozen=True)
class Answer:
    """One answer, and how it is spoken of."""

    operation: str
    host: str
    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def object(self) -> dict[str, Any]:
        """The answer's JSON.

        Raises:
            BackendFailureError: it is no JSON object.

        """
        try:
            found = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise not_understood(self.operation, self.host, self.status)
        return found

    @property
    def retry_after_seconds(self) -> float | None:
        """How long Azure asks to wait before the next look; 0 asks for no wait, and is no leave to go without."""
        return whole_number(self.headers.get("Retry-After", "")) or None


class AzureClient:
    """One resource group as one caller sees it; used by many threads at once.

    Everything raises azure-core's `HttpResponseError` for what Azure refuses, and what `HTTPSession` raises.
    """

    def __init__(self, site: Site, access: Access, sessions: tuple[HTTPSession, ...]) -> None:
        self._site = site
        self._access = access
        self._sessions = sessions
        self._host = urllib.parse.urlsplit(site.endpoints.management_url).netloc
        self._arm = ComputeManagementClient(
            access,
            site.subscription,
            base_url=site.endpoints.management_url,
            # Given, because the SDK would look for AZURE_CLOUD otherwise.
            cloud_setting=site.endpoints.cloud,
            transport=transport(sessions[0]),
            policies=[HeadersPolicy(), UserAgentPolicy("cloudvm", user_agent_overwrite=True, user_agent_use_env=False)],
        )

    @classmethod
    def open(cls, site: Site, environment: Environment, credentials: Credentials, network: Network) -> AzureClient:
        """A client with a token; one try."""
        arm = _session(OneHostSession, site.endpoints.management_url, environment, network)
        entra = _session(EntraSession, site.endpoints.authority_url, environment, network)
        try:
            access = Access(site, credentials, entra)
            access.get_token()
            return cls(site, access, (arm, entra))
        except BaseException:
            arm.close()
            entra.close()
            raise

    def list_machines(self) -> Iterator[Machine]:
        """All VMs of the resource group, without their power states; page by page."""
        return map(read_machine, self._pages(self._url(vm_path(self._site.group_path), COMPUTE_API)))

    def list_states(self) -> Iterator[Machine]:
        """All VMs of the subscription, with little more than their power states; page by page."""
        path = vm_path(f"/subscriptions/{self._site.subscription}")
        return map(read_machine, self._pages(self._url(path, COMPUTE_API, {"statusOnly": "true"})))

    def machine(self, name: str) -> Machine:
        """One VM with its power state.

        Raises:
            HttpResponseError: 404, among others.

        """
        return read_machine(self._send("GET", self._vm(name, query=_VIEW)).object())

    def machine_or_none(self, name: str) -> Machine | None:
        """The same; None where there is none."""
        try:
            return self.machine(name)
        except HttpResponseError as error:
            if is_missing(error):
                return None
            raise

    def create(self, name: str, body: Mapping[str, Any]) -> Answer:
        """Make a VM; one that exists is left as it is (412)."""
        return self._send("PUT", self._vm(name), body, _NEW_ONLY)

    def delete(self, name: str) -> Answer:
        """Delete a VM; 204 where there is none."""
        return self._send("DELETE", self._vm(name))

    def act(self, name: str, action: str, query: Mapping[str, str] | None = None) -> Answer:
        """Start, restart, deallocate or powerOff a VM."""
        return self._send("POST", self._vm(name, f"/{action}", query))

    def follow(self, link: str) -> Answer:
        """Look at an operation; `link` is a path with its query."""
        return self._send("GET", f"{self._site.endpoints.management_url}{link}")

    def link(self, url: str) -> str:
        """The path, with its query, of a link that Azure gave.

        Raises:
            BackendFailureError: it leads to another host.

        """
        parts = _split(url)
        # Some of Azure's links name the port of https, which is no other host.
        place = parts.netloc.lower().removesuffix(":443")
        if parts.scheme != "https" or place != self._host.lower().removesuffix(":443"):
            raise BackendFailureError(
                f"Azure at {self._host} gave a link to {parts.netloc or 'nowhere'}, which is not followed: credentials "
                "go to the environment's own endpoints only.",
                backend=BackendReply("Azure", operation_named("GET", parts.path)),
            )
        return urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))

    def list_nics(self) -> list[NetworkInterface]:
        """Return the resource group's network interfaces."""
        url = self._url(f"{self._site.group_path}/{_NICS}", NETWORK_API)
        return [read_nic(one) for one in self._pages(url)]

    def list_disks(self) -> list[Disk]:
        """Return the resource group's disks."""
        return [read_disk(one) for one in self._pages(self._url(f"{self._site.group_path}/{_DISKS}", DISK_API))]

    def disk_or_none(self, name: str) -> Disk | None:
        """Return a disk; None where there is none."""
        try:
            return read_disk(self._send("GET", self._disk(name)).object())
        except HttpResponseError as error:
            if is_missing(error):
                return None
            raise

    def delete_nic(self, name: str) -> Answer:
        """Delete a network interface; 204 where there is none."""
        return self._send("DELETE", self._url(f"{self._site.group_path}/{_NICS}/{_quoted(name)}", NETWORK_API))

    def delete_disk(self, name: str) -> Answer:
        """Delete a disk; 204 where there is none."""
        return self._send("DELETE", self._disk(name))

    def close(self) -> None:
        """Close the connections. A token cannot be given back: it ends by itself, after an hour or so."""
        self._arm.close()
        for session in self._sessions:
            session.close()

    def _pages(self, url: str) -> Iterator[dict[str, Any]]:
        """The items of a list, from its first page on."""
        seen: set[str] = set()
        while url:
            answer = self._send("GET", url)
            page = answer.object()
            items, following = page.get("value"), page.get("nextLink") or ""
            if not isinstance(items, list) or not all(isinstance(one, dict) for one in items) or url in seen:
                raise not_understood(answer.operation, answer.host)
            yield from items
            seen.add(url)
            url = f"{self._site.endpoints.management_url}{self.link(str(following))}" if following else ""

    def _vm(self, name: str, action: str = "", query: Mapping[str, str] | None = None) -> str:
        return self._url(f"{vm_path(self._site.group_path, name)}{action}", COMPUTE_API, query)

    def _disk(self, name: str) -> str:
        return self._url(f"{self._site.group_path}/{_DISKS}/{_quoted(name)}", DISK_API)

    def _url(self, path: str, version: str, query: Mapping[str, str] | None = None) -> str:
        asked = urllib.parse.urlencode({**(query or {}), "api-version": version}, safe="$")
        return f"{self._site.endpoints.management_url}{path}?{asked}"

    def _send(
        self, method: str, url: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One call; once more with a new token if Azure says that this one is too old."""
        token = self._access.get_token().token
        response = self._sent(method, url, body, headers, token)
        if response.status_code == 401 and self._access.renewed(token):
            response = self._sent(method, url, body, headers, self._access.get_token().token)
        if response.status_code >= 400:
            raise HttpResponseError(response=response)
        return Answer(
            operation_named(method, url), self._host, response.status_code, response.headers, response.content
        )

    def _sent(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        token: str,
    ) -> HttpResponse:
        sent = {"Accept": "application/json", "Authorization": f"Bearer {token}", **(headers or {})}
        # Braces would be taken for places to fill in.
        url = url.replace("{", "%7B").replace("}", "%7D")
        return self._arm.send_request(HttpRequest(method, url, headers=sent, json=body))


def is_missing(error: HttpResponseError) -> bool:
    """Whether Azure itself says that there is no such thing; not that there is no such resource group."""
    return error.status_code == 404 and not _MISSING.isdisjoint(refusal_of(error).codes)


def _session(kind: type[S], url: str, environment: Environment, network: Network) -> S:
    session = kind(replace(environment, url=url), network, operation_of)
    session.host = urllib.parse.urlsplit(url).netloc
    return session


def _split(url: str) -> urllib.parse.SplitResult:
    """The parts of a link; none of what is no URL at all."""
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:
        return urllib.parse.SplitResult("", "", "", "", "")


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
