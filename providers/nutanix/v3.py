"""Prism Central by its API v3, for those before pc.2024.3: https://www.nutanix.dev/reference/prism_central/v3/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar

from providers.http import Effect
from providers.nutanix.answers import Answer, PrismError
from providers.nutanix.client import Check, PrismClient, changed_since
from providers.nutanix.naming import V3, quoted
from providers.nutanix.pages import all_pages, total_of
from providers.nutanix.records import Action, Image, Machine, NewMachine, Place, Submitted, TaskState
from providers.nutanix.shapes_v3 import (
    cluster_of,
    described,
    image_of,
    machine_of,
    network_of,
    new_vm,
    submitted_of,
    switched,
    task_id,
    task_of,
)
from providers.nutanix.site import is_uuid

PAGE: Final = 500
# `entity_version` of a VM that was just made, as a recorded Prism Central of 2024 shows it.
FIRST_VERSION: Final = 1

# The others are updates of the VM's specification.
_ACTIONS: Final[Mapping[Action, str]] = {
    Action.SHUTDOWN: "acpi_shutdown",
    Action.REBOOT: "acpi_reboot",
    Action.RESET: "reset",
}

T = TypeVar("T")


class IntentClient(PrismClient):
    """A Prism Central that is too old for v4."""

    name: ClassVar[str] = "v3"
    host: ClassVar[str] = "pc"
    on: ClassVar[str] = "ON"
    off: ClassVar[str] = "OFF"
    starts: ClassVar[bool] = True
    create_operation: ClassVar[str] = "v3 POST /vms"
    update_operation: ClassVar[str] = "v3 PUT /vms/{uuid}"
    delete_operation: ClassVar[str] = "v3 DELETE /vms/{uuid}"
    get_operation: ClassVar[str] = "v3 GET /vms/{uuid}"

    def list_vms(self, cluster: str = "", name: str = "") -> list[Machine]:
        """See `PrismClient`. One call for each 500 VMs; all clusters' VMs, of which those of one are returned."""
        found = self._list("vm", machine_of, f"vm_name=={name}" if name else "")
        return [machine for machine in found if not cluster or machine.cluster in {"", cluster}]

    def prove(self) -> None:
        """See `PrismClient`. One VM."""
        wanted = {"kind": "vm", "length": 1, "offset": 0}
        answer = self._session.ask("POST", f"{V3}/vms/list", wanted, effect=Effect.READ)
        answer.read(lambda said: said["entities"])

    def get_vm(self, vm_id: str) -> Machine:
        """See `PrismClient`."""
        return self._asked(vm_id).read(machine_of)

    def create_vm(self, new: NewMachine) -> Submitted:
        """See `PrismClient`."""
        return self._session.ask("POST", f"{V3}/vms", new_vm(new)).read(submitted_of)

    def power(self, vm_id: str, action: Action, check: Check | None = None, again: str = "") -> str:  # noqa: ARG002
        """See `PrismClient`.

        An update with the mechanism ACPI would wait for the guest, and let the update wait that cuts its power.
        """
        if action not in _ACTIONS:
            return self._switched(vm_id, action, check)
        if check is not None:
            check(self.get_vm(vm_id))
        return self._session.ask("POST", f"{V3}/vms/{quoted(vm_id)}/{_ACTIONS[action]}", {}).read(task_id)

    def power_operation(self, action: Action) -> str:
        """See `PrismClient`."""
        return f"v3 POST /vms/{{uuid}}/{_ACTIONS[action]}" if action in _ACTIONS else "v3 PUT /vms/{uuid}"

    def delete_vm(self, vm_id: str, check: Check | None = None) -> str:
        """See `PrismClient`."""
        if check is not None:
            check(self.get_vm(vm_id))
        return self._session.ask("DELETE", f"{V3}/vms/{quoted(vm_id)}").read(task_id)

    def task(self, task_id: str) -> TaskState:
        """See `PrismClient`."""
        return self._session.ask("GET", f"{V3}/tasks/{quoted(task_id)}").read(task_of)

    def is_untouched(self, machine: Machine) -> bool:
        """See `PrismClient`. No call: each change of a VM, by whichever API, raises its version."""
        return machine.version == FIRST_VERSION + machine.notes.claims

    def has_never_run(self, machine: Machine) -> bool:
        """See `PrismClient`. No call."""
        return self.is_untouched(machine)

    def describe(self, machine: Machine, description: str, *, start: bool) -> str:
        """See `PrismClient`. One update for both."""
        answer = self._asked(machine.id)
        if answer.read(machine_of).updates != machine.updates:
            raise changed_since(machine.id)
        body = answer.read(lambda said: described(said, description))
        return self._session.ask("PUT", f"{V3}/vms/{quoted(machine.id)}", switched(body, "ON") if start else body).read(
            task_id
        )

    def images(self, wanted: str) -> list[Image]:
        """See `PrismClient`."""
        if not is_uuid(wanted):
            # Filters have a grammar of their own, in which a name could mean something.
            return self._list("image", image_of, "")
        return self._if_there(lambda: self._session.ask("GET", f"{V3}/images/{quoted(wanted)}").read(image_of))

    def networks(self) -> list[Place]:
        """See `PrismClient`."""
        return self._list("subnet", network_of, "")

    def clusters(self) -> list[Place]:
        """See `PrismClient`. A Central is a cluster of its own, on which no VM can be."""
        return [place for place in self._list("cluster", cluster_of, "") if place is not None]

    def _list(self, kind: str, read: Callable[[Mapping[str, Any]], T], condition: str) -> list[T]:
        def fetch(number: int) -> tuple[list[T], int]:
            body = {"kind": kind, "length": PAGE, "offset": number * PAGE}
            wanted = {**body, "filter": condition} if condition else body
            answer = self._session.ask("POST", f"{V3}/{kind}s/list", wanted, effect=Effect.READ)
            entries = answer.read(lambda said: [read(one) for one in said.get("entities") or ()])
            before, found = number * PAGE, len(entries)
            return entries, answer.read(lambda said: total_of(said, "total_matches", before, PAGE, found))

        return all_pages(fetch, PAGE)

    def _asked(self, vm_id: str) -> Answer:
        return self._session.ask("GET", f"{V3}/vms/{quoted(vm_id)}")

    def _switched(self, vm_id: str, action: Action, check: Check | None) -> str:
        """The task of an update of a VM's power state; once more if the VM was changed since it was looked at."""
        try:
            return self._switched_once(vm_id, action, check)
        except PrismError as error:
            if error.status != 409:
                raise
            return self._switched_once(vm_id, action, check)

    def _switched_once(self, vm_id: str, action: Action, check: Check | None) -> str:
        answer = self._asked(vm_id)
        if check is not None:
            check(answer.read(machine_of))
        body = answer.read(lambda said: switched(said, "ON" if action is Action.ON else "OFF"))
        # A second one is refused because of the version that it names, and then the VM is looked at again.
        return self._session.ask("PUT", f"{V3}/vms/{quoted(vm_id)}", body, effect=Effect.REPEATABLE).read(task_id)
