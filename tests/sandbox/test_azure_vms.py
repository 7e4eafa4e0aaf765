"""The Azure simulator's VMs: made with what they need, changed, listed, stopped, started and deleted."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.sandbox.azure import (
    CUSTOM_IMAGE_ID,
    RESOURCE_GROUP,
    SMALL_SUBNET_ID,
    SUBNET_ID,
    WINDOWS_IMAGE,
    AzureSandbox,
)
from tests.sandbox.azure import (
    ALL_VMS,
    CUSTOM_DATA,
    DISK_LIST,
    DISKS,
    GROUP,
    NETWORK,
    NICS,
    VMS,
    Caller,
    image_reference,
    nic_configuration,
    refused,
    vm_body,
    vm_path,
)


def test_create_makes_nic_and_disk_as_well(azure: AzureSandbox, arm: Caller) -> None:
    """And the VM runs; the custom data is in no answer."""
    response = arm.create()
    assert (response.status_code, response.json()["properties"]["provisioningState"]) == (201, "Creating")
    assert arm.end_of(response)["status"] == "Succeeded"
    vm = azure.vm("test1")
    assert (vm.power, vm.provisioning, vm.size, vm.addresses) == ("running", "Succeeded", "Standard_B2s", ("10.0.0.4",))
    (nic,), (disk,) = azure.network_interfaces(), azure.disks()
    assert nic.vm == disk.vm == vm.id
    assert azure.custom_data("TEST1") == CUSTOM_DATA
    found = arm.json("GET", vm_path("test1"))
    assert base64.b64encode(CUSTOM_DATA).decode() not in str(found) + response.text
    assert found["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"] == disk.id
    assert found["properties"]["networkProfile"]["networkInterfaces"] == [
        {"id": nic.id, "properties": {"primary": True, "deleteOption": "Delete"}}
    ]


def test_create_is_seen_on_its_way(azure: AzureSandbox, arm: Caller) -> None:
    """First without a power state, and without a disk."""
    azure.knobs.task_seconds = 60
    arm.create()
    assert arm.states("test1") == ["ProvisioningState/creating"]
    disk = arm.json("GET", vm_path("test1"))["properties"]["storageProfile"]["osDisk"]
    assert "name" not in disk
    assert azure.vm("test1").provisioning == "Creating"


def test_create_of_a_name_that_is_taken_is_refused_on_condition(azure: AzureSandbox, arm: Caller) -> None:
    """412, and the VM is as it was; in any case of its name."""
    before = arm.made()
    response = arm.create("TEST1", vm_body("test1", hardwareProfile__vmSize="Standard_D2s_v5"), If_None_Match="*")
    refused(response, 412, "PreconditionFailed")
    assert arm.json("GET", vm_path("test1")) == before
    assert arm.create("test2", If_None_Match="*").status_code == 201


def test_put_without_a_condition_changes_the_vm(azure: AzureSandbox, arm: Caller) -> None:
    """Size and tags; the answer is 200, and the tag another one."""
    before = arm.made()
    body = {
        "location": "westeurope",
        "tags": {"team": "db"},
        "properties": {"hardwareProfile": {"vmSize": "standard_d2s_v5"}},
    }
    response = arm.create("test1", body)
    assert (response.status_code, response.json()["properties"]["provisioningState"]) == (200, "Updating")
    assert arm.end_of(response)["status"] == "Succeeded"
    vm = azure.vm("test1")
    assert (vm.size, vm.tags) == ("Standard_D2s_v5", {"team": "db"})
    assert before["etag"] != response.json()["etag"] == response.headers["ETag"]


def test_put_with_a_tag_is_for_what_was_seen(arm: Caller) -> None:
    """`If-Match` with another tag, or of a VM that there is not, is refused."""
    tag = arm.made()["etag"]
    body = {"location": "westeurope", "tags": {}}
    refused(arm.create("test1", body, If_Match='"7"'), 412, "PreconditionFailed")
    assert arm.end_of(arm.create("test1", body, If_Match=tag))["status"] == "Succeeded"
    refused(arm.create("test2", If_Match="*"), 412, "PreconditionFailed")
    refused(arm.create("test2", If_None_Match='"1"'), 400, "InvalidParameter")


@pytest.mark.parametrize(
    ("path", "value", "target"),
    [
        ("osProfile.customData", base64.b64encode(b"other").decode(), "osProfile.customData"),
        ("osProfile.computerName", "other", "osProfile.computerName"),
        ("osProfile.linuxConfiguration.disablePasswordAuthentication", False, "osProfile.linuxConfiguration"),
        ("storageProfile.imageReference.sku", "12", "imageReference"),
    ],
)
def test_put_that_would_change_what_is_fixed_is_refused(arm: Caller, path: str, value: Any, target: str) -> None:
    """409, with the property's name."""
    arm.made()
    response = arm.create("test1", vm_body("test1", **{path.replace(".", "__"): value}))
    assert target in refused(response, 409, "PropertyChangeNotAllowed")


def test_put_in_another_region_is_refused(arm: Caller) -> None:
    """A VM does not move."""
    arm.made()
    refused(arm.create("test1", {**vm_body(), "location": "northeurope"}), 409, "InvalidResourceLocation")


def test_create_with_an_existing_nic_takes_it_and_leaves_it(azure: AzureSandbox, arm: Caller) -> None:
    """Its deleteOption is not given; nobody else gets it meanwhile."""
    nic_id = azure.add_network_interface("mine")
    body = vm_body(networkProfile={"networkInterfaces": [{"id": nic_id}]})
    found = arm.made("test1", body)
    assert found["properties"]["networkProfile"]["networkInterfaces"] == [{"id": nic_id}]
    refused(arm.create("test2", body), 400, "NetworkInterfaceAlreadyAttached")
    refused(arm.call("DELETE", f"{NICS}/mine", version=NETWORK), 400, "NicInUse")
    assert arm.deleted("test1") == "Succeeded"
    assert [(nic.id, nic.vm) for nic in azure.network_interfaces()] == [(nic_id, None)]


def test_delete_takes_nic_and_disk_along_that_are_to_go(azure: AzureSandbox, arm: Caller) -> None:
    """Nothing is left; a second delete finds nothing to do."""
    arm.made()
    assert arm.end_of(arm.call("DELETE", vm_path("test1"), forceDeletion="true"))["status"] == "Succeeded"
    assert (azure.vms(), azure.network_interfaces(), azure.disks()) == ((), (), ())
    assert arm.call("DELETE", vm_path("test1")).status_code == 204
    refused(arm.call("GET", vm_path("test1")), 404, "NotFound")


def test_delete_leaves_a_disk_that_is_not_to_go(azure: AzureSandbox, arm: Caller) -> None:
    """Detach is the default; it can be deleted by itself then, and so can a network interface."""
    body = vm_body(storageProfile__osDisk={"createOption": "FromImage"})
    nic = body["properties"]["networkProfile"]["networkInterfaceConfigurations"][0]
    del nic["properties"]["deleteOption"]
    arm.made("test1", body)
    disk, interface = azure.disks()[0], azure.network_interfaces()[0]
    refused(arm.call("DELETE", disk.id, version=DISKS), 409, "OperationNotAllowed")
    assert arm.deleted("test1") == "Succeeded"
    assert (azure.disks()[0].vm, azure.network_interfaces()[0].vm) == (None, None)
    assert arm.json("GET", disk.id, version=DISKS)["properties"]["diskState"] == "Unattached"
    assert arm.end_of(arm.call("DELETE", disk.id, version=DISKS))["status"] == "Succeeded"
    assert arm.end_of(arm.call("DELETE", interface.id, version=NETWORK))["status"] == "Succeeded"
    assert (azure.network_interfaces(), azure.disks()) == ((), ())
    assert arm.call("DELETE", disk.id, version=DISKS).status_code == 204
    assert arm.call("DELETE", interface.id, version=NETWORK).status_code == 204


def test_put_changes_what_a_delete_takes_along(azure: AzureSandbox, arm: Caller) -> None:
    """Of a disk and a network interface that were to stay."""
    body = vm_body(storageProfile__osDisk={"createOption": "FromImage"})
    properties = arm.made("test1", body)["properties"]
    (reference,) = properties["networkProfile"]["networkInterfaces"]
    changed = {
        "storageProfile": {"osDisk": {"createOption": "FromImage", "deleteOption": "Delete"}},
        "networkProfile": {"networkInterfaces": [{**reference, "properties": {"deleteOption": "Detach"}}]},
    }
    assert arm.end_of(arm.create("test1", {"location": "westeurope", "properties": changed}))["status"] == "Succeeded"
    assert arm.deleted("test1") == "Succeeded"
    assert (len(azure.network_interfaces()), azure.disks()) == (1, ())


def test_create_with_the_name_of_a_disk_that_there_is_is_refused(azure: AzureSandbox, arm: Caller) -> None:
    """One that was left, for instance."""
    body = vm_body(storageProfile__osDisk={"createOption": "FromImage", "name": "system"})
    arm.made("test1", body)
    assert arm.deleted("test1") == "Succeeded"
    refused(arm.create("test2", body), 409, "ConflictingUserInput")
    assert [disk.name for disk in azure.disks()] == ["system"]


def test_verbs_change_the_power_state(azure: AzureSandbox, arm: Caller) -> None:
    """Off is not deallocated, and a restart is a boot."""
    arm.made()
    assert arm.done("restart", "test1") == "Succeeded"
    assert azure.vm("test1").boots == 2
    assert arm.done("powerOff", "test1", skipShutdown="true") == "Succeeded"
    assert arm.states("test1") == ["ProvisioningState/succeeded", "PowerState/stopped"]
    assert arm.done("deallocate", "test1") == "Succeeded"
    assert arm.states("test1")[1] == "PowerState/deallocated"
    for verb in ("restart", "powerOff"):
        message = refused(arm.call("POST", f"{vm_path('test1')}/{verb}"), 409, "OperationNotAllowed")
        assert message.startswith(f"Operation '{verb}' is not allowed on VM 'test1' since the VM is either deallocated")
    assert arm.done("deallocate", "test1") == "Succeeded"
    assert arm.done("start", "test1") == "Succeeded"
    assert arm.done("start", "test1") == "Succeeded"
    assert (azure.vm("test1").power, azure.vm("test1").boots) == ("running", 3)


@pytest.mark.parametrize(
    ("verb", "before", "meanwhile"),
    [
        ("start", "deallocated", "starting"),
        ("powerOff", "running", "stopping"),
        ("deallocate", "running", "deallocating"),
        ("restart", "running", "running"),
    ],
)
def test_verbs_are_seen_on_their_way(azure: AzureSandbox, arm: Caller, verb: str, before: str, meanwhile: str) -> None:
    """And nothing else may begin until they are done."""
    azure.knobs.task_seconds = 60
    (name,) = azure.seed(1, state=before)
    assert arm.call("POST", f"{vm_path(name)}/{verb}").status_code == 202
    assert arm.states(name) == ["ProvisioningState/updating", f"PowerState/{meanwhile}"]
    refused(arm.call("POST", f"{vm_path(name)}/start"), 409, "Conflict")
    refused(arm.create(name, {"location": "westeurope"}), 409, "Conflict")


def test_delete_is_seen_on_its_way(azure: AzureSandbox, arm: Caller) -> None:
    """Asked once more, it is the same operation; nothing else is allowed any more."""
    azure.knobs.task_seconds = 60
    (name,) = azure.seed(1)
    first, second = arm.call("DELETE", vm_path(name)), arm.call("DELETE", vm_path(name))
    assert arm.states(name) == ["ProvisioningState/deleting", "PowerState/running"]
    paths = [urlsplit(response.headers["Azure-AsyncOperation"]).path for response in (first, second)]
    assert paths[0] == paths[1]
    message = refused(arm.call("POST", f"{vm_path(name)}/start"), 409, "OperationNotAllowed")
    assert "Operation 'start' is not allowed on VM 'vm-0001' since the VM is marked for deletion." in message


def test_guest_that_is_deaf_is_waited_for(azure: AzureSandbox, arm: Caller) -> None:
    """Until the power is cut; with skipShutdown at once."""
    azure.knobs.shutdown_timeout_seconds = 60
    first, second = azure.seed(2)
    azure.ignore_shutdown(first)
    azure.ignore_shutdown(second)
    arm.call("POST", f"{vm_path(first)}/powerOff")
    assert arm.done("powerOff", second, skipShutdown="true") == "Succeeded"
    assert (azure.vm(first).power, azure.vm(second).power) == ("stopping", "stopped")


@pytest.mark.parametrize("query", [{"skipShutdown": "maybe"}, {"hibernate": "true"}])
def test_verb_with_a_parameter_that_does_not_hold_is_refused(
    azure: AzureSandbox, arm: Caller, query: dict[str, Any]
) -> None:
    """A word that is no boolean; hibernation that the VM cannot do."""
    (name,) = azure.seed(1)
    verb = "powerOff" if "skipShutdown" in query else "deallocate"
    assert arm.call("POST", f"{vm_path(name)}/{verb}", **query).status_code in {400, 409}
    assert azure.vm(name).power == "running"


def test_list_is_of_the_group_and_in_pages(azure: AzureSandbox, arm: Caller) -> None:
    """The group is in capitals in every id; the last page has no link."""
    azure.add_resource_group("other")
    azure.seed(5)
    azure.seed(2, group="other")
    azure.knobs.page_size = 2
    found, page, pages = [], arm.json("GET", VMS), 1
    while True:
        found += page["value"]
        if "nextLink" not in page:
            break
        assert page["nextLink"].startswith(azure.url)
        page, pages = arm.follow(page["nextLink"]).json(), pages + 1
    assert ([vm["name"] for vm in found], pages) == ([f"vm-000{number}" for number in range(1, 6)], 3)
    assert {vm["id"] for vm in found} == {vm_path(vm["name"]).replace(RESOURCE_GROUP, "OJ-TEST") for vm in found}
    assert "instanceView" not in found[0]["properties"]


def test_list_of_the_subscription_shows_states_on_demand(azure: AzureSandbox, arm: Caller) -> None:
    """Of all groups; a page at a time."""
    azure.add_resource_group("other")
    azure.seed(2, state="deallocated")
    azure.seed(2, group="other")
    azure.knobs.page_size = 3
    first = arm.json("GET", ALL_VMS, statusOnly="true")
    assert parse_qs(urlsplit(first["nextLink"]).query)["statusonly"] == ["true"]
    second = arm.follow(first["nextLink"]).json()
    views = [vm["properties"]["instanceView"]["statuses"][1]["code"] for vm in first["value"] + second["value"]]
    assert views == ["PowerState/deallocated"] * 2 + ["PowerState/running"] * 2
    assert "instanceView" not in arm.json("GET", ALL_VMS)["value"][0]["properties"]


def test_list_with_the_instance_view_is_for_scale_sets_only(azure: AzureSandbox, arm: Caller) -> None:
    """Without their filter it is refused, with it there is none."""
    azure.seed(1)
    for path in (VMS, ALL_VMS):
        refused(arm.call("GET", path, _expand="instanceView"), 400, "InvalidParameter")
    criterion = f"'virtualMachineScaleSet/id' eq '{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/none'"
    assert arm.json("GET", VMS, _expand="instanceView", _filter=criterion) == {"value": []}
    refused(arm.call("GET", VMS, _filter="name eq 'vm'"), 400, "InvalidParameter")
    refused(arm.call("GET", VMS, _skiptoken="nonsense"), 400, "InvalidParameter")


def test_get_expands_what_it_is_asked_to(arm: Caller) -> None:
    """Instance view and user data, or both; anything else is refused."""
    arm.made("test1", vm_body(userData="dXNlcg=="))
    plain = arm.call("GET", vm_path("test1"))
    assert plain.headers["ETag"] == plain.json()["etag"] == '"1"'
    assert {"instanceView", "userData"}.isdisjoint(plain.json()["properties"])
    both = arm.json("GET", vm_path("test1"), _expand="instanceView,userData")["properties"]
    assert (both["userData"], both["instanceView"]["vmAgent"]["statuses"][0]["displayStatus"]) == ("dXNlcg==", "Ready")
    refused(arm.call("GET", vm_path("test1"), _expand="everything"), 400, "InvalidParameter")


def test_create_from_a_custom_image_and_for_windows_works(azure: AzureSandbox, arm: Caller) -> None:
    """Windows wants a password, which no answer shows."""
    arm.made("test1", vm_body(storageProfile__imageReference={"id": CUSTOM_IMAGE_ID}))
    profile = {"computerName": "test2", "adminUsername": "azureuser", "adminPassword": "Correct-Horse-1"}
    body = vm_body("test2", osProfile=profile, storageProfile__imageReference=image_reference(WINDOWS_IMAGE))
    found = arm.made("test2", body)
    assert found["properties"]["osProfile"]["windowsConfiguration"]["provisionVMAgent"] is True
    assert "Correct-Horse-1" not in str(found)
    assert azure.vm("test2").disk_gib == 127


def test_nics_and_disks_are_listed(azure: AzureSandbox, arm: Caller) -> None:
    """What a VM has can be seen by itself."""
    azure.seed(2)
    subscription = GROUP.partition("/resourceGroups/")[0]
    for path in (NICS, f"{subscription}/providers/Microsoft.Network/networkInterfaces"):
        found = arm.json("GET", path, version=NETWORK)["value"]
        assert [nic["properties"]["virtualMachine"]["id"] for nic in found] == [vm.id for vm in azure.vms()]
    for path in (DISK_LIST, f"{subscription}/providers/Microsoft.Compute/disks"):
        found = arm.json("GET", path, version=DISKS)["value"]
        assert [disk["managedBy"] for disk in found] == [vm.id for vm in azure.vms()]
    nic = arm.json("GET", azure.network_interfaces()[0].id, version=NETWORK)
    assert nic["properties"]["ipConfigurations"][0]["properties"]["subnet"]["id"] == SUBNET_ID


def test_subnet_gives_addresses_until_it_is_full(azure: AzureSandbox, arm: Caller) -> None:
    """Azure keeps five of them; one that is given back can be taken again."""
    for number in range(3):
        arm.made(f"test{number}", vm_body(f"test{number}", subnet_id=SMALL_SUBNET_ID))
    end = arm.end_of(arm.create("full", vm_body("full", subnet_id=SMALL_SUBNET_ID)))
    assert (end["status"], end["error"]["code"]) == ("Failed", "SubnetIsFull")
    assert arm.deleted("test1") == "Succeeded"
    arm.made("again", vm_body("again", subnet_id=SMALL_SUBNET_ID))
    assert azure.vm("again").addresses == ("10.1.0.5",)


def test_create_with_two_nics_needs_one_primary(azure: AzureSandbox, arm: Caller) -> None:
    """Neither none nor both."""
    configurations = [nic_configuration("one"), nic_configuration("two")]
    body = vm_body(networkProfile__networkInterfaceConfigurations=configurations)
    refused(arm.create("test1", body), 400, "VirtualMachineMustHaveOneNetworkInterfaceAsPrimary")
    configurations[1]["properties"]["primary"] = False
    arm.made("test1", body)
    assert len(azure.network_interfaces()) == 2


def test_remove_behind_the_apis_back_leaves_nothing(azure: AzureSandbox, arm: Caller) -> None:
    """The VM has vanished with all that is its own."""
    (name,) = azure.seed(1)
    azure.set_tags(name, {"team": "db"})
    azure.set_state(name, "stopped", provisioning="Failed")
    assert arm.json("GET", vm_path(name))["tags"] == {"team": "db"}
    assert arm.states(name) == ["ProvisioningState/failed", "PowerState/stopped"]
    azure.remove(name)
    arm.create()
    azure.remove("test1")
    assert (azure.vms(), azure.network_interfaces(), azure.disks()) == ((), (), ())


def test_list_of_more_than_a_page_is_complete(azure: AzureSandbox, arm: Caller) -> None:
    """A page has 500 VMs."""
    names = azure.seed(501)
    page = arm.json("GET", VMS)
    found = [vm["name"] for vm in page["value"]]
    while "nextLink" in page:
        page = arm.follow(page["nextLink"]).json()
        found += [vm["name"] for vm in page["value"]]
    assert found == names
    assert azure.calls.count("VirtualMachines_List") == 2
