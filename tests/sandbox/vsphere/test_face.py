"""The vSphere simulator's face: faults as data, calls, seeds, records, many callers at once and many VMs."""

import time
from http.client import HTTPException
from typing import Any
from xml.parsers.expat import ExpatError

import pytest
from pyVmomi import SoapAdapter, vim, vmodl

from providers.sandbox.authority import Authority
from providers.sandbox.faults import Call, Cut, Fault
from providers.sandbox.vsphere import SOURCE_VM, TEMPLATE, USER, VSphereSandbox
from tests.sandbox.vsphere.client import LEAVES, Client, refusal
from tests.support.threads import at_once


def test_planned_fault_is_vspheres_own_and_befalls_once(vcenter: VSphereSandbox, user: Client) -> None:
    """By its type's name, with its own words or with others."""
    vcenter.faults.add(Fault("RetrievePropertiesEx", code="NotAuthenticated"))
    vcenter.faults.add(Fault("FindByUuid", code="HostCommunication", message="No host there."))
    with refusal(vim.fault.NotAuthenticated, "The session is not authenticated."):
        user.read(user.content.rootFolder, "name")
    with refusal(vmodl.fault.HostCommunication, "No host there."):
        user.find("x")
    assert user.one(user.content.rootFolder, "name") == "Datacenters"


def test_planned_fault_comes_before_the_work_or_after_it(vcenter: VSphereSandbox, user: Client) -> None:
    """With `after`, the VM starts, and the answer is lost."""
    vm = user.vm(SOURCE_VM)
    vcenter.faults.add(Fault("PowerOnVM_Task", code="TaskInProgress"))
    vcenter.faults.add(Fault("PowerOnVM_Task", cut=Cut.ANSWER, after=True))
    with refusal(vim.fault.TaskInProgress):
        vm.PowerOnVM_Task()
    assert vcenter.tasks() == ()
    with pytest.raises((OSError, HTTPException)):
        vm.PowerOnVM_Task()
    assert [task.method for task in vcenter.tasks()] == ["PowerOnVM_Task"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=503), HTTPException),
        (Fault(status=502, body=b"<html>Bad gateway</html>"), HTTPException),
        (Fault(body=b"<html>Sign in"), ExpatError),
        (Fault(status=500, body=b""), ExpatError),
        (Fault(cut=Cut.ANSWER), (OSError, HTTPException)),
        (Fault(cut=Cut.BODY), (OSError, HTTPException, ExpatError)),
    ],
)
def test_what_no_vsphere_answers_breaks_the_call(
    vcenter: VSphereSandbox, user: Client, fault: Fault, expected: Any
) -> None:
    """A proxy's pages, and connections that end too early."""
    vcenter.faults.add(fault)
    with pytest.raises(expected):
        user.content.sessionManager.SessionIsActive("x", "y")
    assert user.content.sessionManager.SessionIsActive("x", "y") is False


@pytest.mark.parametrize(
    "name",
    ["NoPermission", "ManagedObjectNotFound", "InvalidPowerState", "TaskInProgress", "DuplicateName", "FileNotFound"],
)
def test_planned_fault_has_all_the_fields_that_it_has_to_have(vcenter: VSphereSandbox, user: Client, name: str) -> None:
    """References are to the object of the call, where they can be; at the call's answer, and at a task's end."""
    vm = user.vm(SOURCE_VM)
    vcenter.faults.add(Fault("PowerOnVM_Task", code=name))
    with pytest.raises(vmodl.MethodFault) as caught:
        vm.PowerOnVM_Task()
    assert type(caught.value).__name__.endswith(name)
    assert vm in {getattr(caught.value, "object", vm), getattr(caught.value, "obj", vm)}
    vcenter.fail_next_task("PowerOnVM_Task", name)
    with pytest.raises(vmodl.MethodFault) as caught:
        user.done(vm.PowerOnVM_Task())
    assert type(caught.value).__name__.endswith(name)


def test_delay_only_slows_the_call(vcenter: VSphereSandbox, user: Client) -> None:
    """The answer is as ever."""
    vcenter.faults.add(Fault("Fetch", delay_seconds=0.1))
    began = time.monotonic()
    assert user.content.rootFolder.name == "Datacenters"
    assert time.monotonic() - began >= 0.1


def test_unknown_name_of_a_fault_is_refused(vcenter: VSphereSandbox) -> None:
    """When it is planned for a task; a type that is no fault is none."""
    for name in ("Oops", "VirtualMachine"):
        with pytest.raises(KeyError):
            vcenter.fail_next_task("CloneVM_Task", name)


def test_calls_are_counted_by_their_names(vcenter: VSphereSandbox, user: Client) -> None:
    """With their statuses; those on a connection that is kept make no other."""
    vcenter.calls.clear()
    connections = vcenter.server.connections
    user.read(user.content.rootFolder, "name")
    with refusal(vmodl.query.InvalidProperty):
        user.read(user.content.rootFolder, "colour")
    assert vcenter.calls.list() == (Call("RetrievePropertiesEx", 200), Call("RetrievePropertiesEx", 500))
    assert vcenter.server.connections == connections


def test_long_answer_is_compressed_for_whom_it_may(vcenter: VSphereSandbox, authority: Authority) -> None:
    """As pyvmomi asks for by default."""
    vcenter.seed(50)
    user = Client(vcenter, authority)
    stub = SoapAdapter.SoapStubAdapter(
        host="127.0.0.1",
        port=vcenter.server.port,
        version=user.stub.version,
        sslContext=user.stub.schemeArgs["context"],
    )
    plain, user.stub = user.stub, stub
    plain.DropConnections()
    user.content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
    found = user.log_in().contents(user.view(vim.VirtualMachine), [(vim.VirtualMachine, LEAVES)])
    assert len(found) == 52
    user.close()


def test_seeds_are_vms_in_their_states(vcenter: VSphereSandbox) -> None:
    """With their names in order, in a folder, with tools or without."""
    running = vcenter.seed(2, prefix="a", folder="Production/Web")
    (stopped,) = vcenter.seed(1, prefix="b", state="stopped", tools=False)
    (suspended,) = vcenter.seed(1, prefix="c", state="suspended")
    assert [vm.instance_uuid for vm in vcenter.vms()] == [*running, stopped, suspended]
    assert [vm.name for vm in vcenter.vms()] == ["a-0001", "a-0002", "b-0001", "c-0001"]
    assert [vm.power_state for vm in vcenter.vms()][1:] == ["poweredOn", "poweredOff", "suspended"]
    assert {vm.folder for vm in vcenter.vms()} == {"Production/Web", ""}
    assert vcenter.vm(running[0]).addresses != vcenter.vm(running[1]).addresses
    with pytest.raises(KeyError):
        vcenter.seed(1, folder="Nothing")


def test_vm_is_named_by_any_of_its_ids(vcenter: VSphereSandbox) -> None:
    """Instance UUID, BIOS UUID, managed object id, name; what there is not is a KeyError."""
    (vm_id,) = vcenter.seed(1)
    record = vcenter.vm(vm_id)
    assert [vcenter.vm(name) for name in (record.bios_uuid, record.moid, record.name)] == [record] * 3
    with pytest.raises(KeyError):
        vcenter.vm("nothing")


def test_equipment_is_told_apart(vcenter: VSphereSandbox) -> None:
    """The VM and the template of the start, and their files, are told on demand only."""
    assert (vcenter.vms(), vcenter.vms(templates=True), vcenter.files()) == ((), (), ())
    assert {vm.name for vm in vcenter.vms(templates=True, equipment=True)} == {TEMPLATE, SOURCE_VM}


def test_reset_brings_the_start_back(vcenter: VSphereSandbox, user: Client) -> None:
    """VMs, sessions, knobs, users, faults and calls."""
    vcenter.seed(1)
    vcenter.knobs.task_seconds = 7.0
    vcenter.faults.add(Fault())
    vcenter.reset()
    assert (vcenter.vms(), vcenter.sessions(), vcenter.logins, vcenter.calls.list()) == ((), (), 0, ())
    assert vcenter.knobs.task_seconds == 0.02
    user.log_in()
    assert vcenter.sessions() == (USER,)


def test_preparation_survives_a_reset(authority: Authority) -> None:
    """What a test's environment has besides is there again."""
    sandbox = VSphereSandbox(authority, prepare=lambda self: self.add_datacenter("Second"))
    sandbox.reset()
    with sandbox:
        user = Client(sandbox, authority).log_in()
        assert set(user.all(vim.Datacenter)) == {"Datacenter1", "Second"}
        user.close()


def test_many_callers_are_served_at_once(vcenter: VSphereSandbox, authority: Authority) -> None:
    """Each with a session of its own: power, lists and clones from 64 threads."""
    ids = vcenter.seed(64, state="stopped")
    clients = [Client(vcenter, authority) for _ in ids]

    def work(number: int) -> str:
        client = clients[number].log_in()
        vm = client.find(ids[number])
        client.done(vm.PowerOnVM_Task(), seconds=60)
        client.contents(client.view(vim.VirtualMachine), [(vim.VirtualMachine, LEAVES)])
        client.done(vm.PowerOffVM_Task(), seconds=60)
        client.done(vm.Destroy_Task(), seconds=60)
        client.content.sessionManager.Logout()
        client.close()
        return "done"

    assert at_once(len(ids), work) == ["done"] * 64
    assert (vcenter.vms(), vcenter.files(), vcenter.sessions(), vcenter.logins) == ((), (), (), 64)


def test_answer_without_a_limit_has_all_vms(vcenter: VSphereSandbox, user: Client) -> None:
    """With the template and the VM that are there from the start."""
    vcenter.seed(101)
    assert len(user.contents(user.view(vim.VirtualMachine), [(vim.VirtualMachine, LEAVES)])) == 103
