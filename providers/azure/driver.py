"""Azure: what the verbs mean in one resource group and region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Self

from azure.core.exceptions import HttpResponseError

from providers.azure.client import AzureClient
from providers.azure.creation import Creation
from providers.azure.failures import VENDOR_ERRORS, translate
from providers.azure.images import ImageSizes
from providers.azure.leftovers import Leftovers
from providers.azure.listing import Listing
from providers.azure.marks import Made
from providers.azure.naming import DEALLOCATE, DELETE, GET
from providers.azure.progress import Progress, Step, not_found
from providers.azure.recipe import recipe_for
from providers.azure.records import Machine, shown
from providers.azure.removal import Removal, is_unfinished
from providers.azure.scope import Scope
from providers.azure.site import Site, site_of
from providers.credentials import Credentials
from providers.domain import VM, Environment, LeftoverResource, Manner, Operation, Verb, VMSpec, VMStatus
from providers.driver import Driver, Work
from providers.errors import BackendReply, ConflictError, ProviderError
from providers.network import Network

_CUT = {"skipShutdown": "true"}


class AzureDriver(Driver):
    """The VMs of one resource group and region; ids are their names, in any case of letters."""

    vendor_errors: ClassVar[tuple[type[Exception], ...]] = VENDOR_ERRORS

    def __init__(self, environment: Environment, site: Site, client: AzureClient) -> None:
        self._environment = environment
        self._client = client
        self._progress = Progress(client)
        self._scope = Scope(site.region)
        self._listing = Listing(client, self._scope)
        self._leftovers = Leftovers(client, self._scope)
        self._sizes = ImageSizes()

    @classmethod
    def check_create(cls, environment: Environment, spec: VMSpec) -> None:
        """See `Driver`."""
        recipe_for(environment, spec)

    @classmethod
    def login_authority(cls, environment: Environment) -> str:
        """See `Driver`. The tenant, where it logs in."""
        site = site_of(environment)
        return f"{site.endpoints.authority_url}/{site.tenant}".lower()

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Self:
        """See `Driver`. Two calls to Entra ID: for its configuration and for a token."""
        site = site_of(environment)
        return cls(environment, site, AzureClient.open(site, environment, credentials, network))

    @classmethod
    def translate(cls, error: Exception) -> ProviderError:
        """See `Driver`."""
        return translate(error)

    def list_vms(self) -> list[VM]:
        """See `Driver`. Two calls side by side, and one for each further page.

        A caller who may not list the subscription costs one call for the group and one for each VM, eight at a time.
        """
        return self._listing.vms()

    def prove(self) -> None:
        """See `Driver`. One call, for the group's list alone."""
        next(iter(self._client.list_machines()), None)

    def get_vm(self, vm_id: str) -> VM:
        """See `Driver`. Addresses belong to network interfaces, and are not told here."""
        return shown(self._find(vm_id))

    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        """See `Driver`. Two calls: whether the name is free, and the VM with its interface and disk."""
        recipe = self._sizes.fitted(recipe_for(self._environment, spec))
        created = Creation(self._client, recipe, work, self._sizes).run()
        self._scope.saw(created.vm_id or spec.name)
        return created

    def start_vm(self, vm_id: str, work: Work) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. Azure itself makes a success of a VM that runs already."""
        return self._act(Verb.START, vm_id, "start", "running")

    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        """See `Driver`. The VM is deallocated, so that its compute is not paid for any more.

        Deallocation asks the guest itself, and Azure itself cuts the power of one that does not obey, after some
        minutes. Once Azure has begun with that it takes no other order: the end of the guest's time (`auto`) is then
        awaited, not shortened, and a caller who gives up (`graceful`) does not stop it. Only `force` cuts at once.
        https://azure.microsoft.com/blog/linux-and-graceful-shutdowns-2/
        """
        machine = self._cut_power(vm_id, work) if manner.forced else None
        if machine is not None:
            going = Operation(Verb.STOP, vm_id, str(Step(DEALLOCATE, goal="deallocated")))
            return replace(going, done=machine.power == "deallocated")
        return self._act(Verb.STOP, vm_id, "deallocate", "deallocated")

    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        """See `Driver`. By force: the power is cut and given back; Azure has no call for both.

        A restart that was asked of the guest takes no other order until it is over, as a stop does: its end is awaited
        beyond the guest's time (`poll`).
        """
        if not manner.forced:
            return self._act(Verb.RESTART, vm_id, "restart", "running")
        machine = self._find(vm_id)
        if shown(machine).status not in {VMStatus.RUNNING, VMStatus.STARTING, VMStatus.UNKNOWN}:
            raise _not_running(machine)
        gone = self._cut_power(vm_id, work)
        if gone is not None:
            raise _not_running(gone)
        return self._act(Verb.RESTART, vm_id, "start", "running")

    def delete_vm(self, vm_id: str, work: Work) -> Operation:  # noqa: ARG002 # one step
        """See `Driver`. Interface and disk go with the VM by their own delete options, which create has set."""
        self._check_here(vm_id)
        self._scope.forget(vm_id)
        answer = self._client.delete(vm_id)
        if answer.status == 204:
            raise not_found(vm_id, DELETE)
        return self._progress.begun(Verb.DELETE, vm_id, answer)

    def poll(self, operation: Operation) -> Operation:
        """See `Driver`."""
        seen = self._progress.look(operation)
        awaited = seen.verb is Verb.RESTART and seen.then_force
        return replace(seen, guest_until=None) if awaited else seen

    def promise_removal(self, operation: Operation, work: Work) -> None:
        """See `Driver`. A VM that may run is removed only shortly after its creation has failed."""
        creation = Step.read(operation.handle).creation
        if creation and operation.vm_id:
            made = Made(operation.vm_id, creation)
            Removal(self._client, work, made, lambda machine: not is_unfinished(machine)).promise()

    def list_leftovers(self) -> Iterator[LeftoverResource]:
        """See `Driver`. Three lists, and one call for each VM whose provisioning failed."""
        return self._leftovers.find()

    def remove_leftover(self, leftover: LeftoverResource, work: Work) -> None:
        """See `Driver`."""
        self._leftovers.remove(leftover, work)

    def close(self) -> None:
        """See `Driver`."""
        self._client.close()

    def _find(self, vm_id: str) -> Machine:
        """The VM, if it is one of the environment's."""
        machine = self._client.machine_or_none(vm_id)
        if machine is None or not self._scope.holds(machine):
            self._scope.forget(vm_id)
            raise not_found(vm_id, GET)
        self._scope.saw(vm_id)
        return machine

    def _check_here(self, vm_id: str) -> None:
        """See that a verb does not touch a VM of another region; a call only where nobody has looked lately."""
        if not self._scope.is_here(vm_id):
            self._find(vm_id)

    def _act(self, verb: Verb, vm_id: str, action: str, goal: str) -> Operation:
        self._check_here(vm_id)
        return self._progress.begun(verb, vm_id, self._client.act(vm_id, action), goal=goal)

    def _cut_power(self, vm_id: str, work: Work) -> Machine | None:
        """Cut the power; the VM, if nothing can be cut because it is deallocated, or being so."""
        self._check_here(vm_id)
        try:
            cut = self._progress.begun(Verb.STOP, vm_id, self._client.act(vm_id, "powerOff", _CUT), goal="stopped")
        except HttpResponseError as error:
            # "not allowed on a virtual machine that is being deallocated or already has been deallocated":
            # https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-set-vms/power-off
            machine = self._find(vm_id) if error.status_code == 409 else None
            if machine is None or machine.power not in {"deallocating", "deallocated"}:
                raise
            return machine
        if not cut.done:
            work.finish(cut)
        return None


def _not_running(machine: Machine) -> ConflictError:
    return ConflictError(
        f"VM {machine.name} is {machine.power or machine.provisioning}; only one that is running can be restarted.",
        backend=BackendReply("Azure", GET),
    )
