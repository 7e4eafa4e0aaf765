"""What creates left behind: found and removed, and nothing that is in use."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.azure.attachments import NetworkInterface, read_nic
from providers.domain import LeftoverResource, StopMode
from providers.errors import ConflictError, PermissionDeniedError, ProviderError
from providers.sandbox.azure import AzureSandbox
from providers.sandbox.faults import Fault
from tests.providers.azure.simulated import AT_ONCE, CREATE, DELETE, SPEC, Caller, objects, operations

DENIED = Fault(times=None, status=403, code="AuthorizationFailed", message="No.")
HOURS_AGO = int(time.time()) - 3 * 3600


def stranded(caller: Caller, code: str, *, name: str = "left") -> None:
    """Let a create fail with this code, and its clean-up at its first step."""
    caller.sandbox.fail_next_operation(CREATE, code)
    for operation in (DELETE, "NetworkInterfaces_Delete", "Disks_Delete"):
        caller.sandbox.faults.add(replace(DENIED, operation=operation))
    with pytest.raises(ProviderError):
        caller.verbs.create_vm(replace(SPEC, name=name))
    caller.sandbox.faults.clear()


def found(caller: Caller) -> list[tuple[str, str, bool]]:
    """Kind, id, and whether it can be removed, of each leftover."""
    return [(one.kind, one.id, one.is_removable) for one in caller.verbs.list_leftovers()]


def remove_all(caller: Caller) -> None:
    """Remove each leftover."""
    for leftover in caller.verbs.list_leftovers():
        caller.verbs.remove_leftover(leftover)


def orphans(caller: Caller) -> list[LeftoverResource]:
    """Let a create fail after its disk was made, and only its VM be removed."""
    sandbox = caller.sandbox
    stranded(caller, "OSProvisioningInternalError")
    sandbox.knobs.deletes_leave_attachments = True
    caller.verbs.delete_vm("left")
    sandbox.knobs.deletes_leave_attachments = False
    return caller.verbs.list_leftovers()


def test_vm_that_never_ran_is_removed_with_its_interface(caller: Caller, sandbox: AzureSandbox) -> None:
    """The interface is no leftover of its own while the VM has it."""
    caller.verbs.create_vm(SPEC)
    before = objects(sandbox)
    stranded(caller, "AllocationFailed")
    (leftover,) = caller.verbs.list_leftovers()
    assert (leftover.kind, leftover.id, leftover.is_removable) == ("vm", "left", True)
    assert "AllocationFailed" in leftover.detail
    assert leftover.created_at is not None
    assert abs((datetime.now(UTC) - leftover.created_at).total_seconds()) < 60
    caller.verbs.remove_leftover(leftover)
    assert objects(sandbox) == before
    caller.verbs.remove_leftover(leftover)


def test_vm_whose_guest_did_not_report_is_listed_only(caller: Caller, sandbox: AzureSandbox) -> None:
    """It may run, and somebody may use it."""
    stranded(caller, "OSProvisioningTimedOut")
    (leftover,) = caller.verbs.list_leftovers()
    assert not leftover.is_removable
    with pytest.raises(ConflictError, match="may be in use"):
        caller.verbs.remove_leftover(leftover)
    with pytest.raises(ConflictError, match="may be in use"):
        caller.verbs.remove_leftover(replace(leftover, is_removable=True))
    assert [vm.name for vm in sandbox.vms()] == ["left"]


def test_vm_whose_later_operation_failed_is_no_leftover(caller: Caller, sandbox: AzureSandbox) -> None:
    """A start that finds no room leaves a VM that has run; so does a failure that comes with no power state."""
    caller.verbs.create_vm(SPEC)
    caller.verbs.stop_vm("Web-1", StopMode.FORCE, 0)
    sandbox.fail_next_operation("VirtualMachines_Start", "AllocationFailed")
    with pytest.raises(ProviderError):
        caller.verbs.start_vm("Web-1")
    assert found(caller) == []
    stranded(caller, "AllocationFailed")
    sandbox.age(86_400, ends=False)
    assert found(caller) == []


def test_vm_of_others_that_failed_is_no_leftover(caller: Caller, sandbox: AzureSandbox) -> None:
    """It does not bear our mark."""
    stranded(caller, "AllocationFailed")
    sandbox.set_tags("left", {"team": "web"})
    assert found(caller) == []


def test_interface_and_disk_without_a_vm_are_removed(caller: Caller, sandbox: AzureSandbox) -> None:
    """The age of both is in their names."""
    caller.verbs.create_vm(SPEC)
    before = objects(sandbox)
    disk, nic = orphans(caller)
    assert (disk.kind, nic.kind) == ("disk", "nic")
    assert disk.is_removable
    assert nic.is_removable
    for one in (disk, nic):
        assert one.created_at is not None
        assert abs((datetime.now(UTC) - one.created_at).total_seconds()) < 60
    remove_all(caller)
    assert objects(sandbox) == before


def test_age_does_not_depend_on_the_clock_of_the_cloud(caller: Caller, sandbox: AzureSandbox) -> None:
    """Azure's clock is two hours slow, and the leftovers are new."""
    orphans(caller)
    stranded(caller, "AllocationFailed", name="other")
    sandbox.age(7200)
    found = caller.verbs.list_leftovers()
    assert {one.kind for one in found} == {"vm", "disk", "nic"}
    for one in found:
        assert one.created_at is not None
        assert abs((datetime.now(UTC) - one.created_at).total_seconds()) < 600


def test_disk_that_a_vm_has_used_is_listed_only(caller: Caller, sandbox: AzureSandbox) -> None:
    """Somebody may have kept it for its data."""
    caller.verbs.create_vm(SPEC)
    sandbox.age(30 * 60)
    sandbox.knobs.deletes_leave_attachments = True
    caller.verbs.delete_vm("Web-1")
    assert [(kind, removable) for kind, _, removable in found(caller)] == [("disk", False), ("nic", True)]
    with pytest.raises(ConflictError, match="a VM has used it"):
        caller.verbs.remove_leftover(caller.verbs.list_leftovers()[0])
    assert len(sandbox.disks()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "web-nic",
        "web-nic-0123456789",
        "web-nic-0123456789abcdeg",
        # No time at which this service has made anything.
        "web-nic-0000000100000000",
        "web-nic-ffffffff00000000",
        "web-os-{:08x}00000000",
        "web-nic-{:08x}00000000-more",
    ],
)
def test_interface_with_a_similar_name_is_no_leftover(caller: Caller, sandbox: AzureSandbox, name: str) -> None:
    """It is somebody else's."""
    sandbox.add_network_interface(name.format(HOURS_AGO))
    assert found(caller) == []


def test_interface_of_a_known_age_is_found_with_what_azure_adds(caller: Caller, sandbox: AzureSandbox) -> None:
    """In whatever case; marks of version 1.0.0 hold no time."""
    names = [f"Web-NIC-{HOURS_AGO:08X}0000000A", f"web-nic-{HOURS_AGO:08x}0000000b-12345678", "web-nic-0123456789ab"]
    for name in names:
        sandbox.add_network_interface(name)
    leftovers = {one.id: one.created_at for one in caller.verbs.list_leftovers()}
    made_at = datetime.fromtimestamp(HOURS_AGO, UTC)
    assert leftovers == {names[0]: made_at, names[1]: made_at, names[2]: None}
    remove_all(caller)
    assert objects(sandbox) == []


def test_interface_that_was_put_to_use_stays(caller: Caller, sandbox: AzureSandbox) -> None:
    """A tag is a sign that somebody keeps it; one that a VM has by now is no leftover any more."""
    name = f"web-nic-{HOURS_AGO:08x}0000000a"
    sandbox.add_network_interface(name)
    (leftover,) = caller.verbs.list_leftovers()
    sandbox.tag_network_interface(name, {"owner": "me"})
    assert found(caller) == [("nic", name, False)]
    with pytest.raises(ConflictError, match="may be in use"):
        caller.verbs.remove_leftover(leftover)
    sandbox.seed(1)
    sandbox.give_network_interface(name, "vm-0001")
    assert found(caller) == []
    with pytest.raises(ConflictError, match="in use by now"):
        caller.verbs.remove_leftover(leftover)
    assert name in objects(sandbox)


@pytest.mark.parametrize(
    ("interface", "address"),
    [
        ({"networkSecurityGroup": {"id": "group"}}, {}),
        ({"enableIPForwarding": True}, {}),
        ({"dnsSettings": {"dnsServers": ["10.0.0.4"]}}, {}),
        ({}, {"privateIPAllocationMethod": "Static", "privateIPAddress": "10.0.0.9"}),
        ({}, {"publicIPAddress": {"id": "address"}}),
        ({}, {"loadBalancerBackendAddressPools": [{"id": "pool"}]}),
        ({}, {"loadBalancerInboundNatRules": [{"id": "rule"}]}),
        ({}, {"applicationGatewayBackendAddressPools": [{"id": "pool"}]}),
        ({}, {"applicationSecurityGroups": [{"id": "group"}]}),
        ({}, {"virtualNetworkTaps": [{"id": "tap"}]}),
    ],
    ids=lambda changes: next(iter(changes), ""),
)
def test_interface_with_more_than_a_create_gives_it_is_altered(
    interface: dict[str, object], address: dict[str, object]
) -> None:
    """Somebody has put it to use, and may have kept it without a VM, for its address for one."""
    usual = {"primary": True, "privateIPAllocationMethod": "Dynamic", "privateIPAddress": "10.0.0.4"}
    settings = {"dnsSettings": {"dnsServers": []}, "enableIPForwarding": False}

    def read(*addresses: dict[str, object], **changes: object) -> NetworkInterface:
        configurations = [{"name": "primary", "properties": one} for one in addresses]
        return read_nic({"name": "web-nic", "properties": {"ipConfigurations": configurations, **settings, **changes}})

    assert not read(usual).is_altered
    assert read({**usual, **address}, **interface).is_altered
    assert read(usual, usual).is_altered


def test_leftovers_of_another_region_are_another_environments(caller: Caller) -> None:
    """They may share the resource group."""
    orphans(caller)
    stranded(caller, "AllocationFailed", name="other")
    assert len(caller.verbs.list_leftovers()) == 3
    assert caller.elsewhere(region="northeurope").list_leftovers() == []


def test_create_that_runs_owns_what_it_makes(caller: Caller, sandbox: AzureSandbox) -> None:
    """Its VM names them."""
    sandbox.knobs.task_seconds = 60
    caller.verbs.create_vm(SPEC, AT_ONCE)
    assert found(caller) == []
    sandbox.finish_operations()
    assert found(caller) == []


def test_removal_that_is_refused_is_told(caller: Caller, sandbox: AzureSandbox) -> None:
    """In Azure's words."""
    stranded(caller, "AllocationFailed")
    (leftover,) = caller.verbs.list_leftovers()
    sandbox.faults.add(replace(DENIED, operation=DELETE))
    with pytest.raises(PermissionDeniedError):
        caller.verbs.remove_leftover(leftover)


def test_list_takes_three_calls_and_one_for_each_failed_vm(caller: Caller, sandbox: AzureSandbox) -> None:
    """VMs that run cost nothing more."""
    caller.verbs.create_vm(SPEC)
    stranded(caller, "AllocationFailed")
    sandbox.calls.clear()
    caller.verbs.list_leftovers()
    assert sorted(operations(sandbox)) == [
        "Disks_ListByResourceGroup",
        "NetworkInterfaces_List",
        "VirtualMachines_Get",
        "VirtualMachines_List",
    ]
