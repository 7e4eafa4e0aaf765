"""What the verbs mean on a Prism, whichever of its APIs is spoken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final
from weakref import WeakValueDictionary

from providers.domain import VM, LeftoverResource, Manner, Operation, Verb, VMSpec, VMStatus
from providers.driver import Work
from providers.errors import AlreadyInStateError, TemporaryConflictError
from providers.nutanix.client import Check, PrismClient
from providers.nutanix.creation import Creation
from providers.nutanix.failures import not_found
from providers.nutanix.leftovers import Leftovers
from providers.nutanix.lookups import Lookups
from providers.nutanix.progress import Progress, not_running
from providers.nutanix.recipe import check_user_data, recipe_for
from providers.nutanix.records import Action, Machine
from providers.nutanix.removal import Removal
from providers.nutanix.site import Site
from providers.nutanix.steps import Step

# How long a try may wait for another with the same key.
PATIENCE_SECONDS: Final = 60.0


class Verbs:
    """The verbs of one caller by one API; used by many threads at once. What each means stands in `Driver`.

    `api` is the API's name.
    """

    def __init__(self, site: Site, client: PrismClient) -> None:
        # A Prism Element has but one cluster, however it is called.
        self._site = site if client.host == "pc" else replace(site, cluster="")
        self._client = client
        self.api = client.name
        self._progress = Progress(client)
        self._lookups = Lookups(client, self._site)
        self._leftovers = Leftovers(client, self._list_in_scope)
        self._lock = threading.Lock()
        # Each as long as somebody has its turn, or waits for it.
        self._keys: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def list_vms(self) -> Iterator[VM]:
        """See `Driver`. VMs of all hosts, on or off; controller VMs and templates are in none of the APIs' lists."""
        return iter([machine.vm for machine in self._list_in_scope()])

    def _list_in_scope(self) -> list[Machine]:
        scope = self._lookups.scope()
        found = (machine for machine in self._client.list_vms(scope) if self._is_in(scope, machine))
        # A VM that is made while the pages are fetched moves others to the next one, where they are a second time.
        return list({machine.id: machine for machine in found}.values())

    def prove(self) -> None:
        """See `Driver`. One call."""
        self._client.prove()

    def get_vm(self, vm_id: str) -> VM:
        """See `Driver`. One call."""
        machine = self._client.get_vm(vm_id)
        self._check_scope(machine, self._client.get_operation)
        return machine.vm

    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        """See `Driver`."""
        check_user_data(self._client.name, spec.cloud_init)
        recipe = recipe_for(self._site, spec)
        creation = Creation(self._client, self._lookups, recipe, work)
        if not recipe.request_key:
            return creation.run()
        with self._turn(recipe.request_key):
            return creation.run_keyed()

    def start_vm(self, vm_id: str, work: Work) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. A paused or suspended VM is resumed, where the API can."""
        return self._power(Verb.START, vm_id, Action.ON)

    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. The guest is asked by ACPI: Nutanix's own guest shutdown needs its tools in the guest."""
        return self._power(Verb.STOP, vm_id, Action.OFF if manner.forced else Action.SHUTDOWN)

    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`."""
        return self._power(Verb.RESTART, vm_id, Action.RESET if manner.forced else Action.REBOOT)

    def delete_vm(self, vm_id: str, work: Work) -> Operation:
        """See `Driver`. Prism deletes a running VM, too; its disks go with it, that with the user data among them."""
        return Removal(self._client, work).vm(vm_id, self._scope_check(self._client.delete_operation))

    def remove_failed(self, vm_id: str, creation: str, work: Work) -> None:
        """Remove the VM of a create that failed when nobody was waiting for it. See `Removal.never_used`."""
        Removal(self._client, work).never_used(vm_id, creation)

    def list_leftovers(self) -> list[LeftoverResource]:
        """See `Driver`."""
        return list(self._leftovers.find())

    def remove_leftover(self, leftover: LeftoverResource, work: Work) -> None:
        """See `Driver`."""
        self._leftovers.remove(leftover, work)

    def poll(self, operation: Operation) -> Operation:
        """See `Driver`."""
        seen = self._progress.look(operation)
        if seen.failure is not None and seen.verb is Verb.CREATE:
            self._lookups.forget()
        return seen

    def _power(self, verb: Verb, vm_id: str, action: Action) -> Operation:
        name = self._client.power_operation(action)

        def check(machine: Machine) -> None:
            self._check_scope(machine, name)
            if verb is not Verb.RESTART and machine.status is action.goal:
                raise AlreadyInStateError
            if verb is Verb.RESTART and machine.status in {VMStatus.STOPPED, VMStatus.SUSPENDED}:
                raise not_running(machine)

        return Operation(verb, vm_id, str(Step(action, self._client.power(vm_id, action, check))))

    def _scope_check(self, operation: str) -> Check | None:
        """A check that a VM is in the environment's cluster; None where there is no other."""
        if not self._site.cluster:
            return None
        return lambda machine: self._check_scope(machine, operation)

    def _check_scope(self, machine: Machine, operation: str) -> None:
        scope = self._lookups.scope()
        if not self._is_in(scope, machine):
            raise not_found(machine.id, operation)

    @staticmethod
    def _is_in(scope: str, machine: Machine) -> bool:
        """Whether a VM is in a cluster, as far as Prism tells; lists and verbs go by the same."""
        return not scope or machine.cluster in {"", scope}

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """One try with a key at a time."""
        with self._lock:
            turn = self._keys.setdefault(key, threading.Lock())
        if not turn.acquire(timeout=PATIENCE_SECONDS):
            raise TemporaryConflictError("Another request with this Idempotency-Key is still at work; try again later.")
        try:
            yield
        finally:
            turn.release()
