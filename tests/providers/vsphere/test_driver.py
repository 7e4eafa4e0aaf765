"""The driver through the gateway, over govmomi's simulator: what is peculiar to vSphere."""

import base64
import gzip
import hashlib
import json
import re
import uuid
from dataclasses import replace
from typing import Any

import pytest
from pyVmomi import vim

from providers.domain import Idempotency, StopMode, VMStatus
from providers.errors import (
    ConflictError,
    InvalidRequestError,
    PermissionDeniedError,
    ProviderError,
    UnprocessableError,
    UnsupportedError,
    VMNotFoundError,
)
from providers.work import UNTIL_DONE, Wish
from tests.conformance.vcsim import EsxiHarness, VcsimHarness
from tests.providers.vsphere.conftest import MakeGateway, spec_of
from tests.support.soap_proxy import Reply, Rule, fault, soap
from tests.support.waiting import wait_until

NO_TOOLS = fault("ToolsUnavailable", "Cannot complete operation because VMware Tools is not running.")
RESTRICTED = fault("RestrictedVersion", "Current license or ESXi version prohibits execution of the operation.")
AT_ONCE = Wish(patience_seconds=0)
TASK_LOOK = b'<obj type="Task">'
INSTANCE_UUID = re.compile(rb"(?<=<instanceUuid>)[^<]+")


def ref_of(harness: VcsimHarness, vm_id: str) -> Any:
    """A VM, behind the API's back."""
    found = harness.server.client.vms(["config.instanceUuid"])
    return next(ref for ref, values in found if values["config.instanceUuid"] == vm_id)


def seen(harness: VcsimHarness, vm_id: str, path: str) -> Any:
    """One of its properties."""
    return harness.server.client.read(ref_of(harness, vm_id), path)


def disk_gib(harness: VcsimHarness, vm_id: str) -> float:
    """The size of its first disk."""
    devices = seen(harness, vm_id, "config.hardware.device")
    disk = next(device for device in devices if isinstance(device, vim.vm.device.VirtualDisk))
    return float(disk.capacityInKB) / 1024 / 1024


# ---- Lists and look-ups


def test_list_asks_for_pages_of_a_thousand(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """Nothing is lost between them."""
    caller = gateway(vcenter)
    caller.list_vms()
    page = vcenter.proxy.completions
    vcenter.forget_operations()
    pages = Pages(2001)
    page["RetrievePropertiesEx"] = page["ContinueRetrievePropertiesEx"] = pages
    assert len({vm.id for vm in caller.list_vms()}) == 2001
    assert vcenter.operations() == ["RetrievePropertiesEx", *["ContinueRetrievePropertiesEx"] * 2]
    assert pages.asked == [b"1000", b"page-1", b"page-2"]


class Pages:
    """A list that is longer than the simulator makes in a test's time; it answers as the simulator does."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._page = 0
        self.asked: list[bytes] = []

    def __call__(self, request: bytes, reply: Reply) -> Reply:
        found = re.search(rb"<(?:token|maxObjects)[^>]*>([^<]*)<", request)
        assert found
        self.asked.append(found[1])
        first, self._page = self._page * 1000, self._page + 1
        more = self._page * 1000 < self._count
        objects = "".join(
            f'<objects><obj type="VirtualMachine">vm-{number}</obj><propSet><name>config.instanceUuid</name>'
            f'<val xsi:type="xsd:string">{uuid.UUID(int=number)}</val></propSet></objects>'
            for number in range(first, min(first + 1000, self._count))
        )
        token = f"<token>page-{self._page}</token>" if more else ""
        name = "RetrievePropertiesExResponse" if first == 0 else "ContinueRetrievePropertiesExResponse"
        return soap(f'<{name} xmlns="urn:vim25"><returnval>{token}{objects}</returnval></{name}>')


def test_list_without_the_config_of_one_vm_has_the_others(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """It is just being made, or its files cannot be read."""
    first, second = vcenter.seed(2)
    bare = str(ref_of(vcenter, first)._moId)

    def strip(request: bytes, reply: Reply) -> Reply:  # as every completion
        head, mark, tail = reply.body.decode().partition(f'<obj type="VirtualMachine">{bare}</obj>')
        own, end, rest = tail.partition("</objects>")
        own = "".join(part for part in own.split("<propSet>") if "<name>config." not in part)
        return Reply(reply.status, f"{head}{mark}{own.replace('</val></propSet>', '</val>')}{end}{rest}".encode())

    caller = gateway(vcenter)
    vcenter.proxy.completions["RetrievePropertiesEx"] = strip
    assert second in {vm.id for vm in caller.list_vms()}


def test_list_shows_no_templates_and_no_verb_touches_one(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """A template is not a VM for us, although vSphere calls it one."""
    client = vcenter.server.client
    (vm_id,) = vcenter.seed(1, state="stopped")
    ref_of(vcenter, vm_id).MarkAsTemplate()
    caller = gateway(vcenter)
    assert caller.list_vms() == []
    for verb in (
        lambda: caller.get_vm(vm_id),
        lambda: caller.delete_vm(vm_id),
    ):
        with pytest.raises(VMNotFoundError):
            verb()
    # What a vCenter says of a template, which vcsim does not.
    refused = fault("NotSupported", "The operation is not supported on the object.")
    for operation in ("PowerOnVM_Task", "PowerOffVM_Task", "ShutdownGuest", "RebootGuest", "ResetVM_Task"):
        vcenter.proxy.add(Rule(operation, reply=refused))
    for mode in StopMode:
        for change in (caller.stop_vm, caller.restart_vm):
            with pytest.raises(VMNotFoundError):
                change(vm_id, mode, 1)
    for verb in (lambda: caller.start_vm(vm_id), lambda: caller.delete_vm(vm_id)):
        with pytest.raises(VMNotFoundError):
            verb()
    assert client.read(ref_of(vcenter, vm_id), "config.template") is True


def test_get_vm_by_its_bios_uuid_shows_its_id(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """Older clients know VMs by it; where several have it, none is meant."""
    first, second = vcenter.seed(2)
    bios = str(uuid.uuid4())
    client = vcenter.server.client
    client.wait(ref_of(vcenter, first).ReconfigVM_Task(vim.vm.ConfigSpec(uuid=bios)))
    caller = gateway(vcenter)
    assert caller.get_vm(bios.upper()).id == first
    assert caller.get_vm(first.upper()).id == first
    client.wait(ref_of(vcenter, second).ReconfigVM_Task(vim.vm.ConfigSpec(uuid=bios)))
    with pytest.raises(VMNotFoundError, match="2 VMs have the BIOS UUID"):
        caller.get_vm(bios)


@pytest.mark.parametrize(
    ("changed", "choices"),
    [
        ({"region": ""}, "`region`: DC0, DC1"),
        ({"region": "DC7"}, "DC0, DC1"),
        ({"vpc_id": ""}, "cluster/DC0_C0, host/"),
    ],
)
def test_create_vm_in_an_ambiguous_environment_lists_the_choices(
    vcenter: VcsimHarness, gateway: MakeGateway, changed: dict[str, str], choices: str
) -> None:
    """Before anything is made."""
    with pytest.raises(UnprocessableError) as raised:
        gateway(vcenter, **changed).create_vm(spec_of(vcenter))
    assert choices in raised.value.detail
    assert vcenter.states() == {}


# ---- Create on vCenter


def test_create_vm_with_kept_look_ups_takes_one_call(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """And its polls; two with an Idempotency-Key, as a retry must be recognised."""
    caller = gateway(vcenter)
    caller.create_vm(spec_of(vcenter, "first"))
    vcenter.forget_operations()
    caller.create_vm(spec_of(vcenter, "second"))
    assert vcenter.costly() == ["CloneVM_Task"]
    vcenter.forget_operations()
    caller.create_vm(spec_of(vcenter, "third", idempotency=Idempotency("k", "d")))
    assert vcenter.costly() == ["FindByUuid", "CloneVM_Task"]


def test_create_vm_has_size_network_disk_and_metadata(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """What the specification asks for, in one clone."""
    operation = gateway(vcenter).create_vm(spec_of(vcenter, disk_gib=20, cloud_init=b"#cloud-config"))
    assert operation.vm is not None
    vm_id = operation.vm.id
    assert (operation.vm.cpus, operation.vm.memory_mib) == (1, 1024)
    assert disk_gib(vcenter, vm_id) == 20
    devices = seen(vcenter, vm_id, "config.hardware.device")
    nic = next(device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard))
    assert isinstance(nic.backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo)
    told = {option.key: option.value for option in seen(vcenter, vm_id, "config.extraConfig")}
    metadata = json.loads(gzip.decompress(base64.b64decode(told["guestinfo.metadata"])))
    assert metadata == {"instance-id": vm_id, "local-hostname": "web1"}


@pytest.mark.parametrize("image", ["folder/golden", "/DC0/vm/folder/golden", "golden"])
def test_create_vm_of_a_template_by_path_or_name_finds_it(
    vcenter: VcsimHarness, gateway: MakeGateway, image: str
) -> None:
    """A bare name is searched in all folders."""
    client, place = vcenter.server.client, vcenter.place()
    folder = place.folder.CreateFolder("folder")
    _, golden = client.make(place, "golden", running=False)
    client.wait(folder.MoveIntoFolder_Task([golden]))
    golden.MarkAsTemplate()
    operation = gateway(vcenter, network_id="").create_vm(spec_of(vcenter, image=image))
    assert operation.vm is not None
    assert operation.vm.status is VMStatus.RUNNING


@pytest.mark.parametrize("image", ["debian-7", "folder/debian-12", "/DC1/vm/x/debian-12", "[LocalDS_0] a.vmdk"])
def test_create_vm_of_no_template_is_unprocessable(vcenter: VcsimHarness, gateway: MakeGateway, image: str) -> None:
    """The image is named, and the templates that there are, where that helps."""
    with pytest.raises(UnprocessableError) as raised:
        gateway(vcenter).create_vm(spec_of(vcenter, image=image))
    assert image in raised.value.detail
    if image == "debian-7":
        assert "Templates there are: debian-12." in raised.value.detail


def test_create_vm_after_the_template_was_made_anew_finds_the_new_one(
    vcenter: VcsimHarness, gateway: MakeGateway
) -> None:
    """Under the same name, while the cache is out of date."""
    caller = gateway(vcenter)
    caller.create_vm(spec_of(vcenter, "before"))
    client, place = vcenter.server.client, vcenter.place()
    client.destroy(client.find("DC0", "vm", "debian-12"))
    client.make(place, "debian-12", running=False)[1].MarkAsTemplate()
    assert caller.create_vm(spec_of(vcenter, "after")).done


def test_create_vm_with_the_key_of_a_vm_without_our_notes_finds_it(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """Somebody has removed the mark; the UUID follows from the key."""
    caller, wanted = gateway(vcenter), spec_of(vcenter, idempotency=Idempotency("k", "d"))
    vm_id = caller.create_vm(wanted).vm_id or ""
    vcenter.server.client.wait(ref_of(vcenter, vm_id).ReconfigVM_Task(vim.vm.ConfigSpec(annotation="mine")))
    assert caller.create_vm(wanted).vm_id == vm_id
    assert len(vcenter.states()) == 1


@pytest.mark.parametrize("wish", [UNTIL_DONE, AT_ONCE], ids=["waited", "followed"])
def test_create_vm_whose_identity_another_has_is_removed(
    vcenter: VcsimHarness, gateway: MakeGateway, wish: Wish
) -> None:
    """VCenter gives a VM another instance UUID if its own is taken: the key was used twice at the same time."""
    caller = gateway(vcenter)

    usual = vcenter.proxy.preparations["CloneVM_Task"]

    def with_another_uuid(request: bytes) -> bytes:
        return INSTANCE_UUID.sub(str(uuid.uuid4()).encode(), usual(request))

    vcenter.proxy.preparations["CloneVM_Task"] = with_another_uuid
    wanted = spec_of(vcenter, idempotency=Idempotency("k", "d"))
    with pytest.raises(UnprocessableError, match="Idempotency-Key"):  # noqa: PT012 - both ways end by an error
        operation = caller.create_vm(wanted, wish)
        while not operation.done:
            operation = caller.poll(operation)
        assert operation.failure is not None
        raise operation.failure
    assert vcenter.states() == {}


def test_create_vm_whose_name_another_has_leaves_that_one(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """With a key and without: what is removed after a failure is our own."""
    caller = gateway(vcenter)
    caller.create_vm(spec_of(vcenter))
    before = vcenter.states()
    for wanted in (spec_of(vcenter), spec_of(vcenter, idempotency=Idempotency("k", "d"))):
        with pytest.raises(ProviderError, match="DuplicateName"):
            caller.create_vm(wanted)
        operation = caller.create_vm(wanted, AT_ONCE)
        while not operation.done:
            operation = caller.poll(operation)
        assert operation.failure is not None
    assert vcenter.states() == before


def test_create_vm_of_a_library_or_with_noise_is_refused_before_any_call(
    vcenter: VcsimHarness, gateway: MakeGateway
) -> None:
    """Content libraries are not supported, and user data that does not compress has a limit of its own."""
    noise = b"".join(hashlib.sha256(bytes([number % 256, number // 256])).digest() for number in range(2048))
    with pytest.raises(UnsupportedError, match="content library"):
        gateway(vcenter).create_vm(spec_of(vcenter, image="library:golden"))
    with pytest.raises(InvalidRequestError, match="65,536"):
        gateway(vcenter).create_vm(spec_of(vcenter, cloud_init=noise))
    assert vcenter.operations() == []


def test_create_vm_whose_lost_clone_takes_its_time_is_removed(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """A copy that is not finished has a name and no config: it is waited for, and then known by its mark."""
    looks: list[bytes] = []

    def unfinished(request: bytes, reply: Reply) -> Reply:
        looks.extend([request] if b'<obj type="VirtualMachine">' in request else [])
        return without_config(reply) if 1 < len(looks) <= 3 else reply

    def hidden(request: bytes, reply: Reply) -> Reply:
        return soap('<FindByUuidResponse xmlns="urn:vim25"/>') if len(looks) <= 3 else found(request, reply)

    found = vcenter.proxy.completions["FindByUuid"]
    vcenter.proxy.completions |= {"RetrievePropertiesEx": unfinished, "FindByUuid": hidden}
    vcenter.proxy.add(Rule("CloneVM_Task", cut=True, after=True))
    with pytest.raises(ProviderError, match="was made all the same") as raised:
        gateway(vcenter).create_vm(spec_of(vcenter))
    assert len(looks) > 3
    assert [(left.kind, left.removed) for left in raised.value.leftovers] == [("vm", True)]
    assert vcenter.states() == {}


def test_create_vm_that_is_lost_on_its_way_leaves_a_namesake(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """Another's VM of that name is not what this create has made."""
    client = vcenter.server.client
    vm_id, _ = client.make(vcenter.place(), "web1", running=True)
    vcenter.proxy.add(Rule("CloneVM_Task", cut=True))
    with pytest.raises(ProviderError, match="No VM was made") as raised:
        gateway(vcenter).create_vm(spec_of(vcenter))
    assert raised.value.leftovers == ()
    assert vcenter.states() == {vm_id: "running"}


def without_config(reply: Reply) -> Reply:
    """An answer as the server gives it before it has read a VM's configuration."""
    head, *sets = reply.body.decode().split("<propSet>")
    kept = [part for part in sets[:-1] if "<name>config." not in part and "<name>summary." not in part]
    last = sets[-1] if "<name>config." not in sets[-1] else sets[-1].partition("</propSet>")[2]
    glue = "<propSet>" if "</propSet>" in last else ""
    return Reply(reply.status, ("<propSet>".join([head, *kept]) + glue + last).encode())


# ---- Create on a standalone host


def test_create_vm_on_a_host_copies_and_grows_the_disk(esxi: EsxiHarness, gateway: MakeGateway) -> None:
    """Each step once, in this order, and the disk as large as it is wanted."""
    operation = gateway(esxi).create_vm(spec_of(esxi, disk_gib=5))
    assert operation.vm is not None
    assert operation.vm.status is VMStatus.RUNNING
    changes = [call for call in esxi.operations() if call.endswith("_Task") or call == "MakeDirectory"]
    assert changes == [
        "SearchDatastore_Task",
        "MakeDirectory",
        "CopyVirtualDisk_Task",
        "ExtendVirtualDisk_Task",
        "CreateVM_Task",
        "PowerOnVM_Task",
    ]
    # The simulator does not tell a disk's size that it did not make; its description on the datastore does.
    assert esxi.disk_sectors("web1.vmdk") == 5 * 1024 * 1024 * 2


def test_create_vm_on_a_host_of_an_iso_has_an_empty_disk(esxi: EsxiHarness, gateway: MakeGateway) -> None:
    """And the image in its drive; of 32 GiB where the machine type says nothing."""
    esxi.put_file("images", "installer.iso")
    operation = gateway(esxi).create_vm(spec_of(esxi, image="[LocalDS_0] images/installer.iso"))
    assert operation.vm is not None
    assert disk_gib(esxi, operation.vm.id) == 32
    devices = seen(esxi, operation.vm.id, "config.hardware.device")
    drives = [device for device in devices if isinstance(device, vim.vm.device.VirtualCdrom)]
    assert "[LocalDS_0] images/installer.iso" in [getattr(drive.backing, "fileName", "") for drive in drives]
    assert "CopyVirtualDisk_Task" not in esxi.operations()


@pytest.mark.parametrize(
    "operation",
    ["MakeDirectory", "CopyVirtualDisk_Task", "ExtendVirtualDisk_Task", "CreateVM_Task", "PowerOnVM_Task"],
)
@pytest.mark.parametrize("lost", [False, True], ids=["refused", "lost"])
def test_create_vm_on_a_host_that_fails_leaves_no_file(
    esxi: EsxiHarness,
    gateway: MakeGateway,
    operation: str,
    lost: bool,  # noqa: FBT001 # a parameter
) -> None:
    """Whatever step it is that the host refuses, or does and does not answer."""
    before = esxi.objects()
    rule = Rule(operation, cut=True, after=True) if lost else Rule(operation, reply=RESTRICTED)
    esxi.proxy.add(rule)
    with pytest.raises(ProviderError) as raised:
        gateway(esxi).create_vm(spec_of(esxi, disk_gib=5))
    assert esxi.objects() == before
    assert all(leftover.removed for leftover in raised.value.leftovers)
    if not lost:
        assert isinstance(raised.value, PermissionDeniedError)
        assert "free licence" in raised.value.detail


def test_create_vm_on_a_host_whose_folder_a_retry_finds_is_a_conflict(esxi: EsxiHarness, gateway: MakeGateway) -> None:
    """The earlier request with the key is at work, or was cut off: its folder is not taken away from it."""
    caller, wanted = gateway(esxi), spec_of(esxi, idempotency=Idempotency("k", "d"))
    vm_id = caller.create_vm(wanted).vm_id or ""
    client = esxi.server.client
    client.wait(ref_of(esxi, vm_id).PowerOffVM_Task())
    ref_of(esxi, vm_id).UnregisterVM()
    before = esxi.objects()
    with pytest.raises(ConflictError, match="still making"):
        caller.create_vm(wanted)
    assert esxi.objects() == before


@pytest.mark.parametrize("image", ["[LocalDS_0] images/no.vmdk", "[LocalDS_0] no/debian-12.vmdk", "[DS7] a.iso"])
def test_create_vm_on_a_host_without_the_image_makes_nothing(
    esxi: EsxiHarness, gateway: MakeGateway, image: str
) -> None:
    """Found out before the folder is made."""
    before = esxi.objects()
    with pytest.raises(UnprocessableError):
        gateway(esxi).create_vm(spec_of(esxi, image=image))
    assert esxi.objects() == before
    assert "MakeDirectory" not in esxi.operations()


def test_create_vm_on_a_host_of_a_template_is_unsupported(esxi: EsxiHarness, gateway: MakeGateway) -> None:
    """Before any change; the simulator would clone, a real host does not."""
    with pytest.raises(UnsupportedError, match=r"\.vmdk"):
        gateway(esxi).create_vm(spec_of(esxi, image="debian-12"))
    assert not [call for call in esxi.operations() if call.endswith("_Task")]


# ---- Power


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_stop_and_restart_without_tools_are_forced_at_once_in_auto_mode(
    vcenter: VcsimHarness, gateway: MakeGateway, verb: str
) -> None:
    """There is nobody to wait for."""
    (vm_id,) = vcenter.seed(1)
    for operation in ("ShutdownGuest", "RebootGuest"):
        vcenter.proxy.add(Rule(operation, reply=NO_TOOLS))
    caller = gateway(vcenter)
    change = caller.stop_vm if verb == "stop" else caller.restart_vm
    assert change(vm_id, StopMode.AUTO, 60).done
    assert ("PowerOffVM_Task" if verb == "stop" else "ResetVM_Task") in vcenter.operations()
    assert vcenter.states() == {vm_id: "stopped" if verb == "stop" else "running"}


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_stop_and_restart_without_tools_are_a_conflict_in_graceful_mode(
    vcenter: VcsimHarness, gateway: MakeGateway, verb: str
) -> None:
    """The answer says why, and what can be done."""
    (vm_id,) = vcenter.seed(1)
    for operation in ("ShutdownGuest", "RebootGuest"):
        vcenter.proxy.add(Rule(operation, reply=NO_TOOLS))
    caller = gateway(vcenter)
    change = caller.stop_vm if verb == "stop" else caller.restart_vm
    with pytest.raises(ConflictError, match="Tools") as raised:
        change(vm_id, StopMode.GRACEFUL, 60)
    assert "mode=force" in raised.value.detail
    assert vcenter.states() == {vm_id: "running"}


@pytest.mark.parametrize("mode", StopMode)
def test_stop_of_a_stopped_vm_without_tools_succeeds(
    vcenter: VcsimHarness, gateway: MakeGateway, mode: StopMode
) -> None:
    """A server may name the Tools first that do not run, where nothing runs."""
    (vm_id,) = vcenter.seed(1, state="stopped")
    vcenter.proxy.add(Rule("ShutdownGuest", reply=NO_TOOLS))
    assert gateway(vcenter).stop_vm(vm_id, mode, 1).done


def test_stop_of_a_suspended_vm_cuts_it_off_or_is_a_conflict(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """Its guest hears nothing."""
    (vm_id,) = vcenter.seed(1)
    vcenter.server.client.wait(ref_of(vcenter, vm_id).SuspendVM_Task())
    caller = gateway(vcenter)
    assert caller.get_vm(vm_id).status is VMStatus.SUSPENDED
    with pytest.raises(ConflictError, match="suspended"):
        caller.stop_vm(vm_id, StopMode.GRACEFUL, 1)
    with pytest.raises(ConflictError):
        caller.restart_vm(vm_id, StopMode.AUTO, 1)
    assert caller.stop_vm(vm_id, StopMode.AUTO, 1).done
    assert vcenter.states() == {vm_id: "stopped"}


def test_delete_of_a_suspended_vm_succeeds(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """It does not run, and is no template."""
    (vm_id,) = vcenter.seed(1)
    vcenter.server.client.wait(ref_of(vcenter, vm_id).SuspendVM_Task())
    assert gateway(vcenter).delete_vm(vm_id).done
    assert vcenter.states() == {}


def test_delete_that_may_only_cut_the_power_starts_the_vm_again(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """And says so."""
    (vm_id,) = vcenter.seed(1)
    vcenter.proxy.add(Rule("Destroy_Task", reply=fault("NoPermission", "Permission was denied.")))
    with pytest.raises(PermissionDeniedError, match="started again"):
        gateway(vcenter).delete_vm(vm_id)
    assert vcenter.states() == {vm_id: "running"}


def test_start_of_a_vm_that_asks_a_question_tells_it(vcenter: VcsimHarness, gateway: MakeGateway) -> None:
    """It would wait for ever."""
    (vm_id,) = vcenter.seed(1, state="stopped")
    moref = ref_of(vcenter, vm_id)._moId
    asks = (
        '<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="Task">task-1</obj><propSet>'
        '<name>info.state</name><val xsi:type="TaskInfoState">running</val></propSet></objects><objects>'
        f'<obj type="VirtualMachine">{moref}</obj><propSet><name>runtime.question</name><val '
        'xsi:type="VirtualMachineQuestionInfo"><id>0</id><text>Did you move it or copy it?</text></val></propSet>'
        "</objects></returnval></RetrievePropertiesExResponse>"
    )
    vcenter.proxy.add(Rule("RetrievePropertiesEx", about=TASK_LOOK, reply=soap(asks)))
    with pytest.raises(ConflictError, match="move it or copy it"):
        gateway(vcenter).start_vm(vm_id)


@pytest.mark.parametrize("verb", ["start", "stop", "delete", "create"])
def test_operation_whose_task_the_server_has_forgotten_is_judged_by_the_vm(
    vcenter: VcsimHarness, gateway: MakeGateway, verb: str
) -> None:
    """VCenter keeps tasks for some minutes, and the caller may come later."""
    caller = gateway(vcenter)
    (vm_id,) = vcenter.seed(1, state="stopped" if verb == "start" else "running")
    operation = {
        "start": lambda: caller.start_vm(vm_id, AT_ONCE),
        "stop": lambda: caller.stop_vm(vm_id, StopMode.FORCE, 1, AT_ONCE),
        "delete": lambda: caller.delete_vm(vm_id, AT_ONCE),
        "create": lambda: caller.create_vm(spec_of(vcenter), AT_ONCE),
    }[verb]()
    if verb == "create":
        wait_until(lambda: operation.vm_id in vcenter.states())
    task = json.loads(operation.handle)["task"]
    gone = fault("ManagedObjectNotFound", "The object has already been deleted.", f'<obj type="Task">{task}</obj>')
    vcenter.proxy.add(Rule("RetrievePropertiesEx", about=TASK_LOOK, reply=gone))
    ended = caller.poll(operation)
    assert (ended.done, ended.failure) == (True, None)
    if verb == "create":
        assert ended.vm is not None
        assert ended.vm.id in vcenter.states()
    vcenter.reset_trouble()


def test_operation_about_which_the_server_names_no_object_is_no_crash(
    vcenter: VcsimHarness, gateway: MakeGateway
) -> None:
    """What has gone may be the task or the VM; it is not taken for the task."""
    caller = gateway(vcenter)
    (vm_id,) = vcenter.seed(1, state="stopped")
    operation = caller.start_vm(vm_id, AT_ONCE)
    gone = fault("ManagedObjectNotFound", "The object has already been deleted.")
    vcenter.proxy.add(Rule("RetrievePropertiesEx", about=TASK_LOOK, reply=gone))
    with pytest.raises(VMNotFoundError):
        caller.poll(operation)


def test_delete_by_a_bios_uuid_whose_task_is_forgotten_is_judged_by_that_vm(
    vcenter: VcsimHarness, gateway: MakeGateway
) -> None:
    """That nothing has the id as its instance UUID does not say that the VM is gone."""
    caller = gateway(vcenter)
    (vm_id,) = vcenter.seed(1, state="stopped")
    operation = caller.delete_vm(vm_id, AT_ONCE)
    client, place = vcenter.server.client, vcenter.place()
    _, ref = client.make(place, "stays", running=False)
    bios = str(uuid.uuid4())
    client.wait(ref.ReconfigVM_Task(vim.vm.ConfigSpec(uuid=bios)))
    task = json.loads(operation.handle)["task"]
    gone = fault("ManagedObjectNotFound", "The object has already been deleted.", f'<obj type="Task">{task}</obj>')
    vcenter.proxy.add(Rule("RetrievePropertiesEx", about=TASK_LOOK, reply=gone))
    assert caller.poll(operation).failure is None
    assert caller.poll(replace(operation, vm_id=bios)).failure is not None


def test_create_that_is_followed_late_keeps_a_vm_that_was_stopped_since(
    vcenter: VcsimHarness, gateway: MakeGateway
) -> None:
    """The task is forgotten, and its VM does not run any more: that is no failed create, which would be removed."""
    caller = gateway(vcenter)
    operation = caller.create_vm(spec_of(vcenter), AT_ONCE)
    task = json.loads(operation.handle)["task"]
    client = vcenter.server.client
    client.wait(client.wait(vim.Task(task, client.stub)).PowerOffVM_Task())
    gone = fault("ManagedObjectNotFound", "The object has already been deleted.", f'<obj type="Task">{task}</obj>')
    vcenter.proxy.add(Rule("RetrievePropertiesEx", about=TASK_LOOK, reply=gone))
    ended = caller.poll(operation)
    assert (ended.done, ended.failure) == (True, None)
    assert list(vcenter.states().values()) == ["stopped"]


def test_operation_whose_task_is_forgotten_and_did_not_succeed_is_a_failure(
    vcenter: VcsimHarness, gateway: MakeGateway
) -> None:
    """Never a success by guess."""
    caller = gateway(vcenter)
    (vm_id,) = vcenter.seed(1, state="stopped")
    operation = caller.start_vm(vm_id, AT_ONCE)
    task = json.loads(operation.handle)["task"]
    client = vcenter.server.client
    client.wait(vim.Task(task, client.stub))
    client.wait(ref_of(vcenter, vm_id).PowerOffVM_Task())
    gone = fault("ManagedObjectNotFound", "The object has already been deleted.", f'<obj type="Task">{task}</obj>')
    vcenter.proxy.add(Rule("RetrievePropertiesEx", about=TASK_LOOK, reply=gone))
    ended = caller.poll(operation)
    assert ended.failure is not None
    assert "PowerOnVM_Task" in ended.failure.detail
