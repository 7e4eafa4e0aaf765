"""Environments that leave things blank: fine where the choice is unique; an error that lists the choices elsewhere."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from providers.errors import UnprocessableError
from providers.sandbox.faults import Fault
from providers.sandbox.vsphere import (
    CLUSTER,
    DATACENTER,
    DATASTORES,
    ESXI_HOST,
    FOLDERS,
    HOSTS,
    NETWORKS,
    POOL,
    TEMPLATE,
)
from tests.providers.vsphere.site import GIB, Site

TYPES = {"network": vim.Network, "datastore": vim.Datastore}


def test_create_in_a_blank_environment_works(site: Site) -> None:
    """Of the fields of the old service's file only the URL is given: everything is unique, or the template's own."""
    vm_id = site.create()
    vm = site.sandbox.vm(vm_id)
    if site.kind == "vcenter":
        template = site.sandbox.vm(TEMPLATE)
        assert (vm.datastore, vm.networks, vm.folder) == (template.datastore, template.networks, "")
        assert (vm.datacenter, vm.pool, vm.host in HOSTS) == (DATACENTER, "Resources", True)
    else:
        assert (vm.datastore, vm.networks, vm.host) == (DATASTORES[0], (NETWORKS[0],), ESXI_HOST)
    assert [one.id for one in site.gateway().list_vms() if one.name == "test1"] == [vm_id]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"region": DATACENTER}, {"datacenter": DATACENTER}),
        ({"vpc_id": f"cluster/{CLUSTER}"}, {"pool": "Resources"}),
        ({"vpc_id": f"host/{HOSTS[1]}"}, {"host": HOSTS[1]}),
        ({"vpc_id": f"pool/{POOL}"}, {"pool": POOL}),
        ({"vpc_id": f"pool/{CLUSTER}/{POOL}"}, {"pool": POOL}),
        ({"network_id": NETWORKS[1]}, {"networks": (NETWORKS[1],)}),
        ({"storage_external_id": DATASTORES[1]}, {"datastore": DATASTORES[1]}),
        ({"project": FOLDERS[0]}, {"folder": FOLDERS[0]}),
        ({"project": f"/{FOLDERS[1]}/"}, {"folder": FOLDERS[1]}),
    ],
)
def test_create_on_vcenter_goes_where_each_key_says(
    center: Site, changed: dict[str, str], expected: dict[str, object]
) -> None:
    """One at a time, the others blank."""
    vm = center.sandbox.vm(center.create(gateway=center.gateway(place=changed)))
    assert {key: getattr(vm, key) for key in expected} == expected
    assert all(f"[{vm.datastore}]" in disk.file for disk in vm.disks)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"region": "ha-datacenter"}, {}),
        ({"vpc_id": f"host/{ESXI_HOST}"}, {"host": ESXI_HOST}),
        ({"network_id": "Second"}, {"networks": ("Second",)}),
        ({"storage_external_id": "small"}, {"datastore": "small"}),
    ],
)
def test_create_on_a_host_goes_where_each_key_says(
    host: Site, changed: dict[str, str], expected: dict[str, object]
) -> None:
    """One at a time; the network has to be named, as there are two."""
    host.sandbox.add_network("Second")
    host.sandbox.add_datastore("small", capacity_bytes=100 * GIB)
    vm = host.sandbox.vm(host.create(gateway=host.gateway(place={"network_id": NETWORKS[0], **changed})))
    assert {key: getattr(vm, key) for key in expected} == expected


def test_create_on_a_host_takes_the_datastore_with_most_space(host: Site) -> None:
    """Of those that can be reached."""
    host.sandbox.add_datastore("larger", capacity_bytes=4096 * GIB)
    host.sandbox.add_datastore("largest", capacity_bytes=8192 * GIB)
    host.sandbox.set_datastore("largest", accessible=False)
    assert host.sandbox.vm(host.create()).datastore == "larger"


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("region", [DATACENTER, "Datacenter2"]),
        ("vpc_id", [f"cluster/{CLUSTER}", "host/esx9.sandbox"]),
    ],
)
def test_create_where_a_blank_is_ambiguous_lists_the_choices(center: Site, key: str, choices: list[str]) -> None:
    """Before any change, and each choice then works as it is written there."""
    center.sandbox.add_cluster("esx9.sandbox", ["esx9.sandbox"])
    if key == "region":
        center.sandbox.add_datacenter()
    error = center.failed()
    assert isinstance(error, UnprocessableError)
    assert f"`{key}`: " in error.detail
    assert all(choice in error.detail for choice in choices)
    assert center.made() == []
    assert center.sandbox.tasks() == ()


def test_create_where_a_blank_network_is_ambiguous_lists_the_choices(host: Site) -> None:
    """On a host there is no template to take it from."""
    host.sandbox.add_network("Second")
    error = host.failed()
    assert isinstance(error, UnprocessableError)
    assert all(name in error.detail for name in ("`network_id`", NETWORKS[0], "Second"))
    assert host.made() == []


@pytest.mark.parametrize("key", ["region", "vpc_id", "network_id", "storage_external_id", "project"])
def test_create_where_a_name_is_not_there_lists_the_choices(site: Site, key: str) -> None:
    """Each key, on either kind of server, before any change."""
    with pytest.raises(UnprocessableError) as caught:
        site.gateway(place={key: "cluster/Nowhere" if key == "vpc_id" else "Nowhere"}).create_vm(site.spec())
    assert f"`{key}`" in caught.value.detail
    assert "Nowhere" in caught.value.detail
    center, host = {
        "region": (DATACENTER, "ha-datacenter"),
        "vpc_id": (CLUSTER, ESXI_HOST),
        "network_id": (NETWORKS[1], NETWORKS[0]),
        "storage_external_id": (DATASTORES[1], DATASTORES[0]),
        "project": (FOLDERS[1], "none"),
    }[key]
    assert (center if site.kind == "vcenter" else host) in caught.value.detail
    assert site.made() == []
    assert "MakeDirectory" not in site.operations()


@pytest.mark.parametrize(
    ("name", "wanted"), [("Web%2fEU", "Web/EU"), ("50%25 off", "50% off"), ("größe ☃", "größe ☃"), ("a%5cb", "a\\b")]
)
def test_create_in_a_folder_with_an_odd_name_finds_it(center: Site, name: str, wanted: str) -> None:
    """By the name that people see in the client; the server escapes what has a meaning in paths."""
    center.sandbox.add_folder(name)
    vm = center.sandbox.vm(center.create(gateway=center.gateway(project=wanted)))
    assert vm.folder == name


@pytest.mark.parametrize("kind", ["datastore", "network"])
def test_create_on_things_with_odd_names_finds_them(site: Site, kind: str) -> None:
    """Spaces, slashes, letters of all kinds."""
    if kind == "network":
        site.sandbox.add_network("VLAN 7%2f8 größe")
        vm_id = site.create(gateway=site.gateway(network_id="VLAN 7/8 größe"))
        assert site.sandbox.vm(vm_id).networks == ("VLAN 7%2f8 größe",)
    else:
        site.sandbox.add_datastore("größe 7")
        vm_id = site.create(gateway=site.gateway(storage_external_id="größe 7"))
        assert site.sandbox.vm(vm_id).datastore == "größe 7"
        site.gateway().delete_vm(vm_id)
        assert site.made() == []


def test_create_in_one_of_two_folders_of_one_name_is_not_a_guess(center: Site) -> None:
    """A folder `Web/EU`, and a folder `EU` in `Web`: their paths read the same."""
    center.sandbox.add_folder("Web%2fEU")
    center.sandbox.add_folder("Web/EU")
    with pytest.raises(UnprocessableError, match="`project`"):
        center.gateway(project="Web/EU").create_vm(center.spec())
    assert center.made() == []


def test_create_with_names_that_two_datacenters_have_stays_in_its_own(center: Site) -> None:
    """Clusters, datastores and networks of the same names."""
    center.sandbox.add_datacenter("Datacenter2", cluster=CLUSTER, hosts=HOSTS)
    center.sandbox.add_folder(FOLDERS[0], datacenter="Datacenter2")
    gateway = center.gateway(
        region=DATACENTER,
        vpc_id=f"cluster/{CLUSTER}",
        network_id=NETWORKS[1],
        storage_external_id=DATASTORES[1],
        project=FOLDERS[0],
    )
    vm = center.sandbox.vm(center.create(gateway=gateway))
    assert (vm.datacenter, vm.folder, vm.datastore) == (DATACENTER, FOLDERS[0], DATASTORES[1])


def test_create_of_a_template_of_another_datacenter_is_unprocessable(center: Site) -> None:
    """What stands outside of the environment is not used, even under the same name."""
    center.sandbox.add_datacenter("Datacenter2")
    with pytest.raises(UnprocessableError, match=TEMPLATE):
        center.gateway(region="Datacenter2").create_vm(center.spec())
    assert center.made() == []


def test_create_of_an_ambiguous_template_is_unprocessable(center: Site) -> None:
    """Two VMs in two folders have the name: neither is guessed, and a path says which."""
    for folder in FOLDERS:
        center.sandbox.seed(1, prefix="golden", folder=folder, state="stopped")
    before = center.made()
    assert isinstance(center.failed("golden-0001"), UnprocessableError)
    assert center.made() == before
    assert center.create(f"{FOLDERS[0]}/golden-0001")


def test_create_on_an_uplink_is_unprocessable(center: Site) -> None:
    """The port group of a switch's uplinks is no network for VMs."""
    center.sandbox.add_network("Uplinks", uplink=True)
    with pytest.raises(UnprocessableError) as caught:
        center.gateway(network_id="Uplinks").create_vm(center.spec())
    assert "Uplinks" not in caught.value.detail.partition("`network_id`")[2]
    assert center.made() == []


@pytest.mark.parametrize("kind", ["network", "datastore"])
def test_create_where_two_have_the_name_lists_their_ids(center: Site, kind: str) -> None:
    """Twins, such as a host's network and a port group, are told apart by the server's own ids."""
    key = {"network": "network_id", "datastore": "storage_external_id"}[kind]
    for distributed in (False, True):
        if kind == "network":
            center.sandbox.add_network("Twin", distributed=distributed)
        else:
            center.sandbox.add_datastore("Twin")
    with center.stranger() as stranger:
        found = stranger.contents(stranger.view(type_ := TYPES[kind]), [(type_, ("name",))])
    ids = {one.obj._moId for one in found if one.propSet[0].val == "Twin"}
    with pytest.raises(UnprocessableError, match=f"'Twin' is not there, or not unique.*`{key}`: ") as caught:
        center.gateway(place={key: "Twin"}).create_vm(center.spec())
    assert len(ids & set(caught.value.detail.partition(f"`{key}`: ")[2].rstrip(".").split(", "))) == 2
    assert center.made() == []


@pytest.mark.parametrize("region", ["", DATACENTER])
def test_list_where_two_datacenters_have_the_name_lists_their_ids(center: Site, region: str) -> None:
    """In two folders there may be two of one name: whose VMs are meant is not guessed."""
    (theirs,) = center.sandbox.seed(1)
    center.sandbox.add_datacenter(DATACENTER)
    with pytest.raises(UnprocessableError, match="`region`: ") as caught:
        center.gateway(region=region).list_vms()
    ids = caught.value.detail.partition("`region`: ")[2].rstrip(".").split(", ")
    assert len(ids) == 2
    found = [{vm.id for vm in center.gateway(name=one, region=one).list_vms()} for one in ids]
    assert [theirs in ours for ours in found].count(True) == 1


@pytest.mark.parametrize("key", ["network_id", "storage_external_id"])
def test_create_after_what_was_missing_is_there_works_at_once(site: Site, key: str) -> None:
    """What was looked up before it came is not kept against it."""
    gateway = site.gateway(name="late", place={key: "Late"})
    with pytest.raises(UnprocessableError, match="Late"):
        gateway.create_vm(site.spec())
    if key == "network_id":
        site.sandbox.add_network("Late")
    else:
        site.sandbox.add_datastore("Late")
    assert site.create(gateway=gateway)


def test_create_of_a_template_whose_folder_came_later_works_at_once(center: Site) -> None:
    """The same for the path of an image."""
    assert isinstance(center.failed("later/golden-0001"), UnprocessableError)
    center.sandbox.add_folder("later")
    center.sandbox.seed(1, prefix="golden", folder="later", state="stopped")
    assert center.create("later/golden-0001")


@pytest.mark.parametrize(("name", "wanted"), [("50%25 off", "50% off"), ("a%5cb", "a\\b"), ("größe", "größe")])
@pytest.mark.parametrize("folder", ["", f"{FOLDERS[0]}/"])
def test_create_of_a_template_with_an_odd_name_finds_it(center: Site, name: str, wanted: str, folder: str) -> None:
    """By the name that people see in the client, alone or at the end of a path."""
    (vm_id,) = center.sandbox.seed(1, prefix="odd", folder=folder.rstrip("/"), state="stopped")
    center.sandbox.rename(vm_id, name)
    assert center.create(f"{folder}{wanted}")


def test_create_on_a_host_whose_datastore_has_gone_is_unprocessable(host: Site) -> None:
    """What is not there is not the VM, which is only to be made."""
    host.sandbox.faults.add(Fault("SearchDatastore_Task", code="ManagedObjectNotFound"))
    assert isinstance(host.failed(), UnprocessableError)
    assert host.create()
