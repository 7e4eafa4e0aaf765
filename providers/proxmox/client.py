"""How PVE is spoken to: the few calls that the driver needs, by proxmoxer over the project's own HTTP session.

proxmoxer's own session verifies by a flag of its own, gives up after five seconds, follows redirects and renews tickets
from any thread; its resources, which need none of that, are what is used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import requests
from proxmoxer.core import ProxmoxResource, ResourceException

from providers.credentials import Credentials
from providers.domain import Environment
from providers.errors import BackendFailureError, BackendReply, CredentialsRejectedError
from providers.http import HTTPSession
from providers.network import Network
from providers.proxmox.access import Access, Ticket, TicketAccess, TokenAccess, check_form
from providers.proxmox.answers import Answers
from providers.proxmox.failures import refusal_of, text_of, translate
from providers.proxmox.naming import API, Place, operation_of
from providers.proxmox.records import (
    Config,
    State,
    TaskState,
    read_addresses,
    read_config,
    read_state,
    read_task,
)

# A guest agent that does not answer holds PVE up for as long as PVE likes.
AGENT_SECONDS: Final = 5.0
OVERRULE: Final = "overrule-shutdown"
_AGENT_CALL: Final = "/agent/network-get-interfaces"
_UPID: Final = re.compile(r"UPID(:[^:\s/]+){5}:[^:\s/]*:[^:\s/]+:")
_LOG_IN: Final = "/access/ticket"

Options = Mapping[str, str | int]


@dataclass(frozen=True)
class Upload:
    """A file on its way."""

    name: str
    data: bytes = field(repr=False)


class ProxmoxClient:
    """One cluster as one caller sees it; used by many threads at once.

    Everything raises proxmoxer's `ResourceException` for what PVE refuses, with a `Refusal` as its `errors`, and what
    `HTTPSession` raises.
    """

    def __init__(self, session: _PveSession, url: str) -> None:
        self._session = session
        self._api = ProxmoxResource(base_url=f"{url}{API}", session=session, serializer=Answers())
        self._overrules = True

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> ProxmoxClient:
        """A client. A user's password buys a ticket at once; a token is not tried before it is needed.

        Raises:
            CredentialsRejectedError: the access key has not the form of one.

        """
        is_token = check_form(credentials)
        session = _PveSession(environment, network, operation_of)
        client = cls(session, environment.url.rstrip("/").removesuffix(API))
        try:
            session.access = TokenAccess(credentials) if is_token else TicketAccess(lambda: client.log_in(credentials))
        except BaseException:
            session.close()
            raise
        return client

    def log_in(self, credentials: Credentials) -> Ticket:
        """A new ticket for a user's password.

        Raises:
            CredentialsRejectedError: the password is wrong, or not enough.

        """
        try:
            answer = self._api.access.ticket.post(username=credentials.access_key, password=credentials.secret)
        except ResourceException as error:
            raise translate(error) from error
        ticket = Ticket(str(answer.get("ticket")), str(answer.get("CSRFPreventionToken")))
        if answer.get("NeedTFA") or not answer.get("ticket"):
            raise CredentialsRejectedError(
                f"The account {credentials.access_key} asks for a second factor, which this service cannot give. Make "
                "an API token for it (Datacenter, Permissions, API Tokens) and use that.",
                backend=BackendReply("Proxmox", "POST /access/ticket", status=200),
            )
        return ticket

    def list_vms(self, node: str) -> Iterator[State]:
        """A node's VMs and templates."""
        with _understood("GET /nodes/{node}/qemu"):
            yield from map(read_state, _list(self._api.nodes(node).qemu.get()))

    def state(self, place: Place) -> State:
        """A VM's state."""
        with _understood("GET /nodes/{node}/qemu/{vmid}/status/current"):
            return read_state(self._vm(place).status.current.get())

    def config(self, place: Place) -> Config:
        """A VM's configuration, with what waits for its next start."""
        with _understood("GET /nodes/{node}/qemu/{vmid}/config"):
            return read_config(self._vm(place).config.get())

    def addresses(self, place: Place, macs: frozenset[str]) -> tuple[str, ...]:
        """The addresses that the guest's agent tells of the VM's network devices."""
        with _understood("GET /nodes/{node}/qemu/{vmid}" + _AGENT_CALL):
            answer = self._vm(place).agent("network-get-interfaces").get()
            return read_addresses(_list(answer["result"]), macs)

    def node_of(self, vm_id: str) -> str | None:
        """The node that a VM is on; None when the cluster knows no VM of that id, or does not show it."""
        with _understood("GET /cluster/resources"):
            found = _list(self._api.cluster.resources.get(type="vm"))
            mine = (one for one in found if str(one.get("vmid")) == vm_id and one.get("type") == "qemu")
            return next((str(one["node"]) for one in mine), None)

    def next_id(self) -> int:
        """The lowest id that is free by now; it is reserved for nobody."""
        with _understood("GET /cluster/nextid"):
            return int(self._api.cluster.nextid.get())

    def confirm_free(self, vm_id: str) -> None:
        """Ask whether an id is free; PVE refuses the parameter when it is not."""
        self._api.cluster.nextid.get(vmid=vm_id)

    def create(self, place: Place, options: Options) -> str:
        """Make a VM; the UPID of the task."""
        return _upid(self._api.nodes(place.node).qemu.post(vmid=place.vm_id, **options))

    def clone(self, template: Place, new_id: str, options: Options) -> str:
        """Clone a template; the UPID of the task."""
        return _upid(self._vm(template).clone.post(newid=new_id, **options))

    def configure(self, place: Place, options: Options) -> None:
        """Change a VM's configuration, before the answer."""
        self._vm(place).config.put(**options)

    def resize(self, place: Place, slot: str, gib: int) -> str | None:
        """Grow a disk; the UPID of the task, None where PVE has done it before it answered (until 8.0)."""
        answer = self._vm(place).resize.put(disk=slot, size=f"{gib}G")
        return None if answer is None else _upid(answer)

    def power(self, place: Place, action: str, options: Options) -> str:
        """Start, stop, shutdown, reboot, reset or resume a VM; the UPID of the task.

        A stop goes before a shutdown that waits for the guest, where PVE can do that.
        """
        if action == "stop" and self._overrules:
            try:
                return _upid(self._vm(place).status.stop.post(**{OVERRULE: 1}))
            except ResourceException as error:
                if OVERRULE not in refusal_of(error).parameters:
                    raise
                # Unknown before 8.2, and not for VMs of the HA manager.
                self._overrules = "HA" in text_of(error)
        return _upid(self._vm(place).status(action).post(**options))

    def delete(self, place: Place) -> str:
        """Delete a VM with its disks, its backup jobs and its place in the HA manager; the UPID of the task."""
        return _upid(self._vm(place).delete(**{"purge": 1, "destroy-unreferenced-disks": 1}))

    def upload_iso(self, node: str, storage: str, name: str, data: bytes) -> str:
        """Upload an ISO image; the UPID of the task."""
        form: dict[str, object] = {"content": "iso", "filename": Upload(name, data)}
        return _upid(self._api.nodes(node).storage(storage).upload.post(**form))

    def delete_volume(self, node: str, volume: str) -> str | None:
        """Delete a volume; the UPID of the task, if it takes one."""
        storage = volume.partition(":")[0]
        answer = self._api.nodes(node).storage(storage).content(volume).delete()
        return None if answer is None else _upid(answer)

    def task(self, upid: str) -> TaskState:
        """Where a task stands."""
        with _understood("GET /nodes/{node}/tasks/{upid}/status"):
            return read_task(self._api.nodes(node_of_task(upid)).tasks(upid).status.get())

    def task_log(self, upid: str) -> list[str]:
        """What a task has said, line by line."""
        with _understood("GET /nodes/{node}/tasks/{upid}/log"):
            lines = _list(self._api.nodes(node_of_task(upid)).tasks(upid).log.get(limit=200))
            return [str(line.get("t", "")) for line in lines]

    def stop_task(self, upid: str) -> None:
        """Ask a task to end; PVE undoes what a create or a clone has made so far."""
        self._api.nodes(node_of_task(upid)).tasks(upid).delete()

    def close(self) -> None:
        """Close the connections. A ticket cannot be given back: it ends by itself, after two hours."""
        self._session.close()

    def _vm(self, place: Place) -> Any:
        return self._api.nodes(place.node).qemu(place.vm_id)


class _PveSession(HTTPSession):
    """The project's HTTP session as proxmoxer calls it, with the caller's proof on each request."""

    access: Access | None = None

    def request(  # type: ignore[override] # proxmoxer hands over these and no others
        self, method: str, url: str, data: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """One request; once more with another proof if PVE says that this one is too old."""
        access = None if url.endswith(_LOG_IN) else self.access
        asked = requests.Request(method, url, params=params, auth=access or _nobody, headers=_HEADERS, **_body(data))
        timeout = AGENT_SECONDS if url.endswith(_AGENT_CALL) else None
        response = self.send(self.prepare_request(asked), timeout=timeout)
        if response.status_code == 401 and access and access.renewed(response.request):
            return self.send(self.prepare_request(asked), timeout=timeout)
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


def node_of_task(upid: str) -> str:
    """The node that a task runs on (`UPID:node:…`)."""
    return upid.split(":", 2)[1]


def type_of_task(upid: str) -> str:
    """What a task does, such as `qmstart`, or `hastart` where the HA manager is only told."""
    return upid.split(":")[5]


def _list(answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, list):
        raise TypeError(f"a list was expected, not {type(answer).__name__}")
    return answer


def _upid(answer: Any) -> str:
    """The task that an answer names; whatever else it is, the work may have begun."""
    if isinstance(answer, str) and _UPID.fullmatch(answer):
        return answer
    failure = BackendFailureError("Proxmox VE accepted the work and named no task by which it could be followed.")
    failure.answer_lost = True
    raise failure


@contextmanager
def _understood(operation: str) -> Iterator[None]:
    """Whatever in an answer is not as PVE documents it is PVE's fault, or of what is between, and no crash."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise BackendFailureError(
            f"Proxmox VE answered {operation} with something that cannot be understood ({error}).",
            backend=BackendReply("Proxmox", operation, status=200),
        ) from error
