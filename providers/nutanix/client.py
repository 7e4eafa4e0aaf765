"""What the driver needs of a Prism, whichever of the three APIs it speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

from providers.errors import TemporaryConflictError
from providers.nutanix.answers import PrismError
from providers.nutanix.records import Action, Image, Machine, NewMachine, Place, Submitted, TaskState
from providers.nutanix.session import PrismSession

T = TypeVar("T")

Check = Callable[[Machine], None]
"""Looks at a VM before it is changed, and raises what is against the change."""


class PrismClient(ABC):
    """One Prism as one caller sees it; used by many threads at once.

    Everything raises `PrismError` for what Prism refuses, and what `PrismSession` raises.

    Attributes:
        name: the API's name, as an environment's `api_version` says it.
        host: what `X-Ntnx-Env` says of a host that speaks the API.
        on: the API's own word for a VM that runs; `off` for one that does not.
        starts: whether a VM is started by its making.
        resumes: whether a paused or suspended VM can be resumed by the API.
        remembers_requests: whether a request with the id of an earlier one is answered with that one's task.
        create_operation, update_operation, delete_operation, get_operation: by which a VM is made, changed, deleted and
            shown.

    """

    name: ClassVar[str]
    host: ClassVar[str]
    on: ClassVar[str]
    off: ClassVar[str]
    starts: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    remembers_requests: ClassVar[bool] = False
    create_operation: ClassVar[str]
    update_operation: ClassVar[str]
    delete_operation: ClassVar[str]
    get_operation: ClassVar[str]

    def __init__(self, session: PrismSession) -> None:
        self._session = session
        session.expected = self.host

    @abstractmethod
    def list_vms(self, cluster: str = "", name: str = "") -> list[Machine]:
        """The VMs; of one cluster, if one is named. Those of other names may be left out if a name is given."""

    @abstractmethod
    def prove(self) -> None:
        """Ask for as little of a list of VMs as can be asked for; Prism shows it only to whom it knows."""

    @abstractmethod
    def get_vm(self, vm_id: str) -> Machine:
        """One VM."""

    @abstractmethod
    def create_vm(self, new: NewMachine) -> Submitted:
        """Begin to make a VM."""

    @abstractmethod
    def power(self, vm_id: str, action: Action, check: Check | None = None, again: str = "") -> str:
        """Begin to change a VM's power; the task.

        `check` is given the VM as it was just before, where the API has to be asked for it anyway. `again` is the task
        that failed and in whose place this is done: once, however often it is asked for, where the API can tell.
        """

    @abstractmethod
    def power_operation(self, action: Action) -> str:
        """The operation by which that is done."""

    @abstractmethod
    def delete_vm(self, vm_id: str, check: Check | None = None) -> str:
        """Begin to delete a VM with its disks; the task. `check` as with `power`, and always where it is given."""

    @abstractmethod
    def task(self, task_id: str) -> TaskState:
        """How far a task is."""

    @abstractmethod
    def is_untouched(self, machine: Machine) -> bool:
        """Whether Prism shows that nothing has been done to a VM since its creation, so that it has never run.

        That other tries with the same key have taken it over does not count.
        """

    @abstractmethod
    def has_never_run(self, machine: Machine) -> bool:
        """Whether Prism shows that a VM has never run; somebody may be at work on it just now."""

    @abstractmethod
    def describe(self, machine: Machine, description: str, *, start: bool) -> str:
        """Begin to change the description of a VM that is still as it was seen; the task.

        `start` also lets the VM run, where `starts` is true.

        Raises:
            TemporaryConflictError: somebody has changed the VM since.

        """

    def of_key(self, key: str, cluster: str = "", own: str = "") -> list[Machine]:
        """Return the VMs that tries with a key have made, without copies of them. `own` is known to be no copy."""
        return [machine for machine in self.list_vms(cluster) if machine.is_of_key(key) or machine.id == own]

    def has_creates_under_way(self) -> bool:
        """Whether a VM may still appear whose creation was accepted; False on APIs that show a VM at once."""
        return False

    @abstractmethod
    def images(self, wanted: str) -> list[Image]:
        """The images that may be the wanted one, by uuid or name."""

    @abstractmethod
    def networks(self) -> list[Place]:
        """The networks."""

    @abstractmethod
    def clusters(self) -> list[Place]:
        """The clusters that VMs can be on; none where there is but one and nobody has to name it."""

    @staticmethod
    def _if_there(look: Callable[[], T]) -> list[T]:
        """What a look at one thing shows; nothing where there is no such thing."""
        try:
            return [look()]
        except PrismError as error:
            if error.status == 404:
                return []
            raise

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def changed_since(vm_id: str) -> TemporaryConflictError:
    """Return the error of a change to a VM that somebody else has changed since it was seen."""
    return TemporaryConflictError(f"VM {vm_id} was changed at the same moment; try again.")
