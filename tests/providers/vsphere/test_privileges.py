"""The least that a user must be given: with it everything works, and without any of it something is denied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from pyVmomi import vim

from providers.credentials import Credentials
from providers.domain import StopMode
from providers.errors import PermissionDeniedError, ProviderError
from providers.gateway import Backends
from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import ISO_IMAGE, NETWORKS, SOURCE_VM, TEMPLATE, VMDK_IMAGE
from tests.providers.reached import NETWORK
from tests.providers.vsphere.site import Kind, Site, side_by_side
from tests.support.limits import LIMITS
from tests.support.readme import quoted_in_table

pytestmark = pytest.mark.slow

POWER: Final = frozenset({f"VirtualMachine.Interact.{verb}" for verb in ("PowerOn", "PowerOff", "Reset")})
PLACES: Final = frozenset({"Resource.AssignVMToPool", "Datastore.AllocateSpace", "Network.Assign"})
ALWAYS: Final = POWER | PLACES | {"VirtualMachine.Inventory.Delete", "VirtualMachine.Config.AdvancedConfig"}
CENTER: Final = ALWAYS | {
    "VirtualMachine.Inventory.CreateFromExisting",
    "VirtualMachine.Provisioning.DeployTemplate",
    "VirtualMachine.Config.AddNewDisk",
    "VirtualMachine.Config.Annotation",
    "VirtualMachine.Config.CPUCount",
    "VirtualMachine.Config.DiskExtend",
    "VirtualMachine.Config.Memory",
    "VirtualMachine.Config.Settings",
}
HOST: Final = ALWAYS | {
    "VirtualMachine.Inventory.Create",
    "VirtualMachine.Config.AddExistingDisk",
    "VirtualMachine.Config.AddNewDisk",
    "Datastore.Browse",
    "Datastore.FileManagement",
}
# Some machine types and environments take more.
A_VM_FOR_AN_IMAGE: Final = "VirtualMachine.Provisioning.Clone"
A_NETWORK_FOR_CLONES: Final = "VirtualMachine.Config.EditDevice"
AN_INTERFACE_FOR_CLONES: Final = "VirtualMachine.Config.AddRemoveDevice"
# Which of them what kind of image takes.
ROLES: Final[dict[str, tuple[Kind, frozenset[str]]]] = {
    TEMPLATE: ("vcenter", CENTER),
    VMDK_IMAGE: ("esxi", HOST - {"VirtualMachine.Config.AddNewDisk"}),
    ISO_IMAGE: ("esxi", HOST - {"VirtualMachine.Config.AddExistingDisk"}),
}
EACH = [(kind, (image, held, one)) for image, (kind, held) in ROLES.items() for one in sorted(held)]
LEAST = Credentials("least@sandbox", "least-1")


def live(site: Site, privileges: frozenset[str], image: str, **changes: str) -> list[str]:
    """A VM's life by a user of these privileges; what was denied in its course."""
    site.sandbox.add_user(LEAST.access_key, LEAST.secret, privileges)
    gateway = site.gateway(LEAST, backends=(backends := Backends(NETWORK, LIMITS)), place=changes)
    denied: list[str] = []
    vm_id = ""
    try:
        vm_id = site.create(image, gateway, key="key-1")
    except ProviderError as error:
        denied.append(told(error))
        # What it may do with VMs that others have made.
        (vm_id,) = site.sandbox.seed(1)
    steps: tuple[Callable[[], object], ...] = (
        lambda: gateway.get_vm(vm_id),
        lambda: gateway.restart_vm(vm_id, StopMode.FORCE, 0),
        lambda: gateway.stop_vm(vm_id, StopMode.AUTO, 5),
        lambda: gateway.start_vm(vm_id),
        lambda: gateway.restart_vm(vm_id, StopMode.AUTO, 5),
        lambda: gateway.stop_vm(vm_id, StopMode.FORCE, 5),
        lambda: gateway.start_vm(vm_id),
        lambda: gateway.delete_vm(vm_id),
    )
    assert vm_id in {vm.id for vm in gateway.list_vms()}
    for step in steps:
        try:
            step()
        except ProviderError as error:
            denied.append(told(error))
    backends.close()
    return denied


def told(error: ProviderError) -> str:
    """What an error says is missing; anything but a denial is a fault of the list."""
    return error.detail if isinstance(error, PermissionDeniedError) else f"{error.code}: {error.detail}"


def test_user_with_the_least_role_can_do_every_verb(authority: Authority) -> None:
    """From create to delete, and nothing is left."""

    def check(site: Site, image: str) -> str:
        denied = live(site, ROLES[image][1], image)
        return f"{image}: {denied} {site.made()}" if denied or site.made() else ""

    side_by_side(authority, [(kind, image) for image, (kind, _) in ROLES.items()], check)


def test_user_without_one_privilege_is_denied_a_verb(authority: Authority) -> None:
    """Without it some verb is denied, in words that name it; and a create that was denied leaves nothing."""

    def check(site: Site, case: tuple[str, frozenset[str], str]) -> str:
        image, held, one = case
        denied = live(site, held - {one}, image)
        files = [file for file in site.sandbox.files() if "test1" in file and one not in KEEPS]
        wrong = [text for text in denied if text.split(":")[0] in {"backend_error", "internal_error"}]
        fine = any(one in text for text in denied) and not files and not wrong
        return "" if fine else f"{image} without {one}: {denied} {files}"

    side_by_side(authority, EACH, check)


# Without these, who may make a VM cannot remove it.
KEEPS = {"VirtualMachine.Inventory.Delete", "VirtualMachine.Interact.PowerOff"}


def test_vm_as_an_image_takes_another_privilege_than_a_template(center: Site) -> None:
    """To clone it."""
    role = CENTER - {"VirtualMachine.Provisioning.DeployTemplate"}
    assert live(center, role | {A_VM_FOR_AN_IMAGE}, SOURCE_VM) == []
    assert any(A_VM_FOR_AN_IMAGE in text for text in live(center, CENTER, SOURCE_VM))


def test_network_of_the_environment_takes_a_privilege_more(center: Site) -> None:
    """The template's interface is moved."""
    assert live(center, CENTER | {A_NETWORK_FOR_CLONES}, TEMPLATE, network_id=NETWORKS[1]) == []
    assert any(A_NETWORK_FOR_CLONES in text for text in live(center, CENTER, TEMPLATE, network_id=NETWORKS[1]))


def test_network_for_a_template_without_an_interface_takes_another_privilege(center: Site) -> None:
    """It is given one."""
    with center.stranger() as stranger:
        ref = stranger.vm(SOURCE_VM)
        cards = [
            device
            for device in stranger.one(ref, "config.hardware.device")
            if isinstance(device, vim.vm.device.VirtualEthernetCard)
        ]
        changes = [vim.vm.device.VirtualDeviceSpec(operation="remove", device=card) for card in cards]
        stranger.done(ref.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes)))
        ref.MarkAsTemplate()
    assert live(center, CENTER | {AN_INTERFACE_FOR_CLONES}, SOURCE_VM, network_id=NETWORKS[1]) == []
    assert any(AN_INTERFACE_FOR_CLONES in text for text in live(center, CENTER, SOURCE_VM, network_id=NETWORKS[1]))


def test_user_without_any_privilege_changes_nothing(site: Site) -> None:
    """Reading is part of every role."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.add_user(LEAST.access_key, LEAST.secret, ())
    gateway = site.gateway(LEAST)
    before = site.made()
    assert vm_id in {vm.id for vm in gateway.list_vms()}
    verbs: tuple[Callable[[], object], ...] = (
        lambda: gateway.delete_vm(vm_id),
        lambda: gateway.stop_vm(vm_id, StopMode.AUTO, 1),
        lambda: gateway.restart_vm(vm_id, StopMode.FORCE, 1),
        lambda: gateway.create_vm(site.spec()),
    )
    for verb in verbs:
        with pytest.raises(PermissionDeniedError, match="privilege"):
            verb()
    assert site.made() == before


def test_user_who_may_see_nothing_is_shown_nothing(center: Site) -> None:
    """No access at all: no VM, and words that say where to look."""
    (vm_id,) = center.sandbox.seed(1)
    center.sandbox.add_user(LEAST.access_key, LEAST.secret, ())
    center.sandbox.set_permission(LEAST.access_key, "group-d1", ())
    gateway = center.gateway(LEAST)
    with pytest.raises(ProviderError, match="region"):
        gateway.list_vms()
    with pytest.raises(ProviderError):
        gateway.delete_vm(vm_id)
    assert len(center.sandbox.vms()) == 1


def test_readme_lists_the_privileges_of_a_user() -> None:
    """All of them and no others."""
    listed = set(
        quoted_in_table(
            "### ESXi and vCenter",
            "| Privileges | For |",
            r"`((?:VirtualMachine|Datastore|Network|Resource)\.[A-Za-z.]+)`",
        )
    )
    assert listed == CENTER | HOST | {A_VM_FOR_AN_IMAGE, A_NETWORK_FOR_CLONES, AN_INTERFACE_FOR_CLONES}
