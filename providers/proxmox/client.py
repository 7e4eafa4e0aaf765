"""How PVE is spoken to: the few calls that the driver needs, by proxmoxer over the project's own HTTP session.

proxmoxer's own session verifies by a flag of its own, gives up after five seconds, follows redirects and renews tickets
from any thread; its resources, which need none of that, are what is used here.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

from proxmoxer.core import ProxmoxResource, ResourceException

from providers.credentials import Credentials
from providers.domain import Environment
from providers.errors import BackendReply, CredentialsRejectedError
from providers.login_throttle import credentials_accepted
from providers.network import Network
from providers.proxmox.access import Ticket, TicketAccess, TokenAccess, check_form, read_ticket
from providers.proxmox.answers import Answers, entries, read, upid_of
from providers.proxmox.codes import VOLUME_HAS_NO_SIZE
from providers.proxmox.failures import refusal_of, text_of, translate
from providers.proxmox.inventory import PastTask, Privileges, Volume, read_past_task, read_privileges, read_volume
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
from providers.proxmox.session import AGENT_CALL, PveSession, Upload

LOG_IN: Final = "POST /access/ticket"
OVERRULE: Final = "overrule-shutdown"
# PVE keeps some thousands.
MOST_TASKS: Final = 100_000
GUEST_TASKS: Final = frozenset({"qmshutdown", "qmreboot"})
# What the list of snapshots calls the VM as it is now.
CURRENT: Final = "current"
_VM: Final = "/nodes/{node}/qemu/{vmid}"
_STORAGE: Final = "/nodes/{node}/storage/{storage}"

Options = Mapping[str, str | int]


class ProxmoxClient:
    """One cluster as one caller sees it; used by many threads at once.

    Everything raises proxmoxer's `ResourceException` for what PVE refuses, with a `Refusal` as its `errors`, and what
    `HTTPSession` raises.
    """

    def __init__(self, session: PveSession, url: str) -> None:
        self._session = session
        self._api = ProxmoxResource(base_url=f"{url}{API}", session=session, serializer=Answers())
        self._overrules = True

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> ProxmoxClient:
        """A client. A user's password buys a ticket at once; a token is not tried before it is needed.

        Raises:
            CredentialsUnusableError: the access key has not the form of one.

        """
        is_token = check_form(credentials)
        session = PveSession(environment, network, operation_of)
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
        if isinstance(answer, dict) and answer.get("NeedTFA"):
            raise CredentialsRejectedError(
                f"The account {credentials.access_key} asks for a second factor, which this service cannot give. Make "
                "an API token for it (Datacenter, Permissions, API Tokens) and use that.",
                backend=BackendReply("Proxmox", LOG_IN, status=200),
            )
        ticket = read(LOG_IN, lambda: read_ticket(answer))
        credentials_accepted()
        return ticket

    def list_vms(self, node: str) -> list[State]:
        """A node's VMs and templates."""
        found = self._api.nodes(node).qemu.get()
        return read("GET /nodes/{node}/qemu", lambda: [read_state(one) for one in entries(found)])

    def state(self, place: Place) -> State:
        """A VM's state."""
        answer = self._vm(place).status.current.get()
        return read(f"GET {_VM}/status/current", lambda: read_state(answer))

    def config(self, place: Place) -> Config:
        """A VM's configuration, with what waits for its next start."""
        answer = self._vm(place).config.get()
        return read(f"GET {_VM}/config", lambda: read_config(answer))

    def snapshots(self, place: Place) -> dict[str, Config]:
        """Return a VM's configurations as its snapshots keep them, by name; one call for each, and one more."""
        found = self._vm(place).snapshot.get()
        names = read(f"GET {_VM}/snapshot", lambda: [str(one["name"]) for one in entries(found)])
        answers = {name: self._vm(place).config.get(snapshot=name) for name in names if name != CURRENT}
        return read(f"GET {_VM}/config", lambda: {name: read_config(answer) for name, answer in answers.items()})

    def addresses(self, place: Place, macs: frozenset[str]) -> tuple[str, ...]:
        """The addresses that the guest's agent tells of the VM's network devices."""
        answer = self._vm(place).agent("network-get-interfaces").get()
        return read(f"GET {_VM}{AGENT_CALL}", lambda: read_addresses(entries(answer["result"]), macs))

    def node_of(self, vm_id: str) -> str | None:
        """The node that a VM is on; None when the cluster knows no VM of that id, or does not show it."""
        found = self._api.cluster.resources.get(type="vm")
        nodes = read(
            "GET /cluster/resources",
            lambda: [str(one["node"]) for one in entries(found) if (str(one["vmid"]), one["type"]) == (vm_id, "qemu")],
        )
        return next(iter(nodes), None)

    def places(self) -> list[Place]:
        """Return where the VMs and templates of the whole cluster are, as far as the caller may see them."""
        found = self._api.cluster.resources.get(type="vm")
        return read(
            "GET /cluster/resources",
            lambda: [Place(str(one["node"]), str(one["vmid"])) for one in entries(found) if one["type"] == "qemu"],
        )

    def privileges(self) -> Privileges:
        """Return what the caller may do, by path."""
        answer = self._api.access.permissions.get()
        return read("GET /access/permissions", lambda: read_privileges(answer))

    def next_id(self) -> int:
        """The lowest id that is free by now; it is reserved for nobody."""
        answer = self._api.cluster.nextid.get()
        return read("GET /cluster/nextid", lambda: int(answer))

    def confirm_free(self, vm_id: str) -> None:
        """Ask whether an id is free; PVE refuses the parameter when it is not."""
        self._api.cluster.nextid.get(vmid=vm_id)

    def create(self, place: Place, options: Options) -> str:
        """Make a VM; the UPID of the task."""
        return upid_of(self._api.nodes(place.node).qemu.post(vmid=place.vm_id, **options), "POST /nodes/{node}/qemu")

    def clone(self, template: Place, new_id: str, options: Options) -> str:
        """Clone a template; the UPID of the task."""
        return upid_of(self._vm(template).clone.post(newid=new_id, **options), f"POST {_VM}/clone")

    def configure(self, place: Place, options: Options) -> None:
        """Change a VM's configuration, before the answer."""
        self._vm(place).config.put(**options)

    def resize(self, place: Place, slot: str, gib: int) -> str | None:
        """Grow a disk; the UPID of the task, None where PVE has done it before it answered (until 8.0)."""
        answer = self._vm(place).resize.put(disk=slot, size=f"{gib}G")
        return None if answer is None else upid_of(answer, f"PUT {_VM}/resize")

    def power(self, place: Place, action: str, options: Options) -> str:
        """Start, stop, shutdown, reboot, reset or resume a VM; the UPID of the task.

        A stop goes before a shutdown that waits for the guest, where PVE can do that.
        """
        if action == "stop" and self._overrules:
            try:
                return upid_of(self._vm(place).status.stop.post(**{OVERRULE: 1}), f"POST {_VM}/status/stop")
            except ResourceException as error:
                if OVERRULE not in refusal_of(error).parameters:
                    raise
                # Unknown before 8.2, and not for VMs of the HA manager.
                self._overrules = "HA" in text_of(error)
        return upid_of(self._vm(place).status(action).post(**options), f"POST {_VM}/status/{action}")

    def delete(self, place: Place) -> str:
        """Delete a VM with its disks, its backup jobs and its place in the HA manager; the UPID of the task."""
        return upid_of(self._vm(place).delete(**{"purge": 1, "destroy-unreferenced-disks": 1}), f"DELETE {_VM}")

    def upload_iso(self, node: str, volume: str, data: bytes) -> str:
        """Upload an ISO image as a volume; the UPID of the task."""
        storage, _, name = volume.partition(":iso/")
        form: dict[str, object] = {"content": "iso", "filename": Upload(name, data)}
        return upid_of(self._api.nodes(node).storage(storage).upload.post(**form), f"POST {_STORAGE}/upload")

    def has_volume(self, node: str, volume: str) -> bool:
        """Whether there is a volume, as far as PVE tells. A storage that is offline looks empty."""
        try:
            self._api.nodes(node).storage(volume.partition(":")[0]).content(volume).get()
        except ResourceException as error:
            if VOLUME_HAS_NO_SIZE.search(text_of(error)):
                return False
            raise
        return True

    def isos(self, node: str, storage: str) -> list[Volume]:
        """Return the ISO images on a storage, as a node sees it."""
        found = self._api.nodes(node).storage(storage).content.get(content="iso")
        return read(f"GET {_STORAGE}/content", lambda: [read_volume(one) for one in entries(found)])

    def delete_volume(self, node: str, volume: str) -> str | None:
        """Delete a volume; the UPID of the task, if it takes one."""
        storage = volume.partition(":")[0]
        answer = self._api.nodes(node).storage(storage).content(volume).delete()
        return None if answer is None else upid_of(answer, f"DELETE {_STORAGE}/content/{{volume}}")

    def task(self, upid: str) -> TaskState:
        """Where a task stands."""
        answer = self._task(upid).status.get()
        return read("GET /nodes/{node}/tasks/{upid}/status", lambda: read_task(answer))

    def task_log(self, upid: str) -> list[str]:
        """What a task has said, line by line."""
        lines = self._task(upid).log.get(limit=200)
        return read("GET /nodes/{node}/tasks/{upid}/log", lambda: [str(line.get("t", "")) for line in entries(lines)])

    def tasks_of_guests(self, place: Place) -> list[str]:
        """The running tasks that wait for a VM's guest to shut down, as far as the caller may see them; their UPIDs."""
        running = self._api.nodes(place.node).tasks.get(source="active", vmid=place.vm_id)
        return read(
            "GET /nodes/{node}/tasks",
            lambda: [str(task["upid"]) for task in entries(running) if task.get("type") in GUEST_TASKS],
        )

    def later_task(self, place: Place, upid: str, kind: str) -> str | None:
        """The newest task of a type about a VM on a node that began after another task; None when there is none."""
        found = self._api.nodes(place.node).tasks.get(source="all", vmid=place.vm_id, typefilter=kind)
        later = read(
            "GET /nodes/{node}/tasks",
            lambda: [str(task["upid"]) for task in entries(found) if _is_later(str(task["upid"]), upid)],
        )
        return max(later, key=_begun, default=None)

    def tasks(self, node: str) -> list[PastTask]:
        """Return a node's tasks that the caller may see, the newest first."""
        found = self._api.nodes(node).tasks.get(source="all", limit=MOST_TASKS)
        return read("GET /nodes/{node}/tasks", lambda: [read_past_task(one) for one in entries(found)])

    def stop_task(self, upid: str) -> None:
        """Ask a task to end; PVE undoes what a create or a clone has made so far."""
        self._task(upid).delete()

    def close(self) -> None:
        """Close the connections. A ticket cannot be given back: it ends by itself, after two hours."""
        self._session.close()

    def _vm(self, place: Place) -> Any:
        return self._api.nodes(place.node).qemu(place.vm_id)

    def _task(self, upid: str) -> Any:
        # A user's name, which is a part of it, may hold signs that end a path.
        return self._api.nodes(node_of_task(upid)).tasks(urllib.parse.quote(upid, safe=":@!"))


def node_of_task(upid: str) -> str:
    """The node that a task runs on (`UPID:node:…`)."""
    return upid.split(":", 2)[1]


def _begun(upid: str) -> tuple[int, int]:
    """When a task began: in seconds, and as its node counts from its own start, which is finer."""
    _, _, _, process_start, seconds, _ = upid.split(":", 5)
    return int(seconds, 16), int(process_start, 16)


def _is_later(one: str, other: str) -> bool:
    if node_of_task(one) == node_of_task(other):
        return _begun(one) > _begun(other)
    return _begun(one)[0] >= _begun(other)[0]


def type_of_task(upid: str) -> str:
    """What a task does, such as `qmstart`, or `hastart` where the HA manager is only told."""
    return upid.split(":")[5]
