"""The environment's VMs with their states, by two lists side by side: Azure has none that tells both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Final

from azure.core.exceptions import HttpResponseError

from providers.azure.client import AzureClient
from providers.azure.records import Machine, shown
from providers.azure.scope import Scope
from providers.domain import VM

AT_ONCE: Final = 8


class Listing:
    """Lists VMs; one for each session, as it remembers what the caller may not do."""

    def __init__(self, client: AzureClient, scope: Scope) -> None:
        self._client = client
        self._scope = scope
        self._sees_subscription = True
        # For all requests of the session together: Azure counts a caller's calls.
        self._turns = threading.Semaphore(AT_ONCE)

    def vms(self) -> list[VM]:
        """All VMs of the region."""
        if self._sees_subscription:
            with ThreadPoolExecutor(1, thread_name_prefix="azure-list") as aside:
                states = aside.submit(copy_context().run, self._states)
                machines = self._machines()
            powers = states.result()
            if powers is not None:
                return [shown(machine, powers.get(machine.resource_id, machine.power)) for machine in machines]
        else:
            machines = self._machines()
        return self._one_by_one(machines)

    def _machines(self) -> list[Machine]:
        machines = list(self._client.list_machines())
        self._scope.saw_all(machines)
        return [machine for machine in machines if self._scope.holds(machine)]

    def _states(self) -> dict[str, str] | None:
        """The power states of the subscription's VMs by id; None for a caller who may not see them."""
        try:
            return {machine.resource_id: machine.power for machine in self._client.list_states()}
        except HttpResponseError as error:
            if error.status_code != 403:
                raise
            self._sees_subscription = False
            return None

    def _one_by_one(self, machines: list[Machine]) -> list[VM]:
        """Ask for each VM, a few at a time."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="azure-get") as pool:
            looks = [pool.submit(copy_context().run, self._look(machine.name)) for machine in machines]
            try:
                return [shown(machine) for look in looks for machine in look.result()]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _look(self, name: str) -> Callable[[], list[Machine]]:
        def look() -> list[Machine]:
            # One that was deleted since is no VM any more.
            with self._turns:
                machine = self._client.machine_or_none(name)
            return [machine] if machine else []

        return look
