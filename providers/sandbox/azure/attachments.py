"""Network interfaces and disks by themselves: what a VM leaves behind can be seen and removed here."""

from collections.abc import Callable
from http import HTTPStatus

from werkzeug.wrappers import Response

from providers.sandbox.azure import ids, rendering
from providers.sandbox.azure.operations import Operation, Place, Work
from providers.sandbox.azure.reading import missing, page
from providers.sandbox.azure.resources import Cloud, Disk, Nic, Request
from providers.sandbox.azure.states import Accepted
from providers.sandbox.azure.wire import ArmError, Json, answer


class Attachments:
    """What VMs are made with."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def nic(self, request: Request) -> Response:
        """A network interface."""
        nic = self._cloud.nics.get(request.key)
        if nic is None:
            raise missing(self._cloud, request, ids.NIC)
        return answer(rendering.nic(self._cloud, nic), headers={"ETag": f'W/"{nic.etag}"'})

    def nics(self, request: Request) -> Response:
        """A group's network interfaces, or the subscription's."""
        found = [nic for nic in self._cloud.nics.values() if _is_in_scope(request, nic.key)]
        return page(self._cloud, request, found, lambda nic: rendering.nic(self._cloud, nic, listed=True))

    def delete_nic(self, request: Request) -> Accepted | Response:
        """Delete a network interface that no VM has."""
        nic = self._cloud.nics.get(request.key)
        if nic is None:
            return answer(None, HTTPStatus.NO_CONTENT)
        nic_id = self._cloud.id_of(ids.NIC, nic)
        if nic.vm is not None:
            message = (
                f"Network Interface {nic_id} is used by existing resource {nic.vm}. In order to delete the network "
                "interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic."
            )
            raise ArmError(HTTPStatus.BAD_REQUEST, "NicInUse", message)
        removing = self._removing(nic, self._drop_nic)
        return Accepted(
            self._cloud.operations.begin("NetworkInterfaces_Delete", Place.NETWORK, nic_id.lower(), removing)
        )

    def disk(self, request: Request) -> Response:
        """A disk."""
        disk = self._cloud.disks.get(request.key)
        if disk is None:
            raise missing(self._cloud, request, ids.DISK)
        return answer(rendering.disk(self._cloud, disk))

    def disks(self, request: Request) -> Response:
        """A group's disks, or the subscription's."""
        found = [disk for disk in self._cloud.disks.values() if _is_in_scope(request, disk.key)]
        return page(self._cloud, request, found, self._listed_disk)

    def delete_disk(self, request: Request) -> Accepted | Response:
        """Delete a disk that no VM has."""
        disk = self._cloud.disks.get(request.key)
        if disk is None:
            return answer(None, HTTPStatus.NO_CONTENT)
        if disk.vm is not None:
            message = f"Disk {disk.name} is attached to VM {disk.vm}."
            raise ArmError(HTTPStatus.CONFLICT, "OperationNotAllowed", message)
        disk_id, removing = self._cloud.id_of(ids.DISK, disk), self._removing(disk, self._drop_disk)
        return Accepted(self._cloud.operations.begin("Disks_Delete", Place.DISK, disk_id.lower(), removing))

    def _removing(self, one: Nic | Disk, drop: Callable[[tuple[str, str]], None]) -> Callable[[Operation], Work]:
        def work(operation: Operation) -> Work:
            yield self._cloud.knobs.task_seconds
            operation.fail_if_planned()
            drop(one.key)

        return work

    def _drop_nic(self, key: tuple[str, str]) -> None:
        if key in self._cloud.nics:
            self._cloud.drop_nic(key)

    def _drop_disk(self, key: tuple[str, str]) -> None:
        self._cloud.disks.pop(key, None)

    def _listed_disk(self, disk: Disk) -> Json:
        return rendering.disk(self._cloud, disk, listed=True)


def _is_in_scope(request: Request, key: tuple[str, str]) -> bool:
    return "group" not in request.path or request.path["group"].lower() == key[0]
