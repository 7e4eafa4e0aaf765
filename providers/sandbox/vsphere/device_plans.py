"""What device changes come to: the devices that a VM will have, and the files to be made, grown and removed."""

from dataclasses import dataclass, field

from providers.sandbox.vsphere.files import File
from providers.sandbox.vsphere.inventory import Datastore
from providers.sandbox.vsphere.machines import Device
from providers.sandbox.vsphere.refusals import refusal


@dataclass
class Plan:
    """Devices and files to come; nothing has happened yet. What `make` made, `undo` removes."""

    devices: list[Device]
    made: list[tuple[Datastore, str, File]] = field(default_factory=list)
    grown: list[tuple[Datastore, str, int]] = field(default_factory=list)
    removed: list[tuple[Datastore, str]] = field(default_factory=list)
    _folders: list[tuple[Datastore, str]] = field(default_factory=list)

    def refuse_full_datastores(self) -> None:
        """Refuse what does not fit; raises InsufficientStorageSpace."""
        needed: dict[Datastore, int] = {}
        for datastore, _, file in self.made:
            needed[datastore] = needed.get(datastore, 0) + file.size_bytes
        for datastore, size in needed.items():
            if size > datastore.free_bytes:
                raise refusal("InsufficientStorageSpace", {"datastore": datastore.name})

    def make(self) -> None:
        """Make the new files, and the folders that they are in."""
        for datastore, path, file in self.made:
            folder = path.rpartition("/")[0]
            if datastore.files.find(folder) is None:
                self._folders.append((datastore, folder))
            datastore.files.put(path, file)

    def finish(self) -> None:
        """Grow and remove what there was before."""
        for datastore, path, capacity in self.grown:
            file = datastore.files.find(path)
            if file is not None:
                datastore.files.put(path, file.extended(capacity))
        for datastore, path in self.removed:
            datastore.files.remove(path)

    def undo(self) -> None:
        """Remove the new files again, and the folders that were made for them."""
        for datastore, path in [*((made[0], made[1]) for made in self.made), *self._folders]:
            datastore.files.remove(path)


def invalid_device(index: int, name: str, kind: str = "InvalidDeviceSpec") -> Exception:
    """The device of this number is not good, by this of its properties."""
    return refusal(kind, {"deviceIndex": index}, property=f"virtualDeviceSpec.device.{name}", deviceIndex=index)
