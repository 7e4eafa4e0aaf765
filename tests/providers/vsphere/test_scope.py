"""What a list shows, and what verbs touch: the VMs of one datacenter, all of them, and no template."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from providers.domain import StopMode, VMStatus
from providers.errors import UnprocessableError, VMNotFoundError
from providers.gateway import Gateway
from providers.sandbox.faults import Fault
from providers.sandbox.vsphere import DATACENTER, SOURCE_VM, TEMPLATE
from providers.vsphere.driver import VSphereDriver
from tests.providers.reached import NETWORK
from tests.providers.vsphere.site import DEMO, Site

ELSEWHERE = "Elsewhere"
NEXT = "ContinueRetrievePropertiesEx"
VERBS: dict[str, Callable[[Gateway, str], object]] = {
    "get": lambda gateway, vm_id: gateway.get_vm(vm_id),
    "start": lambda gateway, vm_id: gateway.start_vm(vm_id),
    "stop": lambda gateway, vm_id: gateway.stop_vm(vm_id, StopMode.AUTO, 1),
    "graceful stop": lambda gateway, vm_id: gateway.stop_vm(vm_id, StopMode.GRACEFUL, 1),
    "forced stop": lambda gateway, vm_id: gateway.stop_vm(vm_id, StopMode.FORCE, 1),
    "restart": lambda gateway, vm_id: gateway.restart_vm(vm_id, StopMode.AUTO, 1),
    "graceful restart": lambda gateway, vm_id: gateway.restart_vm(vm_id, StopMode.GRACEFUL, 1),
    "forced restart": lambda gateway, vm_id: gateway.restart_vm(vm_id, StopMode.FORCE, 1),
    "delete": lambda gateway, vm_id: gateway.delete_vm(vm_id),
}


@pytest.mark.parametrize("size", [1, 7, 30, 31])
def test_list_from_a_server_with_smaller_pages_is_complete(site: Site, size: int) -> None:
    """It may give less than is asked for; whether the last page is full or not."""
    ids = site.sandbox.seed(30)
    site.sandbox.knobs.page_objects = size
    found = [vm.id for vm in site.gateway().list_vms()]
    assert sorted(one for one in found if one in ids) == sorted(ids)
    assert len(found) == len(set(found))


@pytest.mark.slow
def test_list_has_one_page_in_memory_at_a_time(site: Site) -> None:
    """Three times as many VMs take no more of it, and a page is asked for when it is needed."""
    driver = VSphereDriver.open(site.environment(), DEMO, NETWORK)

    def peak(count: int) -> int:
        site.sandbox.seed(count, prefix=f"p{count}")
        # The simulator, in the same process, has its answer ready before it is measured.
        vms = iter(driver.list_vms())
        next(vms)
        gc.collect()
        tracemalloc.start()
        for _ in vms:
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    site.sandbox.knobs.page_objects = 100
    few, many = peak(200), peak(800)
    driver.close()
    assert many < 2 * few, (few, many)


def test_list_asks_for_a_page_when_it_is_needed(site: Site) -> None:
    """Not before."""
    site.sandbox.seed(300)
    site.sandbox.knobs.page_objects = 100
    driver = VSphereDriver.open(site.environment(), DEMO, NETWORK)
    vms = iter(driver.list_vms())
    site.sandbox.calls.clear()
    next(vms)
    assert site.sandbox.calls.count(NEXT) == 0
    for _ in range(250):
        next(vms)
    assert site.sandbox.calls.count(NEXT) == 2
    driver.close()


@pytest.mark.parametrize(
    ("inaccessible", "statuses"), [(False, {VMStatus.CREATING}), (True, {VMStatus.UNKNOWN, VMStatus.ERROR})]
)
def test_list_shows_vms_without_config_and_the_others(
    site: Site,
    statuses: set[VMStatus],
    *,
    inaccessible: bool,
) -> None:
    """One is just being made, or its files cannot be read; the cloud's own word is told."""
    first, second = site.sandbox.seed(2)
    site.sandbox.hide_config(first, inaccessible=inaccessible)
    seen = {vm.id: vm for vm in site.gateway().list_vms()}
    assert seen[second].status is VMStatus.RUNNING
    if first in seen:
        assert seen[first].status in statuses
        assert (seen[first].cpus, seen[first].provider_status) == (
            None,
            "inaccessible" if inaccessible else "poweredOn",
        )
    else:
        # Nobody knows its id.
        assert site.sandbox.vm(first).name not in {vm.name for vm in seen.values()}


def test_template_is_not_listed_and_touched_by_no_verb(center: Site) -> None:
    """A template is no VM for us, although vCenter calls it one."""
    template = center.sandbox.vm(TEMPLATE)
    center.sandbox.seed(1)
    assert template.instance_uuid not in {vm.id for vm in center.gateway().list_vms()}
    for verb in VERBS.values():
        for vm_id in (template.instance_uuid, template.bios_uuid):
            with pytest.raises(VMNotFoundError):
                verb(center.gateway(), vm_id)
    center.rest()
    assert center.sandbox.vm(TEMPLATE) == template


def test_template_whose_config_is_hidden_is_still_none(center: Site) -> None:
    """Its summary tells, or it is not shown."""
    template = center.sandbox.vm(TEMPLATE)
    center.sandbox.hide_config(TEMPLATE, inaccessible=True)
    assert TEMPLATE not in {vm.name for vm in center.gateway().list_vms()}
    with pytest.raises(VMNotFoundError):
        center.gateway().delete_vm(template.instance_uuid)


@pytest.mark.parametrize("verb", VERBS)
def test_vm_of_another_datacenter_is_not_touched(center: Site, verb: str) -> None:
    """Of the same name, with the same credentials."""
    center.sandbox.add_datacenter(ELSEWHERE)
    (theirs,) = center.sandbox.seed(1, datacenter=ELSEWHERE)
    (ours,) = center.sandbox.seed(1)
    before = center.sandbox.vm(theirs)
    gateway = center.gateway(region=DATACENTER)
    assert theirs not in {vm.id for vm in gateway.list_vms()}
    for vm_id in (theirs, before.bios_uuid):
        with pytest.raises(VMNotFoundError):
            VERBS[verb](gateway, vm_id)
    assert center.sandbox.vm(theirs) == before
    assert ours in {vm.id for vm in gateway.list_vms()}


def test_list_shows_vms_of_all_folders(center: Site) -> None:
    """However deep; namesakes in two folders are two."""
    ids = [center.sandbox.seed(1, folder=folder)[0] for folder in ("", "Production", "Production/Web")]
    found = {vm.id: vm.name for vm in center.gateway().list_vms()}
    assert [found[one] for one in ids] == ["vm-0001"] * 3


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a%2fb", "a/b"),
        ("50%25", "50%"),
        ("c%5cd", "c\\d"),
        ("%252f", "%2f"),
        ("%2525", "%25"),
        ("größe ☃", "größe ☃"),
        ("<b>&", "<b>&"),
    ],
)
def test_vm_is_shown_by_the_name_that_people_gave_it(site: Site, name: str, shown: str) -> None:
    """VSphere escapes slashes, backslashes and percent signs (ManagedEntity.name in the API reference)."""
    (vm_id,) = site.sandbox.seed(1)
    site.sandbox.rename(vm_id, name)
    assert shown in {vm.name for vm in site.gateway().list_vms()}
    assert site.gateway().get_vm(vm_id).name == shown


def test_vm_by_a_bios_uuid_that_several_have_is_not_found(site: Site) -> None:
    """Older clients know VMs by it; where it is not unique none is meant, and none is touched."""
    first, second = site.sandbox.seed(2)
    bios = site.sandbox.vm(first).bios_uuid
    assert site.gateway().get_vm(bios.upper()).id == first
    site.sandbox.set_bios_uuid(second, bios)
    with pytest.raises(VMNotFoundError, match="2 VMs"):
        site.gateway().delete_vm(bios)
    assert len({vm.instance_uuid for vm in site.sandbox.vms()} & {first, second}) == 2


def test_instance_uuid_goes_before_a_bios_uuid(site: Site) -> None:
    """A VM whose BIOS UUID is another's id is not mistaken for that."""
    first, second = site.sandbox.seed(2)
    site.sandbox.set_bios_uuid(second, first)
    site.gateway().delete_vm(first)
    assert second in {vm.instance_uuid for vm in site.sandbox.vms()}
    assert first not in {vm.instance_uuid for vm in site.sandbox.vms()}


def test_vm_that_vanishes_while_it_is_asked_about_is_not_found(site: Site) -> None:
    """Somebody has deleted it in between."""
    (vm_id,) = site.sandbox.seed(1)
    site.gateway().list_vms()
    site.sandbox.faults.add(Fault("PowerOffVM_Task", code="ManagedObjectNotFound"))
    with pytest.raises(VMNotFoundError):
        site.gateway().delete_vm(vm_id)


def test_source_vm_is_a_vm_like_any_other(center: Site) -> None:
    """What is no template is listed, even if VMs are made of it."""
    assert SOURCE_VM in {vm.name for vm in center.gateway().list_vms()}


def test_list_in_no_datacenter_is_unprocessable(center: Site) -> None:
    """Never an empty list."""
    with pytest.raises(UnprocessableError, match=DATACENTER):
        center.gateway(region="Nowhere").list_vms()
