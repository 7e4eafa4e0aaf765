"""A caller of the simulated vSphere, by pyvmomi, and what its tests say often."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from pyVmomi import VmomiSupport, vim, vmodl
from pyVmomi.SoapAdapter import SoapStubAdapter

from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import PASSWORD, USER, VSphereSandbox

PC: Final = vmodl.query.PropertyCollector
DEVICE: Final = vim.vm.device
LEAVES: Final = (
    "name",
    "config.instanceUuid",
    "config.template",
    "runtime.powerState",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "guest.ipAddress",
    "config.createDate",
)


@dataclass
class Client:
    """One pyvmomi stub, with a session once it has logged in."""

    sandbox: VSphereSandbox
    authority: Authority
    version: str = "vim25/8.0.3.0"
    stub: Any = field(init=False)
    content: Any = field(init=False)

    def __post_init__(self) -> None:
        self.stub = SoapStubAdapter(
            host="127.0.0.1",
            port=self.sandbox.server.port,
            version=VmomiSupport.versionMap[self.version],
            sslContext=ssl.create_default_context(cafile=str(self.authority.ca_file)),
            acceptCompressedResponses=False,
        )
        self.content = vim.ServiceInstance("ServiceInstance", self.stub).RetrieveContent()

    def log_in(self, user: str = USER, password: str = PASSWORD) -> "Client":
        """This client, with a session."""
        self.content.sessionManager.Login(user, password)
        return self

    def close(self) -> None:
        """Drop the connections."""
        self.stub.DropConnections()

    # Reading.

    def read(self, ref: Any, *paths: str) -> dict[str, Any]:
        """Properties of one object; those that are unset are absent."""
        content = self.contents(PC.ObjectSpec(obj=ref), [(type(ref), paths)])[0]
        assert not content.missingSet
        return {changed.name: changed.val for changed in content.propSet}

    def one(self, ref: Any, path: str) -> Any:
        """One property, None when it is unset."""
        return self.read(ref, path).get(path)

    def contents(self, start: Any, wanted: list[tuple[Any, Any]], **options: Any) -> list[Any]:
        """What a filter selects, in one answer."""
        answer = self.retrieve(start, wanted, **options)
        return list(answer.objects) if answer is not None else []

    def retrieve(self, start: Any, wanted: list[tuple[Any, Any]], **options: Any) -> Any:
        """The answer to one RetrievePropertiesEx."""
        properties = [PC.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in wanted]
        spec = PC.FilterSpec(objectSet=[start], propSet=properties)
        return self.content.propertyCollector.RetrievePropertiesEx([spec], PC.RetrieveOptions(**options))

    def view(self, *kinds: Any) -> Any:
        """An object spec for all that there is of some types."""
        view = self.container_view(self.content.rootFolder, *kinds)
        walk = PC.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
        return PC.ObjectSpec(obj=view, skip=True, selectSet=[walk])

    def container_view(self, container: Any, *kinds: Any, recursive: bool = True) -> Any:
        """A container view."""
        manager = self.content.viewManager
        return manager.CreateContainerView(container=container, type=list(kinds), recursive=recursive)

    def find(self, uuid: str, *, instance: bool = True, datacenter: Any = None) -> Any:
        """FindByUuid, for VMs."""
        index = self.content.searchIndex
        return index.FindByUuid(datacenter=datacenter, uuid=uuid, vmSearch=True, instanceUuid=instance)

    def all(self, kind: Any) -> dict[str, Any]:
        """The references of all objects of a type, by name."""
        found = self.contents(self.view(kind), [(kind, ("name",))])
        return {content.propSet[0].val: content.obj for content in found}

    def vm(self, name: str) -> Any:
        """A VM or template by its name."""
        return self.all(vim.VirtualMachine)[name]

    def first(self, kind: Any) -> Any:
        """The first object of a type."""
        return next(iter(self.all(kind).values()))

    def vm_folder(self) -> Any:
        """The VM folder of the first datacenter."""
        return self.one(self.first(vim.Datacenter), "vmFolder")

    # Tasks.

    def state(self, task: Any) -> str:
        """Where a task stands."""
        return str(self.one(task, "info.state"))

    def done(self, task: Any, seconds: float = 10.0) -> Any:
        """The result of a task; raises its error."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            info = self.read(task, "info.state", "info.error", "info.result")
            if info["info.state"] == "error":
                raise info["info.error"]
            if info["info.state"] == "success":
                return info.get("info.result")
            time.sleep(0.005)
        raise AssertionError("the task did not end")

    # Specifications.

    def clone_spec(self, *, pool: str = "Resources", config: Any = None, **fields: Any) -> Any:
        """A CloneSpec with a pool, as a template needs one."""
        location = vim.vm.RelocateSpec(pool=self.all(vim.ResourcePool)[pool], **fields.pop("location", {}))
        return vim.vm.CloneSpec(location=location, config=config, powerOn=fields.pop("powerOn", False), **fields)

    def clone(self, name: str = "test1", source: str = "debian-12", **fields: Any) -> Any:
        """Begin to clone the template into the root VM folder."""
        return self.vm(source).CloneVM_Task(self.vm_folder(), name, self.clone_spec(**fields))

    def create(self, name: str = "test1", path: str = "[datastore1]", **fields: Any) -> Any:
        """Begin to create a VM in the root VM folder."""
        files = vim.vm.FileInfo(vmPathName=path)
        spec = vim.vm.ConfigSpec(name=name, files=files, **{"numCPUs": 1, "memoryMB": 512, **fields})
        return self.vm_folder().CreateVM_Task(spec, self.first(vim.ResourcePool))


def add(device: Any, file_operation: str | None = None) -> Any:
    """A device to be added."""
    return DEVICE.VirtualDeviceSpec(operation="add", fileOperation=file_operation, device=device)


def edit(device: Any) -> Any:
    """A device to be changed."""
    return DEVICE.VirtualDeviceSpec(operation="edit", device=device)


def scsi() -> Any:
    """A SCSI controller to be added, for disks that name it by the key -1."""
    return add(DEVICE.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing"))


def disk(file_name: str = "", capacity_bytes: int = 1 << 30, *, is_new: bool = True, unit: int = 0) -> Any:
    """A disk to be added, new or with a file that there is."""
    backing = DEVICE.VirtualDisk.FlatVer2BackingInfo(
        fileName=file_name, diskMode="persistent", thinProvisioned=True if is_new else None
    )
    device = DEVICE.VirtualDisk(
        key=-2, controllerKey=-1, unitNumber=unit, backing=backing, capacityInBytes=capacity_bytes if is_new else None
    )
    return add(device, "create" if is_new else None)


def card(network: str, key: int = -3) -> Any:
    """A network adapter to be added, on a network of the host's by its name."""
    backing = DEVICE.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
    return add(DEVICE.VirtualVmxnet3(key=key, backing=backing))


@contextmanager
def refusal(fault: Any, message: str = "", **fields: Any) -> Iterator[None]:
    """Expect vSphere's fault, just this type, with these fields."""
    with pytest.raises(fault) as caught:
        yield
    assert type(caught.value) is fault
    assert message in (caught.value.msg or "")
    for name, value in fields.items():
        assert getattr(caught.value, name) == value
