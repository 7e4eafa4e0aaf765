"""The vSphere simulator's property collector: traversals, paths, pages, views, updates; and its search index."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.task import WaitForTask
from pyVmomi import VmomiSupport, vim, vmodl

from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import DATACENTER, DISK_BYTES, SOURCE_VM, TEMPLATE, VSphereSandbox
from providers.sandbox.vsphere.lookup import SHAPES
from providers.sandbox.vsphere.shapes import Shape
from tests.sandbox.vsphere.client import DEVICE, LEAVES, PC, Client, refusal


def test_leaf_paths_of_all_vms_come_in_one_answer(vcenter: VSphereSandbox, user: Client) -> None:
    """Each of its declared type; what is unset is absent."""
    running, stopped = vcenter.seed(1)[0], vcenter.seed(1, prefix="off", state="stopped")[0]
    found = user.contents(user.view(vim.VirtualMachine), [(vim.VirtualMachine, LEAVES)])
    values = {content.propSet[1].val: {change.name: change.val for change in content.propSet} for content in found}
    vm = values[running]
    assert (vm["name"], vm["config.template"], vm["config.hardware.numCPU"]) == ("vm-0001", False, 2)
    assert vm["runtime.powerState"] == vim.VirtualMachine.PowerState.poweredOn
    assert isinstance(vm["runtime.powerState"], vim.VirtualMachine.PowerState)
    assert vm["guest.ipAddress"].startswith("10.")
    assert vm["config.createDate"].tzinfo is not None
    assert "guest.ipAddress" not in values[stopped]
    assert not any(content.missingSet for content in found)


def test_folders_are_walked_by_recursion_by_name(vcenter: VSphereSandbox, user: Client) -> None:
    """As pyvmomi's samples and govmomi build it: traversals that name one another."""
    vcenter.seed(1, folder="Production/Web")
    folders = PC.TraversalSpec(
        name="folders",
        type=vim.Folder,
        path="childEntity",
        skip=False,
        selectSet=[PC.SelectionSpec(name="folders"), PC.SelectionSpec(name="vms")],
    )
    vms = PC.TraversalSpec(
        name="vms", type=vim.Datacenter, path="vmFolder", skip=False, selectSet=[PC.SelectionSpec(name="folders")]
    )
    start = PC.ObjectSpec(obj=user.content.rootFolder, skip=False, selectSet=[folders, vms])
    found = user.contents(start, [(vim.VirtualMachine, ("name",)), (vim.Folder, ("name",))])
    names = [content.propSet[0].val for content in found]
    assert sorted(names) == ["Datacenters", "Production", "Web", TEMPLATE, SOURCE_VM, "vm", "vm-0001"]


def test_object_that_is_reached_twice_is_told_once(user: Client) -> None:
    """By a datacenter's list and by its folder."""
    datacenter = user.first(vim.Datacenter)
    walks = [
        PC.TraversalSpec(type=vim.Datacenter, path="datastore", skip=False),
        PC.TraversalSpec(
            type=vim.Datacenter,
            path="datastoreFolder",
            skip=True,
            selectSet=[PC.TraversalSpec(type=vim.Folder, path="childEntity", skip=False)],
        ),
    ]
    start = PC.ObjectSpec(obj=datacenter, skip=True, selectSet=walks)
    found = user.contents(start, [(vim.Datastore, ("summary.name",))])
    assert sorted(content.propSet[0].val for content in found) == ["datastore1", "datastore2"]


def test_parents_are_walked_upwards(vcenter: VSphereSandbox, user: Client) -> None:
    """As a client makes an inventory path."""
    vcenter.seed(1, folder="Production/Web")
    up = PC.TraversalSpec(
        name="up",
        type=vim.ManagedEntity,
        path="parent",
        skip=False,
        selectSet=[PC.SelectionSpec(name="up")],
    )
    start = PC.ObjectSpec(obj=user.vm("vm-0001"), skip=False, selectSet=[up])
    found = user.contents(start, [(vim.ManagedEntity, ("name",))])
    names = [content.propSet[0].val for content in found]
    assert names == ["vm-0001", "Web", "Production", "vm", DATACENTER, "Datacenters"]


def test_traversal_by_a_name_that_there_is_not_is_refused(user: Client) -> None:
    """InvalidArgument."""
    start = PC.ObjectSpec(obj=user.content.rootFolder, selectSet=[PC.SelectionSpec(name="nothing")])
    with refusal(vmodl.fault.InvalidArgument, "specSet.objectSet.selectSet.name"):
        user.contents(start, [(vim.Folder, ("name",))])


@pytest.mark.parametrize("path", ["colour", "config.colour", "config.hardware.numCPU.more", "name[1]", "", "config..x"])
def test_property_that_there_is_not_is_invalid(user: Client, path: str) -> None:
    """Named in the fault, and even when no object is selected."""
    with refusal(vmodl.query.InvalidProperty, name=path):
        user.contents(user.view(vim.VirtualApp), [(vim.VirtualMachine, (path,))])


def test_object_that_there_is_not_is_not_found(user: Client) -> None:
    """By the reference that was asked for."""
    gone = vim.VirtualMachine("vm-4711", user.stub)
    with refusal(vmodl.fault.ManagedObjectNotFound, "vim.VirtualMachine:vm-4711", obj=gone):
        user.read(gone, "name")


def test_nothing_selected_is_no_answer(user: Client) -> None:
    """The result is unset rather than empty."""
    assert user.retrieve(user.view(vim.VirtualApp), [(vim.VirtualApp, ("name",))]) is None


def test_device_and_extra_config_are_read_by_key(vcenter: VSphereSandbox, user: Client) -> None:
    """One of an array by the key in brackets; one that is not there is unset."""
    vm = user.vm(TEMPLATE)
    option = vim.option.OptionValue(key="guestinfo.metadata", value="abc")
    user.done(user.vm(SOURCE_VM).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
    disk = user.one(vm, "config.hardware.device[2000]")
    assert (type(disk), disk.capacityInBytes) == (DEVICE.VirtualDisk, DISK_BYTES)
    assert disk.backing.fileName == "[datastore1] debian-12/debian-12.vmdk"
    assert user.one(user.vm(SOURCE_VM), 'config.extraConfig["guestinfo.metadata"]').value == "abc"
    assert user.read(vm, "config.hardware.device[9]", 'config.extraConfig["no"].value') == {}


def test_attributes_are_read_as_pyvmomi_reads_them(vcenter: VSphereSandbox, user: Client) -> None:
    """Each by a call of Fetch."""
    (vm_id,) = vcenter.seed(1)
    vm = user.find(vm_id)
    assert (vm.name, vm.config.instanceUuid, vm.summary.config.instanceUuid) == ("vm-0001", vm_id, vm_id)
    assert vm.parent == user.vm_folder()
    assert [type(device) for device in vm.config.hardware.device][-2:] == [DEVICE.VirtualDisk, DEVICE.VirtualVmxnet3]
    assert vm.guest.net[0].ipAddress == [vm.guest.ipAddress]
    assert [datastore.name for datastore in vm.datastore] == ["datastore1"]
    assert [network.name for network in vm.network] == ["VM Network"]
    assert vm.runtime.question is None
    assert vcenter.calls.count("Fetch") > 8


def test_every_property_of_every_object_can_be_read_whole(vcenter: VSphereSandbox, user: Client) -> None:
    """What is simulated is complete enough for pyvmomi to read it."""
    vcenter.seed(1)
    types = {kind for kind in SHAPES if issubclass(kind, vim.ManagedEntity)}
    for kind in types:
        spec = PC.FilterSpec(objectSet=[user.view(kind)], propSet=[PC.PropertySpec(type=kind, all=True)])
        answer = user.content.propertyCollector.RetrievePropertiesEx([spec], PC.RetrieveOptions())
        for content in answer.objects if answer else []:
            assert {change.name for change in content.propSet} <= set(SHAPES[type(content.obj)].fields)
            assert content.missingSet == []


def _shapes(shape: Shape) -> Iterator[Shape]:
    yield shape
    for field in shape.fields.values():
        if isinstance(field, Shape):
            yield from _shapes(field)


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: str(kind.__name__))
def test_simulated_properties_are_declared_and_data_objects_complete(kind: Any) -> None:
    """By pyvmomi's declarations: no field of another name, none missing that has to be there."""
    for shape in _shapes(SHAPES[kind]):
        declared = {info.name: info for info in shape.type._GetPropertyList()}
        assert set(shape.fields) <= set(declared)
        if issubclass(shape.type, vmodl.DynamicData):
            blank = shape.type()
            needed = {name for name, info in declared.items() if not info.flags & VmomiSupport.F_OPTIONAL}
            assert {name for name in needed if getattr(blank, name) is None} <= set(shape.fields)


def test_vm_without_config_is_told_without_it(vcenter: VSphereSandbox, user: Client) -> None:
    """Like one that is being made, or whose files are out of reach."""
    making, lost = vcenter.seed(2)
    vcenter.hide_config(making)
    vcenter.hide_config(lost, inaccessible=True)
    assert set(user.read(user.vm("vm-0001"), *LEAVES)) == {"name", "runtime.powerState", "guest.ipAddress"}
    assert user.one(user.vm("vm-0002"), "runtime.connectionState") == "inaccessible"
    assert user.one(user.vm("vm-0002"), "config") is None


def test_answer_of_many_comes_in_pages(vcenter: VSphereSandbox, user: Client) -> None:
    """As many as asked for, then the rest by the token; each token is good once."""
    vcenter.seed(7)
    collector = user.content.propertyCollector
    page = user.retrieve(user.view(vim.VirtualMachine), [(vim.VirtualMachine, ("name",))], maxObjects=4)
    first = page.token
    names = [content.propSet[0].val for content in page.objects]
    assert (len(names), bool(first)) == (4, True)
    vcenter.remove("vm-0006")
    while page.token:
        page = collector.ContinueRetrievePropertiesEx(page.token)
        names += [content.propSet[0].val for content in page.objects]
    assert names == [TEMPLATE, SOURCE_VM, *(f"vm-000{number}" for number in (1, 2, 3, 4, 5, 7))]
    with refusal(vmodl.fault.InvalidArgument, invalidProperty="token"):
        collector.ContinueRetrievePropertiesEx(first)


def test_server_may_page_by_itself(vcenter: VSphereSandbox, user: Client) -> None:
    """Whatever the client asked for; and the rest can be forgotten."""
    vcenter.seed(3)
    vcenter.knobs.page_objects = 2
    page = user.retrieve(user.view(vim.VirtualMachine), [(vim.VirtualMachine, ("name",))], maxObjects=100)
    assert len(page.objects) == 2
    user.content.propertyCollector.CancelRetrievePropertiesEx(page.token)
    with refusal(vmodl.fault.InvalidArgument):
        user.content.propertyCollector.ContinueRetrievePropertiesEx(page.token)


def test_view_is_of_what_there_is_now(vcenter: VSphereSandbox, user: Client) -> None:
    """Of a folder or below it, until it is destroyed."""
    vcenter.seed(1, folder="Production/Web")
    folder = user.all(vim.Folder)["Production"]
    flat = user.container_view(folder, vim.VirtualMachine, recursive=False)
    deep = user.container_view(folder, vim.VirtualMachine)
    assert (flat.view, [vm.name for vm in deep.view]) == ([], ["vm-0001"])
    vcenter.seed(1, prefix="more", folder="Production")
    assert [vm.name for vm in flat.view] == ["more-0001"]
    assert user.content.viewManager.viewList[-2:] == [flat, deep]
    flat.DestroyView()
    with refusal(vmodl.fault.ManagedObjectNotFound, obj=flat):
        flat.DestroyView()


def test_list_view_holds_what_it_is_told_to(vcenter: VSphereSandbox, user: Client) -> None:
    """What there is not is handed back."""
    first, second = user.vm(TEMPLATE), user.vm(SOURCE_VM)
    gone = vim.VirtualMachine("vm-4711", user.stub)
    view = user.content.viewManager.CreateListView([first])
    assert view.ModifyListView([second, gone], [first]) == [gone]
    assert view.view == [second]
    assert view.ResetListView([first, gone]) == [gone]
    assert view.view == [first]


def test_updates_wait_for_a_change(vcenter: VSphereSandbox, user: Client) -> None:
    """First everything, then what has changed, then what has gone; nothing when the time is up."""
    (vm_id,) = vcenter.seed(1)
    collector, vm = user.content.propertyCollector, user.vm("vm-0001")
    paths = ["name", "runtime.powerState", "guest.ipAddress"]
    properties = [PC.PropertySpec(type=vim.VirtualMachine, pathSet=paths)]
    spec = PC.FilterSpec(objectSet=[PC.ObjectSpec(obj=vm)], propSet=properties)
    kept = collector.CreateFilter(spec=spec, partialUpdates=True)
    first = collector.WaitForUpdatesEx(None, None)
    assert first.filterSet[0].objectSet[0].kind == "enter"
    options = PC.WaitOptions(maxWaitSeconds=0)
    assert collector.WaitForUpdatesEx(first.version, options) is None
    threading.Timer(0.1, vcenter.set_state, (vm_id, "stopped")).start()
    second = collector.WaitForUpdatesEx(first.version, PC.WaitOptions(maxWaitSeconds=5))
    (update,) = second.filterSet[0].objectSet
    assert (second.filterSet[0].filter, update.kind) == (kept, "modify")
    assert {change.name: change.val for change in update.changeSet} == {
        "runtime.powerState": "poweredOff",
        "guest.ipAddress": None,
    }
    with refusal(vmodl.query.InvalidCollectorVersion):
        collector.WaitForUpdatesEx(first.version, options)
    vcenter.remove(vm_id)
    third = collector.CheckForUpdates(second.version)
    assert third.filterSet[0].objectSet[0].kind == "leave"
    kept.DestroyPropertyFilter()
    with refusal(vmodl.fault.ManagedObjectNotFound):
        kept.DestroyPropertyFilter()


def test_task_is_waited_for_as_pyvmomi_does(vcenter: VSphereSandbox, user: Client) -> None:
    """By a filter on its information."""
    instance = vim.ServiceInstance("ServiceInstance", user.stub)
    assert WaitForTask(user.vm(SOURCE_VM).PowerOnVM_Task(), si=instance) == "success"
    with refusal(vim.fault.InvalidPowerState):
        WaitForTask(user.vm(SOURCE_VM).PowerOnVM_Task(), si=instance)


def test_collector_of_ones_own_keeps_its_filters_apart(user: Client) -> None:
    """As govmomi waits: a collector per wait, destroyed after it."""
    mine = user.content.propertyCollector.CreatePropertyCollector()
    properties = [PC.PropertySpec(type=vim.Folder, pathSet=["name"])]
    spec = PC.FilterSpec(objectSet=[PC.ObjectSpec(obj=user.content.rootFolder)], propSet=properties)
    mine.CreateFilter(spec=spec, partialUpdates=False)
    assert user.content.propertyCollector.CheckForUpdates(None) is None
    assert mine.WaitForUpdates(None).filterSet[0].objectSet[0].obj == user.content.rootFolder
    mine.DestroyPropertyCollector()
    with refusal(vmodl.fault.ManagedObjectNotFound, obj=mine):
        mine.CheckForUpdates(None)


def test_waiting_call_is_dropped_when_the_server_stops(authority: Authority) -> None:
    """It would wait for ever otherwise."""
    sandbox = VSphereSandbox(authority, task_seconds=0.02).start()
    client = Client(sandbox, authority).log_in()
    threading.Timer(0.1, sandbox.stop).start()
    with pytest.raises(OSError, match=r"without response|closed|EOF|reset"):
        client.content.propertyCollector.WaitForUpdatesEx(None, None)
    client.close()


def test_vm_is_found_by_either_uuid(vcenter: VSphereSandbox, user: Client) -> None:
    """One of them when several have the same; all on demand; in any case of letters."""
    first, second = vcenter.seed(2)
    bios = vcenter.vm(first).bios_uuid
    vcenter.set_bios_uuid(second, bios)
    index = user.content.searchIndex
    assert user.find(first.upper()) == user.vm("vm-0001")
    assert user.find(first, instance=False) is None
    assert user.find(bios, instance=False) == user.vm("vm-0001")
    assert index.FindAllByUuid(uuid=bios, vmSearch=True, instanceUuid=False) == [user.vm("vm-0001"), user.vm("vm-0002")]


def test_search_by_uuid_is_within_a_datacenter(vcenter: VSphereSandbox, user: Client) -> None:
    """When one is named."""
    vcenter.add_datacenter("Datacenter2")
    (vm_id,) = vcenter.seed(1, datacenter="Datacenter2")
    datacenters = user.all(vim.Datacenter)
    assert user.find(vm_id, datacenter=datacenters["Datacenter1"]) is None
    assert user.find(vm_id, datacenter=datacenters["Datacenter2"]) == user.vm("vm-0001")


def test_entity_is_found_by_its_path(vcenter: VSphereSandbox, user: Client) -> None:
    """Inventory path, child's name, and a VM by its configuration file."""
    vcenter.seed(1, folder="Production/Web")
    vcenter.rename("vm-0001", "a/b")
    vm, index = user.vm("a/b"), user.content.searchIndex
    assert index.FindByInventoryPath(f"/{DATACENTER}/vm/Production/Web/a%2fb") == vm
    assert index.FindByInventoryPath(f"{DATACENTER}/vm/Nothing/x") is None
    assert index.FindChild(user.all(vim.Folder)["Web"], "a/b") == vm
    datacenter = user.first(vim.Datacenter)
    assert index.FindByDatastorePath(datacenter, "[datastore1] vm-0001/vm-0001.vmx") == vm
    assert index.FindByDatastorePath(datacenter, "[datastore1] vm-0001/other.vmx") is None
    with refusal(vim.fault.InvalidDatastore, name="nothing"):
        index.FindByDatastorePath(datacenter, "[nothing] vm-0001/vm-0001.vmx")


def test_ambiguity_can_be_arranged(vcenter: VSphereSandbox, user: Client) -> None:
    """Further datacenters, clusters, hosts, pools, datastores, networks and folders."""
    vcenter.add_datacenter("Datacenter2", cluster="ClusterB", datastores=["datastore1"], networks=["VM Network"])
    vcenter.add_cluster("lone.sandbox", ["lone.sandbox"], datacenter="Datacenter2")
    vcenter.add_host("esx7.sandbox", cluster="ClusterB", datacenter="Datacenter2")
    vcenter.add_pool("Pool1/Inner")
    vcenter.add_datastore("big", capacity_bytes=1 << 44, datacenter="Datacenter2")
    vcenter.add_network("net2", distributed=True, datacenter="Datacenter2")
    vcenter.add_network("uplinks", uplink=True, datacenter="Datacenter2")
    vcenter.add_folder("One/Two", datacenter="Datacenter2")
    second = user.all(vim.Datacenter)["Datacenter2"]
    assert sorted(datastore.name for datastore in second.datastore) == ["big", "datastore1"]
    assert sorted(network.name for network in second.network) == ["VM Network", "net2", "uplinks"]
    assert [group.config.uplink for group in second.network[1:]] == [False, True]
    compute = user.all(vim.ComputeResource)
    assert {name: type(ref) for name, ref in compute.items()} == {
        "Cluster1": vim.ClusterComputeResource,
        "ClusterB": vim.ClusterComputeResource,
        "lone.sandbox": vim.ComputeResource,
    }
    assert [host.name for host in compute["ClusterB"].host] == ["esx3.sandbox", "esx7.sandbox"]
    assert user.all(vim.ResourcePool)["Inner"].parent == user.all(vim.ResourcePool)["Pool1"]
    assert user.content.searchIndex.FindByInventoryPath("Datacenter2/vm/One/Two").name == "Two"
    summary = user.all(vim.Datastore)["big"].summary
    assert (summary.capacity, summary.freeSpace, summary.accessible) == (1 << 44, 1 << 44, True)
