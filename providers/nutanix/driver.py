"""Nutanix: the verbs by the API that the host speaks, which is named or found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Self, TypeVar

from providers.credentials import Credentials
from providers.domain import VM, Environment, LeftoverResource, Manner, Operation, VMSpec
from providers.driver import Driver, Work
from providers.errors import ProviderError
from providers.network import Network
from providers.nutanix.discovery import client_of, found_api
from providers.nutanix.failures import FAILURES, VENDOR_ERRORS, is_not_spoken, translate
from providers.nutanix.known import KNOWN
from providers.nutanix.recipe import recipe_for
from providers.nutanix.session import PrismSession
from providers.nutanix.site import site_of
from providers.nutanix.steps import Step
from providers.nutanix.verbs import Verbs

T = TypeVar("T")


class NutanixDriver(Driver):
    """The VMs of the cluster, or of the Central's clusters, that the url leads to."""

    vendor_errors: ClassVar[tuple[type[Exception], ...]] = VENDOR_ERRORS

    def __init__(self, environment: Environment, session: PrismSession) -> None:
        self._environment = environment
        self._site = site_of(environment)
        self._session = session
        self._verbs = self._verbs_by(self._site.api or self._found())

    @classmethod
    def check_create(cls, environment: Environment, spec: VMSpec) -> None:
        """See `Driver`."""
        recipe_for(site_of(environment), spec)

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Self:
        """See `Driver`. Asks the host which API it speaks, unless the environment says it or another caller knows."""
        session = PrismSession(environment, credentials, network)
        try:
            return cls(environment, session)
        except BaseException:
            session.close()
            raise

    @classmethod
    def translate(cls, error: Exception) -> ProviderError:
        """See `Driver`."""
        return translate(error)

    def list_vms(self) -> Iterator[VM]:
        """See `Driver`."""
        return self._spoken(lambda verbs: verbs.list_vms())

    def prove(self) -> None:
        """See `Driver`."""
        self._spoken(lambda verbs: verbs.prove())

    def get_vm(self, vm_id: str) -> VM:
        """See `Driver`."""
        return self._spoken(lambda verbs: verbs.get_vm(vm_id))

    def create_vm(self, spec: VMSpec, work: Work) -> Operation:
        """See `Driver`. Not begun anew by another API: something may have been made."""
        verbs = self._current()
        try:
            return verbs.create_vm(spec, work)
        except FAILURES as error:
            if is_not_spoken(error):
                self._forget(verbs)
            raise

    def start_vm(self, vm_id: str, work: Work) -> Operation:
        """See `Driver`."""
        return self._spoken(lambda verbs: verbs.start_vm(vm_id, work))

    def stop_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        """See `Driver`."""
        return self._spoken(lambda verbs: verbs.stop_vm(vm_id, work, manner))

    def restart_vm(self, vm_id: str, work: Work, manner: Manner) -> Operation:
        """See `Driver`."""
        return self._spoken(lambda verbs: verbs.restart_vm(vm_id, work, manner))

    def delete_vm(self, vm_id: str, work: Work) -> Operation:
        """See `Driver`."""
        return self._spoken(lambda verbs: verbs.delete_vm(vm_id, work))

    def promise_removal(self, operation: Operation, work: Work) -> None:
        """See `Driver`. The VM of another try, which this one was to start, is not this one's to remove."""
        vm_id, creation = operation.vm_id, Step.read(operation.handle).mark
        if vm_id and creation:
            work.made("vm", vm_id, lambda: self._current().remove_failed(vm_id, creation, work))

    def list_leftovers(self) -> list[LeftoverResource]:
        """See `Driver`."""
        return self._spoken(lambda verbs: verbs.list_leftovers())

    def remove_leftover(self, leftover: LeftoverResource, work: Work) -> None:
        """See `Driver`."""
        self._spoken(lambda verbs: verbs.remove_leftover(leftover, work))

    def poll(self, operation: Operation) -> Operation:
        """See `Driver`."""
        return self._current().poll(operation)

    def close(self) -> None:
        """See `Driver`."""
        self._session.close()

    def _spoken(self, verb: Callable[[Verbs], T]) -> T:
        """A verb; once more, by another API, where the host does not speak the one that it was found to speak.

        That is so after an upgrade. What a host does not speak it has not done.
        """
        verbs = self._current()
        try:
            return verb(verbs)
        except FAILURES as error:
            if not is_not_spoken(error) or not self._forget(verbs):
                raise
            again = self._current()
            if again.api == verbs.api:
                raise
            return verb(again)

    def _current(self) -> Verbs:
        """The verbs by the API that the host is known to speak now, to this session or to another."""
        api = self._site.api or self._found()
        if api != self._verbs.api:
            self._verbs = self._verbs_by(api)
        return self._verbs

    def _forget(self, verbs: Verbs) -> bool:
        """Forget that the host was found to speak an API; False if the environment says so."""
        if self._site.api:
            return False
        KNOWN.forget(self._environment, verbs.api)
        return True

    def _found(self) -> str:
        return KNOWN.find(self._environment, lambda: found_api(self._session))

    def _verbs_by(self, api: str) -> Verbs:
        return Verbs(self._site, client_of(api, self._session))
