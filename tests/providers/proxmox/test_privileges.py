"""The least that a token must be given: with it everything works, and without any of it something is denied."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from providers.credentials import Credentials
from providers.domain import StopMode
from providers.errors import PermissionDeniedError, ProviderError
from providers.gateway import Backends
from providers.sandbox.authority import Authority
from providers.sandbox.proxmox import IMPORT_IMAGE, ISO_IMAGE, TEMPLATE_ID, TOKEN_SECRET
from tests.providers.proxmox.cluster import QEMU, TEMPLATE_IMAGE, Pve, running_pve, spec
from tests.providers.reached import NETWORK
from tests.support.limits import LIMITS
from tests.support.readme import quoted_in_table

pytestmark = pytest.mark.slow

Role = Mapping[str, frozenset[str]]

# On /vms.
VMS = frozenset(
    {
        "VM.Allocate",
        "VM.Audit",
        "VM.Clone",
        "VM.Config.CDROM",
        "VM.Config.CPU",
        "VM.Config.Disk",
        "VM.Config.HWType",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.PowerMgmt",
    }
)
# On the storage of the disks, of the images with cloud-init and the installers, and of the disk images.
DISKS = frozenset({"Datastore.AllocateSpace"})
# `Datastore.Allocate` is what PVE asks for to delete an image; it holds all that is asked for to attach one.
ISOS = frozenset({"Datastore.Allocate", "Datastore.AllocateTemplate"})
# On the storage of an image that lies elsewhere.
ELSEWHERE = frozenset({"Datastore.Audit"})
# On the bridge, as a VNet of the zone `localnetwork`; PVE asks for it since 8.0.
BRIDGES = frozenset({"SDN.Use"})
# On /vms, where the template has a cloud-init drive of PVE's own: ours takes its place.
CLOUD_INIT = frozenset({"VM.Config.Cloudinit"})
# What only makes more visible: without it `GET /vm/{id}` tells no addresses.
AGENT = {"9.0": "VM.GuestAgent.Audit", "7.4": "VM.Monitor"}

ROLES: Mapping[str, Role] = {
    "9.0": {
        "/vms": VMS,
        "/storage/local-lvm": DISKS,
        "/storage/local": ISOS,
        "/sdn/zones/localnetwork/vmbr0": BRIDGES,
    },
    "7.4": {"/vms": VMS, "/storage/local-lvm": DISKS, "/storage/local": ISOS},
}
EACH = [(version, path, one) for version, role in ROLES.items() for path, held in role.items() for one in sorted(held)]
TOKEN = "demo@sandbox!least"


def without(role: Role, path: str, privilege: str) -> Role:
    """The role, less one privilege on one path."""
    return {**role, path: role[path] - {privilege}}


def live(pve: Pve, role: Role, image: str, **environment: Any) -> list[str]:
    """A VM's life with a token of these privileges; what was denied in its course."""
    pve.sandbox.add_token(TOKEN, TOKEN_SECRET, privileges=role)
    gateway = pve.gateway(
        Credentials(TOKEN, TOKEN_SECRET), backends=(backends := Backends(NETWORK, LIMITS)), **environment
    )
    denied: list[str] = []
    vm_id = ""
    try:
        vm_id = pve.create(image, gateway)
    except ProviderError as error:
        denied.append(told(error))
        # What it may do with VMs that others have made.
        vm_id = str(pve.sandbox.seed(1)[0])
    steps = (
        lambda: gateway.get_vm(vm_id),
        lambda: gateway.restart_vm(vm_id, StopMode.FORCE, 0),
        lambda: gateway.stop_vm(vm_id, StopMode.AUTO, 5),
        lambda: gateway.start_vm(vm_id),
        lambda: gateway.delete_vm(vm_id),
    )
    if vm_id not in {vm.id for vm in gateway.list_vms()}:
        denied.append("not listed: VM.Audit")
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


@pytest.mark.parametrize("version", ROLES)
@pytest.mark.parametrize("image", [IMPORT_IMAGE, TEMPLATE_IMAGE, ISO_IMAGE])
def test_token_with_the_least_role_can_do_every_verb(pve: Pve, version: str, image: str) -> None:
    """For a token with privilege separation, from create to delete, and nothing is left."""
    pve.sandbox.set_version(version)
    assert live(pve, ROLES[version], image) == []
    assert [vm.id for vm in pve.sandbox.vms()] == []


def test_token_without_one_privilege_is_denied_a_verb(authority: Authority) -> None:
    """Without it some verb is denied, in words that name it; with three kinds of image and a whole life."""

    def run(case: tuple[str, str, str]) -> str:
        version, path, privilege = case
        with running_pve(authority) as pve:
            pve.sandbox.set_version(version)
            role = without(ROLES[version], path, privilege)
            denied = [text for image in (IMPORT_IMAGE, TEMPLATE_IMAGE) for text in live(pve, role, image)]
        return "" if any(privilege in text for text in denied) else f"{version} {path} {privilege}: {denied}"

    with ThreadPoolExecutor(14) as pool:
        wrong = [complaint for complaint in pool.map(run, EACH) if complaint]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("version", ROLES)
@pytest.mark.parametrize("image", [IMPORT_IMAGE, ISO_IMAGE])
def test_new_vms_need_no_privilege_for_their_cd_drives(pve: Pve, version: str, image: str) -> None:
    """PVE asks for it where a drive of a VM that there is changes, as a clone's does."""
    pve.sandbox.set_version(version)
    assert live(pve, without(ROLES[version], "/vms", "VM.Config.CDROM"), image) == []


@pytest.mark.parametrize("version", ROLES)
def test_privilege_for_the_agent_makes_addresses_visible(pve: Pve, version: str) -> None:
    """And is not needed for anything else."""
    pve.sandbox.set_version(version)
    (vm_id,) = pve.sandbox.seed(1)
    seen = []
    for number, more in enumerate((frozenset[str](), frozenset({AGENT[version]}))):
        token = f"{TOKEN}{number}"
        pve.sandbox.add_token(token, TOKEN_SECRET, privileges={"/vms": VMS | more})
        seen.append(pve.gateway(Credentials(token, TOKEN_SECRET)).get_vm(str(vm_id)).ip_addresses)
    assert seen[0] == ()
    assert seen[1] == pve.sandbox.vm(vm_id).addresses


def test_token_without_any_privilege_sees_no_vm(pve: Pve) -> None:
    """A token with privilege separation has none of its user's."""
    pve.sandbox.seed(2)
    pve.sandbox.add_token(TOKEN, TOKEN_SECRET, privileges={})
    gateway = pve.gateway(Credentials(TOKEN, TOKEN_SECRET))
    assert gateway.list_vms() == []
    with pytest.raises(PermissionDeniedError, match=r"VM\.Audit"):
        gateway.get_vm("100")
    with pytest.raises(ProviderError):
        gateway.create_vm(spec())
    assert TEMPLATE_ID not in {vm.id for vm in pve.sandbox.vms()}
    assert pve.made()[1] == [volume.id for volume in pve.sandbox.volumes(content="images")]


def test_image_on_a_storage_of_its_own_needs_a_look_there(pve: Pve) -> None:
    """No more than that, and in words that name it."""
    image = "nfs:import/debian-12.qcow2"
    pve.sandbox.add_volume(image, size_bytes=2 << 30)
    role = {**ROLES["9.0"], "/storage/nfs": ELSEWHERE}
    assert live(pve, role, image) == []
    assert any(
        "/storage/nfs, Datastore." in text
        for text in live(pve, without(role, "/storage/nfs", "Datastore.Audit"), image)
    )


def test_template_with_a_cloud_init_drive_needs_a_privilege_more(pve: Pve) -> None:
    """Named where it is missing."""
    pve.stranger().data("PUT", f"{QEMU}/{TEMPLATE_ID}/config", ide2="local-lvm:cloudinit")
    role = ROLES["9.0"]
    (denied, *_) = live(pve, role, TEMPLATE_IMAGE)
    assert "VM.Config.Cloudinit" in denied
    assert live(pve, {**role, "/vms": VMS | CLOUD_INIT}, TEMPLATE_IMAGE) == []


def test_template_on_another_bridge_needs_a_privilege_for_it(pve: Pve) -> None:
    """PVE looks at the bridge that is given up, too."""
    zone = "/sdn/zones/localnetwork"
    role = {**without(ROLES["9.0"], f"{zone}/vmbr0", "SDN.Use"), f"{zone}/vmbr1": BRIDGES}
    (denied, *_) = live(pve, role, TEMPLATE_IMAGE, network_id="vmbr1")
    assert f"{zone}/vmbr0, SDN.Use" in denied
    assert live(pve, {**role, f"{zone}/vmbr0": BRIDGES}, TEMPLATE_IMAGE, network_id="vmbr1") == []


def test_disk_of_another_vm_needs_the_privilege_to_clone_it(pve: Pve) -> None:
    """As a template does; one that lies with a VM that does not exist any more, too."""
    image = "local-lvm:vm-900-disk-0"
    pve.sandbox.add_volume(image, size_bytes=2 << 30)
    (denied, *_) = live(pve, without(ROLES["9.0"], "/vms", "VM.Clone"), image)
    assert "/vms/900, VM.Clone" in denied
    assert live(pve, ROLES["9.0"], image) == []


def test_readme_lists_the_privileges_of_a_token() -> None:
    """All of them and no others."""
    listed = set(
        quoted_in_table("### Proxmox VE", "| Path | Privileges | For |", r"`((?:VM|Datastore|SDN)\.[A-Za-z.]+)`")
    )
    held = {privilege for role in ROLES.values() for privileges in role.values() for privilege in privileges}
    assert listed == held | set(AGENT.values()) | ELSEWHERE | CLOUD_INIT
