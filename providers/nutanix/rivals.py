"""VMs that several tries with one key have made at the same moment, in processes that know nothing of each other.

Neither v2.0 nor v3 documents anything atomic for it: of the `uuid` in v2.0's body of a create nothing is said, and v3
does not say what a second use of a uuid of `POST /idempotence_identifiers` comes to. So each try looks for others
when its own VM is there. Of two tries the later one to look sees both VMs, whichever was made first. A try
- that sees no other VM keeps its own;
- whose own VM was taken over, or runs before it has started it, keeps it: another try has found it alone, and
  answered with it;
- that sees one with a lower uuid, or one that was taken over or started so, removes its own;
- with the lowest uuid waits: the others remove theirs, unless they have looked before this VM was there, and
  stay. Then it is this one that goes.
So there are never two that stay. A try that finds several before it has made any waits until one is left.
"""

from __future__ import annotations

from typing import Final

from providers.domain import Operation, Verb, VMStatus
from providers.driver import Work
from providers.errors import NotOwnedError, TemporaryConflictError
from providers.nutanix.client import PrismClient
from providers.nutanix.records import Machine
from providers.nutanix.removal import Owner, Removal
from providers.nutanix.steps import SOLE, Step

# How long another try may take to make its VM, to look, and to remove it.
SETTLES_SECONDS: Final = 8.0


class Rivals:
    """Settles which of the VMs of a key stays, for one try."""

    def __init__(self, client: PrismClient, work: Work, key: str, creation: str) -> None:
        self._client = client
        self._work = work
        self._key = key
        self._owner = Owner(creation)
        self._removal = Removal(client, work)

    def survivor(self, vm_id: str) -> Machine | None:
        """The VM of another try, in whose favour this one's was removed; None if this one's stays.

        Raises:
            TemporaryConflictError: this one's was removed, and which of the others stays is not settled yet.

        """
        if self._stays(vm_id):
            return None
        self._work.forget(vm_id)
        try:
            self._removal.own(vm_id, self._owner)
        except NotOwnedError:
            # Another try is answered with this one.
            return self._client.get_vm(vm_id)
        left = self._client.get_vm(sole) if (sole := self._sole()) else None
        if left is None:
            raise TemporaryConflictError(
                "Other requests with this Idempotency-Key are at work at the same moment; try again."
            )
        return left

    def settle(self) -> None:
        """Wait until at most one VM of the key is left, for as long as that may take the tries that made them."""
        self._sole(2 * SETTLES_SECONDS)

    def _stays(self, vm_id: str) -> bool:
        made = self._client.of_key(self._key, own=vm_id)
        others = [one for one in made if one.id != vm_id]
        if not others or any(one.id == vm_id and self._is_kept(one) for one in made):
            return True
        if any(one.id < vm_id or self._is_kept(one) for one in others):
            return False
        return self._sole() == vm_id

    def _is_kept(self, machine: Machine) -> bool:
        """Whether a try is known to have found this VM alone: it has taken it over, or started it."""
        is_started = machine.status is VMStatus.RUNNING and not self._client.starts
        return is_started or machine.updates > 0 or machine.notes.claims > 0

    def _sole(self, seconds: float = SETTLES_SECONDS) -> str | None:
        """The id of the only VM of the key, as soon as there are no others; None if there is none or time is up."""
        step = Step(SOLE, mark=self._key, seconds_left=seconds)
        return self._work.finish(Operation(Verb.CREATE, None, str(step))).vm_id
