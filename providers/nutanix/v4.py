"""Prism Central by its APIs v4.0: https://developers.nutanix.com/api-reference?namespace=vmm&version=v4.0."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar

from providers.http import Effect
from providers.nutanix.answers import Answer, PrismError
from providers.nutanix.client import Check, PrismClient, changed_since
from providers.nutanix.history import PastTask, shows_no_use, shows_only_creation
from providers.nutanix.naming import CLUSTERS, NETWORKING, TASKS, VMM, quoted, with_query
from providers.nutanix.pages import Pace, all_pages, total_of
from providers.nutanix.records import Action, Image, Machine, NewMachine, Place, Submitted, TaskState
from providers.nutanix.session import PrismSession
from providers.nutanix.shapes_v4 import (
    described,
    image_of,
    machine_of,
    network_of,
    new_vm,
    past_task_of,
    place_of,
    task_id,
    task_of,
)
from providers.nutanix.site import is_uuid

PAGE: Final = 100
# How often an action is tried anew with the ETag of a VM that has changed since it was looked at.
FRESH_TRIES: Final = 3

_VMS: Final = f"{VMM}/ahv/config/vms"
_SELECTED: Final = (
    "extId,name,description,powerState,cluster/extId,numSockets,numCoresPerSocket,numThreadsPerCore,memorySizeBytes,"
    "createTime,nics,source"
)
_ACTIONS: Final[Mapping[Action, str]] = {
    Action.ON: "power-on",
    Action.OFF: "power-off",
    Action.SHUTDOWN: "shutdown",
    Action.REBOOT: "reboot",
    Action.RESET: "reset",
}

T = TypeVar("T")


class CentralClient(PrismClient):
    """A Prism Central of pc.2024.3 or newer."""

    name: ClassVar[str] = "v4"
    host: ClassVar[str] = "pc"
    on: ClassVar[str] = "ON"
    off: ClassVar[str] = "OFF"
    remembers_requests: ClassVar[bool] = True
    create_operation: ClassVar[str] = "v4 POST /ahv/config/vms"
    update_operation: ClassVar[str] = "v4 PUT /ahv/config/vms/{extId}"
    delete_operation: ClassVar[str] = "v4 DELETE /ahv/config/vms/{extId}"
    get_operation: ClassVar[str] = "v4 GET /ahv/config/vms/{extId}"

    def __init__(self, session: PrismSession) -> None:
        super().__init__(session)
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)

    def list_vms(self, cluster: str = "", name: str = "") -> list[Machine]:
        """See `PrismClient`. One call for each hundred VMs."""
        wanted = {"cluster/extId": cluster, "name": name}
        return self._list(_VMS, machine_of, wanted, {"$select": _SELECTED})

    def prove(self) -> None:
        """See `PrismClient`. One VM."""
        self._page(_VMS, {"$page": 0, "$limit": 1, "$select": "extId"}).read(lambda said: said["metadata"])

    def get_vm(self, vm_id: str) -> Machine:
        """See `PrismClient`."""
        return self._seen(vm_id)[0]

    def create_vm(self, new: NewMachine) -> Submitted:
        """See `PrismClient`."""
        headers = {"NTNX-Request-Id": new.request}
        return Submitted(self._session.ask("POST", _VMS, new_vm(new), headers).read(task_id))

    def power(self, vm_id: str, action: Action, check: Check | None = None, again: str = "") -> str:
        """See `PrismClient`."""
        return self._changed(vm_id, "POST", f"/$actions/{_ACTIONS[action]}", check, again)

    def power_operation(self, action: Action) -> str:
        """See `PrismClient`."""
        return f"v4 POST /ahv/config/vms/{{extId}}/$actions/{_ACTIONS[action]}"

    def delete_vm(self, vm_id: str, check: Check | None = None) -> str:
        """See `PrismClient`."""
        return self._changed(vm_id, "DELETE", "", check)

    def task(self, task_id: str) -> TaskState:
        """See `PrismClient`."""
        return self._session.ask("GET", f"{TASKS}/config/tasks/{quoted(task_id)}").read(task_of)

    def is_untouched(self, machine: Machine) -> bool:
        """See `PrismClient`. One call."""
        return shows_only_creation(self._history(machine), machine.notes.claims)

    def has_never_run(self, machine: Machine) -> bool:
        """See `PrismClient`. One call."""
        return shows_no_use(self._history(machine), machine.notes.claims)

    def describe(self, machine: Machine, description: str, *, start: bool) -> str:  # noqa: ARG002 # see `starts`
        """See `PrismClient`."""
        answer = self._session.ask("GET", f"{_VMS}/{quoted(machine.id)}")
        if answer.read(lambda said: machine_of(said["data"])).description != machine.description:
            raise changed_since(machine.id)
        body = answer.read(lambda said: described(said["data"], description))
        headers = {"If-Match": answer.etag, "NTNX-Request-Id": _request_id("", 0)}
        return self._session.ask("PUT", f"{_VMS}/{quoted(machine.id)}", body, headers).read(task_id)

    def _history(self, machine: Machine) -> list[PastTask]:
        """Return a VM's tasks, none if there are too many."""
        condition = f"entitiesAffected/any(a:a/extId eq '{_escaped(machine.id)}')"
        answer = self._page(f"{TASKS}/config/tasks", {"$page": 0, "$limit": PAGE, "$filter": condition})
        tasks = answer.read(lambda said: [past_task_of(one) for one in said.get("data") or ()])
        return tasks if len(tasks) < PAGE else []

    def images(self, wanted: str) -> list[Image]:
        """See `PrismClient`."""
        path = f"{VMM}/content/images"
        if not is_uuid(wanted):
            return self._list(path, image_of, {"name": wanted}, {})
        return self._if_there(
            lambda: self._session.ask("GET", f"{path}/{quoted(wanted)}").read(lambda said: image_of(said["data"]))
        )

    def networks(self) -> list[Place]:
        """See `PrismClient`."""
        return self._list(f"{NETWORKING}/config/subnets", network_of, {}, {})

    def clusters(self) -> list[Place]:
        """See `PrismClient`. A Central is a cluster of its own, on which no VM can be."""
        found = self._list(f"{CLUSTERS}/config/clusters", place_of, {}, {})
        return [place for place in found if place is not None]

    def _list(
        self, path: str, read: Callable[[Mapping[str, Any]], T], wanted: Mapping[str, str], query: Mapping[str, str]
    ) -> list[T]:
        """All of a kind of which each of `wanted` is true, where it is not blank."""
        conditions = [f"{name} eq '{_escaped(value)}'" for name, value in wanted.items() if value]
        common: dict[str, str | int] = {"$limit": PAGE, **query}
        if conditions:
            common["$filter"] = " and ".join(conditions)

        def fetch(number: int) -> tuple[list[T], int]:
            answer = self._page(path, {"$page": number, **common})
            # A list without entries has no data.
            entries = answer.read(lambda said: [read(one) for one in said.get("data") or ()])
            before, found = number * PAGE, len(entries)
            return entries, answer.read(lambda said: total_of(said, "totalAvailableResults", before, PAGE, found))

        return all_pages(fetch, PAGE)

    def _page(self, path: str, query: dict[str, str | int]) -> Answer:
        """One page of a list, as soon as that list's rate allows."""
        pace = self._paces[path]
        with pace.turn():
            answer = self._session.ask("GET", with_query(path, query))
            pace.learn(answer.rate)
        return answer

    def _seen(self, vm_id: str) -> tuple[Machine, str]:
        """A VM and its ETag."""
        answer = self._session.ask("GET", f"{_VMS}/{quoted(vm_id)}")
        return answer.read(lambda said: machine_of(said["data"])), answer.etag

    def _changed(self, vm_id: str, method: str, ending: str, check: Check | None, again: str = "") -> str:
        """The task of a change to a VM as it was just seen; where it has changed since, it is seen again."""
        for tries_left in reversed(range(FRESH_TRIES + 1)):
            machine, etag = self._seen(vm_id)
            if check is not None:
                check(machine)
            # Without one Prism says so itself; a blank one would be taken for a stale one, and be tried again.
            match = {"If-Match": etag} if etag else {}
            headers = {**match, "NTNX-Request-Id": _request_id(again, tries_left)}
            try:
                answer = self._session.ask(
                    method, f"{_VMS}/{quoted(vm_id)}{ending}", None, headers, effect=Effect.REPEATABLE
                )
                return answer.read(task_id)
            except PrismError as error:
                if error.status != 412 or not tries_left:
                    raise
        raise AssertionError(vm_id)


def _request_id(again: str, tries_left: int) -> str:
    """The id of a request; by one that it knows already Prism gives the task that it has made then."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cloudvm:{again}:{tries_left}") if again else uuid.uuid4())


def _escaped(value: str) -> str:
    """A value between the quotation marks of OData."""
    return value.replace("'", "''")
