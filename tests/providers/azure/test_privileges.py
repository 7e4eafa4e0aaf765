"""The least role: with it everything works, and without any of its actions something is denied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from providers.domain import Idempotency, StopMode, VMStatus
from providers.errors import PermissionDeniedError, ProviderError, UnavailableError
from providers.sandbox import azure
from providers.sandbox.azure import AzureSandbox
from tests.providers.azure.simulated import CREATE, GROUP, SPEC, Caller, operations
from tests.support.readme import quoted_in_table

pytestmark = pytest.mark.slow

# The least role of the documentation: what each verb needs, and what removing a failed create needs.
LEAST = (
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Compute/virtualMachines/start/action",
    "Microsoft.Compute/virtualMachines/restart/action",
    "Microsoft.Compute/virtualMachines/deallocate/action",
    "Microsoft.Compute/virtualMachines/powerOff/action",
    "Microsoft.Compute/disks/write",
    "Microsoft.Compute/disks/delete",
    "Microsoft.Network/networkInterfaces/read",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/networkInterfaces/delete",
    "Microsoft.Network/networkInterfaces/join/action",
)
# On the subnet, and on an image of the caller's own.
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
IMAGE = "Microsoft.Compute/images/read"
# A clean-up needs it only where the VM does not name its interface.
READ_NIC = "Microsoft.Network/networkInterfaces/read"
# What `manage.py leftovers` needs beyond these.
LEFTOVERS = "Microsoft.Compute/disks/read"
# Those of Azure's own role for readers of galleries, which are not simulated.
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/compute#compute-gallery-image-reader
GALLERY = ("Microsoft.Compute/galleries/images/read", "Microsoft.Compute/galleries/images/versions/read")


def test_verbs_with_the_least_role_on_the_group_all_work(sandbox: AzureSandbox, another: Callable[..., Caller]) -> None:
    """Lists by looks at each VM, as the subscription is not this principal's; nothing more is needed."""
    sandbox.add_principal("least@sandbox", azure.SECRET, actions=LEAST, scope=GROUP)
    sandbox.grant("least@sandbox", (JOIN,), azure.SUBNET_ID)
    least = another(client_id="least@sandbox")
    sandbox.seed(3)
    least.verbs.create_vm(SPEC)
    least.verbs.stop_vm("Web-1", StopMode.FORCE, 1)
    least.verbs.start_vm("Web-1")
    least.verbs.restart_vm("Web-1", StopMode.AUTO, 60)
    assert len(least.verbs.list_vms()) == 4
    sandbox.calls.clear()
    assert {vm.status for vm in least.verbs.list_vms()} == {VMStatus.RUNNING}
    assert operations(sandbox) == ["VirtualMachines_List", *["VirtualMachines_Get"] * 4]
    least.verbs.delete_vm("Web-1")
    sandbox.fail_next_operation(CREATE, "AllocationFailed")
    with pytest.raises(UnavailableError) as raised:
        least.verbs.create_vm(replace(SPEC, name="web-2"))
    assert [(one.kind, one.removed) for one in raised.value.leftovers] == [("vm", True), ("nic", True), ("disk", True)]
    assert len(sandbox.vms()) == len(sandbox.network_interfaces()) == len(sandbox.disks()) == 3


@pytest.mark.parametrize("action", [*sorted({*LEAST} - {READ_NIC}), JOIN])
def test_least_role_without_one_action_lacks_something(
    sandbox: AzureSandbox, another: Callable[..., Caller], action: str
) -> None:
    """Each is there for a reason: a verb, or the removal of what failed."""
    sandbox.add_principal("less@sandbox", azure.SECRET, actions=set(LEAST) - {action}, scope=GROUP)
    if action != JOIN:
        sandbox.grant("less@sandbox", (JOIN,), azure.SUBNET_ID)
    less = another(client_id="less@sandbox")
    sandbox.seed(1)
    attempts: list[Callable[[], object]] = [
        lambda: less.verbs.create_vm(SPEC),
        lambda: less.verbs.restart_vm("vm-0001", StopMode.AUTO, 60),
        lambda: less.verbs.stop_vm("vm-0001", StopMode.FORCE, 1),
        lambda: less.verbs.start_vm("vm-0001"),
        lambda: sandbox.fail_next_operation(CREATE, "AllocationFailed"),
        lambda: less.verbs.create_vm(replace(SPEC, name="web-2")),
        lambda: less.verbs.delete_vm("vm-0001"),
    ]
    refused = [error for error in map(_refusal, attempts) if error is not None]
    denied = any(isinstance(error, PermissionDeniedError) for error in refused)
    assert denied or any(not one.removed for error in refused for one in error.leftovers), refused


def _refusal(attempt: Callable[[], object]) -> ProviderError | None:
    try:
        attempt()
    except ProviderError as error:
        return error
    return None


def test_create_of_an_image_of_ones_own_needs_to_read_it(sandbox: AzureSandbox, another: Callable[..., Caller]) -> None:
    """No more than that, and in words that name it."""
    sandbox.add_principal("least@sandbox", azure.SECRET, actions=LEAST, scope=GROUP)
    sandbox.grant("least@sandbox", (JOIN,), azure.SUBNET_ID)
    least = another(client_id="least@sandbox")
    own = replace(SPEC, offer=replace(SPEC.offer, image=azure.CUSTOM_IMAGE_ID))
    with pytest.raises(PermissionDeniedError, match=IMAGE):
        least.verbs.create_vm(own)
    sandbox.grant("least@sandbox", (IMAGE,), azure.CUSTOM_IMAGE_ID)
    least.verbs.create_vm(own)


def test_leftovers_need_to_read_disks(sandbox: AzureSandbox, another: Callable[..., Caller]) -> None:
    """No more than that beyond the least role."""
    sandbox.add_principal("least@sandbox", azure.SECRET, actions=LEAST, scope=GROUP)
    least = another(client_id="least@sandbox")
    with pytest.raises(PermissionDeniedError, match=LEFTOVERS):
        least.verbs.list_leftovers()
    sandbox.grant("least@sandbox", (LEFTOVERS,), GROUP)
    assert least.verbs.list_leftovers() == []


def test_finishing_a_create_without_start_needs_to_read_disks(
    sandbox: AzureSandbox, another: Callable[..., Caller]
) -> None:
    """Its VM runs, and only the disk tells whether somebody has started it."""
    sandbox.add_principal("least@sandbox", azure.SECRET, actions=LEAST, scope=GROUP)
    sandbox.grant("least@sandbox", (JOIN,), azure.SUBNET_ID)
    least = another(client_id="least@sandbox")
    spec = replace(SPEC, start=False, idempotency=Idempotency("key-1", "digest-1"))
    least.verbs.create_vm(spec)
    sandbox.set_state("Web-1", "running")
    with pytest.raises(PermissionDeniedError, match=LEFTOVERS):
        least.verbs.create_vm(spec)
    sandbox.grant("least@sandbox", (LEFTOVERS,), GROUP)
    least.verbs.create_vm(spec)
    assert sandbox.vm("Web-1").power == "deallocated"


def test_leftovers_need_to_read_interfaces(sandbox: AzureSandbox, another: Callable[..., Caller]) -> None:
    """So does the clean-up of a create whose VM does not name its interface."""
    sandbox.add_principal("less@sandbox", azure.SECRET, actions={*LEAST, LEFTOVERS} - {READ_NIC}, scope=GROUP)
    with pytest.raises(PermissionDeniedError, match=READ_NIC):
        another(client_id="less@sandbox").verbs.list_leftovers()


def test_readme_lists_these_actions_and_no_others() -> None:
    """All of them and no others."""
    listed = quoted_in_table("### Azure", "| Actions | Scope | For |", r"`(Microsoft\.[A-Za-z]+/[A-Za-z/]+)`")
    assert sorted(listed) == sorted([*LEAST, JOIN, IMAGE, LEFTOVERS, *GALLERY])
