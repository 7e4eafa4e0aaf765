"""Prism Element by its API v2.0: https://www.nutanix.dev/reference/prism_element/v2/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from providers.http import Effect
from providers.nutanix.answers import PrismError
from providers.nutanix.client import Check, PrismClient
from providers.nutanix.history import PastTask, shows_no_use, shows_only_creation, was_made
from providers.nutanix.naming import V2, quoted
from providers.nutanix.records import (
    Action,
    Image,
    Machine,
    NewMachine,
    Place,
    Submitted,
    TaskState,
    TaskStatus,
    cpus_of,
)

# How many tasks are asked for; a longer history is not judged.
MOST_TASKS: Final = 500

_TRANSITIONS: Final[Mapping[Action, str]] = {
    Action.ON: "ON",
    Action.RESUME: "RESUME",
    Action.OFF: "OFF",
    Action.SHUTDOWN: "ACPI_SHUTDOWN",
    Action.REBOOT: "ACPI_REBOOT",
    Action.RESET: "RESET",
}
# `progress_status` is described in capitals and comes as `Succeeded`.
_STATUSES: Final[Mapping[str, TaskStatus]] = {
    "SUCCEEDED": TaskStatus.SUCCEEDED,
    "FAILED": TaskStatus.FAILED,
    "ABORTED": TaskStatus.FAILED,
}


class ElementClient(PrismClient):
    """One cluster."""

    name: ClassVar[str] = "v2"
    host: ClassVar[str] = "pe"
    on: ClassVar[str] = "on"
    off: ClassVar[str] = "off"
    resumes: ClassVar[bool] = True
    create_operation: ClassVar[str] = "v2.0 POST /vms"
    update_operation: ClassVar[str] = "v2.0 PUT /vms/{uuid}"
    delete_operation: ClassVar[str] = "v2.0 DELETE /vms/{uuid}"
    get_operation: ClassVar[str] = "v2.0 GET /vms/{uuid}"

    def list_vms(self, cluster: str = "", name: str = "") -> list[Machine]:  # noqa: ARG002 # one cluster, one list
        """See `PrismClient`. All in one answer, without NICs, which would cost Prism a look-up for each VM."""
        return self._session.ask("GET", f"{V2}/vms").read(lambda said: [_machine(one) for one in said["entities"]])

    def prove(self) -> None:
        """See `PrismClient`. The whole list, which comes in one answer."""
        self.list_vms()

    def get_vm(self, vm_id: str) -> Machine:
        """See `PrismClient`."""
        return self._session.ask("GET", f"{V2}/vms/{quoted(vm_id)}?include_vm_nic_config=true").read(_machine)

    def create_vm(self, new: NewMachine) -> Submitted:
        """See `PrismClient`."""
        return Submitted(self._session.ask("POST", f"{V2}/vms", new_vm(new)).read(_task_id))

    def power(self, vm_id: str, action: Action, check: Check | None = None, again: str = "") -> str:  # noqa: ARG002
        """See `PrismClient`."""
        path = f"{V2}/vms/{quoted(vm_id)}/set_power_state"
        body = {"transition": _TRANSITIONS[action]}
        # The task of a second start fails, and is known to mean that the VM runs.
        effect = Effect.REPEATABLE if action is Action.ON else Effect.CHANGE
        return self._session.ask("POST", path, body, effect=effect).read(_task_id)

    def power_operation(self, action: Action) -> str:  # noqa: ARG002 # one for all
        """See `PrismClient`."""
        return "v2.0 POST /vms/{uuid}/set_power_state"

    def delete_vm(self, vm_id: str, check: Check | None = None) -> str:
        """See `PrismClient`. Its snapshots go with it: they would keep its disks."""
        if check is not None:
            check(self.get_vm(vm_id))
        return self._session.ask("DELETE", f"{V2}/vms/{quoted(vm_id)}?delete_snapshots=true").read(_task_id)

    def task(self, task_id: str) -> TaskState:
        """See `PrismClient`."""
        return self._session.ask("GET", f"{V2}/tasks/{quoted(task_id)}").read(_task)

    def is_untouched(self, machine: Machine) -> bool:
        """See `PrismClient`. One call."""
        return shows_only_creation(self._history(machine), machine.notes.claims)

    def has_never_run(self, machine: Machine) -> bool:
        """See `PrismClient`. One call."""
        return shows_no_use(self._history(machine), machine.notes.claims)

    def describe(self, machine: Machine, description: str, *, start: bool) -> str:  # noqa: ARG002 # see `starts`
        """See `PrismClient`. The task fails if the VM has changed since."""
        body = {"description": description, "vm_logical_timestamp": machine.version}
        wanted = {name: value for name, value in body.items() if value is not None}
        return self._session.ask("PUT", f"{V2}/vms/{quoted(machine.id)}", wanted).read(_task_id)

    def of_key(self, key: str, cluster: str = "", own: str = "") -> list[Machine]:
        """See `PrismClient`. A call for each VM that may be a copy, which v2.0 tells by its tasks only.

        A VM whose creation Prism has forgotten counts only where no other is known to be no copy.
        """
        found = super().of_key(key, cluster, own)
        origins = {machine.id: machine.id in {own, machine.notes.vm_id} or self._was_made(machine) for machine in found}
        known = [machine for machine in found if origins[machine.id]]
        return known or [machine for machine in found if origins[machine.id] is None]

    def _was_made(self, machine: Machine) -> bool | None:
        """Whether a VM's tasks show that it is no copy; None if they are forgotten, or not shown to the caller."""
        try:
            return was_made(self._history(machine))
        except PrismError as error:
            if error.status in {403, 404}:
                return None
            raise

    def _history(self, machine: Machine) -> list[PastTask]:
        """Return a VM's tasks, none if there are too many."""
        tasks = self._tasks(
            {"entity_list": [{"entity_id": machine.id, "entity_type": "VM"}], "include_completed": True}
        )
        about = [_past_task(one) for one in tasks if machine.id in _vms_of(one)]
        return about if len(tasks) < MOST_TASKS else []

    def has_creates_under_way(self) -> bool:
        """See `PrismClient`. One call; a create that is queued does not tell its VM."""
        under_way = [_past_task(one) for one in self._tasks({"include_completed": False})]
        return any(task.is_creation and task.status is TaskStatus.RUNNING for task in under_way)

    def _tasks(self, wanted: Mapping[str, object]) -> list[Mapping[str, Any]]:
        answer = self._session.ask("POST", f"{V2}/tasks/list", {"count": MOST_TASKS, **wanted})
        return answer.read(lambda said: list(said["entities"]))

    def images(self, wanted: str) -> list[Image]:  # noqa: ARG002 # one list
        """See `PrismClient`."""
        return self._session.ask("GET", f"{V2}/images").read(lambda said: [_image(one) for one in said["entities"]])

    def networks(self) -> list[Place]:
        """See `PrismClient`."""
        return self._session.ask("GET", f"{V2}/networks").read(
            lambda said: [Place(str(one["uuid"]), str(one["name"])) for one in said["entities"]]
        )

    def clusters(self) -> list[Place]:
        """See `PrismClient`."""
        return []


def new_vm(new: NewMachine) -> dict[str, Any]:
    """The body that asks for a VM. User data is plain text here: base64 would reach the guest as it is."""
    clone: dict[str, Any] = {"disk_address": {"vmdisk_uuid": new.image.disk}}
    if new.disk_bytes:
        clone["minimum_size"] = new.disk_bytes
    if new.container:
        clone["storage_container_uuid"] = new.container
    body: dict[str, Any] = {
        "name": new.name,
        "description": new.description,
        "num_vcpus": new.cpus,
        "num_cores_per_vcpu": 1,
        "memory_mb": new.memory_mib,
        "vm_disks": [
            {
                "is_cdrom": False,
                "disk_address": {"device_bus": "SCSI", "device_index": 0},
                "vm_disk_clone": clone,
            }
        ],
        "vm_nics": [{"network_uuid": new.network}],
    }
    if new.user_data is not None:
        body["vm_customization_config"] = {"datasource_type": "CONFIG_DRIVE_V2", "userdata": new.user_data.decode()}
    return body


def _machine(said: Mapping[str, Any]) -> Machine:
    return Machine(
        id=str(said["uuid"]),
        name=str(said.get("name") or ""),
        word=str(said.get("power_state") or "unknown"),
        description=str(said.get("description") or ""),
        cpus=cpus_of(said.get("num_vcpus"), said.get("num_cores_per_vcpu")),
        memory_mib=int(said["memory_mb"]) if said.get("memory_mb") is not None else None,
        version=said.get("vm_logical_timestamp"),
        ip_addresses=tuple(str(nic["ip_address"]) for nic in said.get("vm_nics") or () if nic.get("ip_address")),
    )


def _task_id(said: Mapping[str, Any]) -> str:
    return str(said["task_uuid"])


def _status(said: Mapping[str, Any]) -> TaskStatus:
    return _STATUSES.get(str(said["progress_status"]).upper(), TaskStatus.RUNNING)


def _vms_of(said: Mapping[str, Any]) -> list[str]:
    """Return the ids of the VMs that a task is about."""
    about = (one for one in said.get("entity_list") or () if str(one.get("entity_type")).upper() == "VM")
    return [str(one["entity_id"]) for one in about if one.get("entity_id")]


def _past_task(said: Mapping[str, Any]) -> PastTask:
    operation, parent = said.get("operation_type"), said.get("parent_task_uuid")
    return PastTask(str(said["uuid"]), str(operation or ""), _status(said), str(parent or ""))


def _task(said: Mapping[str, Any]) -> TaskState:
    response = said.get("meta_response") or {}
    return TaskState(
        status=_status(said),
        vm_id=next(iter(_vms_of(said)), ""),
        code=str(response.get("error_code") or ""),
        message=str(response.get("error_detail") or said.get("message") or ""),
    )


def _image(said: Mapping[str, Any]) -> Image:
    usable = not said.get("deleted") and str(said.get("image_state") or "ACTIVE").upper() == "ACTIVE"
    return Image(
        id=str(said["uuid"]),
        name=str(said.get("name") or ""),
        is_disk=usable and bool(said.get("vm_disk_id")) and str(said.get("image_type")).upper() != "ISO_IMAGE",
        disk=str(said.get("vm_disk_id") or ""),
        size_bytes=int(said["vm_disk_size"]) if said.get("vm_disk_size") is not None else None,
    )
