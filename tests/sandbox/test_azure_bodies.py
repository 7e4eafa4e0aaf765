"""What the Azure simulator takes in a VM's PUT, and what it refuses before anything is made."""

import base64
import json
from typing import Any

import pytest

from providers.sandbox.azure import SUBNET_ID, WINDOWS_IMAGE, AzureSandbox
from tests.sandbox.azure import SSH_KEY, Caller, change, image_reference, refused, vm_body, vm_path

LINUX = "osProfile.linuxConfiguration"
PUBLIC_KEYS = f"{LINUX}.ssh.publicKeys"
KEY_PATH = "/home/azureuser/.ssh/authorized_keys"
NIC = "networkProfile.networkInterfaceConfigurations"
WINDOWS = image_reference(WINDOWS_IMAGE)


def ip_configuration(**properties: Any) -> list[dict[str, Any]]:
    """A network interface with one address of these properties."""
    inner = {"ipConfigurations": [{"name": "ipconfig1", "properties": properties}]}
    return [{"name": "nic", "properties": inner}]


def put(arm: Caller, path: str, value: Any) -> Any:
    """A PUT with one property changed."""
    body = vm_body()
    change(body["properties"], path, value)
    return arm.create("test1", body)


@pytest.mark.parametrize(
    ("path", "value", "target"),
    [
        ("hardwareProfile", None, "hardwareProfile"),
        ("storageProfile", None, "storageProfile"),
        ("osProfile", None, "osProfile"),
        ("networkProfile", None, "networkProfile"),
        ("hardwareProfile.vmSize", "Standard_Nonsense", "vmSize"),
        ("hardwareProfile.vmSize", None, "vmSize"),
        ("storageProfile.imageReference", None, "imageReference"),
        ("storageProfile.imageReference.sku", None, "imageReference.sku"),
        ("storageProfile.osDisk", None, "osDisk"),
        ("storageProfile.osDisk.createOption", None, "osDisk.createOption"),
        ("storageProfile.osDisk.createOption", "Attach", "osDisk.createOption"),
        ("storageProfile.osDisk.osType", "Windows", "osDisk.osType"),
        ("osProfile.computerName", None, "computerName"),
        ("osProfile.computerName", "n" * 65, "computerName"),
        ("osProfile.computerName", "under_score", "computerName"),
        ("osProfile.computerName", "name-", "computerName"),
        ("osProfile.adminUsername", None, "adminUsername"),
        ("osProfile.adminUsername", "Admin", "adminUsername"),
        ("osProfile.adminUsername", "root", "adminUsername"),
        ("osProfile.adminUsername", "u" * 65, "adminUsername"),
        ("osProfile.adminPassword", "simple", "adminPassword"),
        ("osProfile.adminPassword", "Password1", "adminPassword"),
        ("osProfile.customData", "not base64!", "customData"),
        ("osProfile.customData", base64.b64encode(b"x" * 65536).decode(), "customData"),
        ("osProfile.windowsConfiguration", {}, "windowsConfiguration"),
        (LINUX, None, "adminPassword"),
        (LINUX, {"disablePasswordAuthentication": True}, "linuxConfiguration"),
        (PUBLIC_KEYS, [{"path": "/root/.ssh/keys", "keyData": SSH_KEY}], f"{PUBLIC_KEYS.partition('.')[2]}.path"),
        (PUBLIC_KEYS, [{"path": KEY_PATH, "keyData": "ssh-rsa AAAA"}], f"{PUBLIC_KEYS.partition('.')[2]}.keyData"),
        (PUBLIC_KEYS, [{"path": KEY_PATH, "keyData": "not a key"}], f"{PUBLIC_KEYS.partition('.')[2]}.keyData"),
        ("networkProfile", {}, "networkProfile"),
        ("networkProfile.networkInterfaces", [{"id": "x"}], "networkProfile"),
        ("networkProfile.networkApiVersion", None, "networkProfile.networkApiVersion"),
        ("networkProfile.networkApiVersion", "2019-01-01", "networkProfile.networkApiVersion"),
        (NIC, [{"properties": {}}], f"{NIC}.name"),
        (NIC, [{"name": "nic"}], f"{NIC}.ipConfigurations"),
        (NIC, ip_configuration(), f"{NIC}.ipConfigurations.subnet"),
    ],
)
def test_create_with_a_value_that_does_not_hold_is_refused(
    azure: AzureSandbox, arm: Caller, path: str, value: Any, target: str
) -> None:
    """InvalidParameter, with the parameter's name, before anything is made."""
    response = put(arm, path, value)
    refused(response, 400, "InvalidParameter")
    assert response.json()["error"]["target"] == target
    assert (azure.vms(), azure.network_interfaces()) == ((), ())


@pytest.mark.parametrize(
    ("path", "value", "refusal"),
    [
        ("storageProfile.imageReference.sku", "13", (404, "PlatformImageNotFound")),
        ("storageProfile.imageReference.version", "1.2.3", (404, "PlatformImageNotFound")),
        ("storageProfile.imageReference", {"id": "/subscriptions/x"}, (404, "NotFound")),
        ("storageProfile.osDisk.diskSizeGB", 10, (409, "OperationNotAllowed")),
        (NIC, ip_configuration(subnet={"id": f"{SUBNET_ID}x"}), (400, "InvalidResourceReference")),
        (NIC, ip_configuration(subnet={"id": "first-subnet"}), (400, "LinkedInvalidPropertyId")),
        (
            "networkProfile",
            {"networkInterfaces": [{"id": SUBNET_ID.partition("/virtualNetworks")[0] + "/networkInterfaces/none"}]},
            (400, "InvalidResourceReference"),
        ),
    ],
)
def test_create_with_what_is_not_there_is_refused(
    azure: AzureSandbox, arm: Caller, path: str, value: Any, refusal: tuple[int, str]
) -> None:
    """Each with its own code."""
    refused(put(arm, path, value), *refusal)
    assert azure.vms() == ()


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("colour", "red", "Could not find member 'colour' on object of type 'Properties'. Path 'properties.colour',"),
        ("osProfile.colour", "red", "Could not find member 'colour' on object of type 'OSProfile'."),
        ("storageProfile.dataDisks", [{"lun": 0}], "Could not find member 'lun' on object of type 'DataDisk'."),
        ("storageProfile.osDisk.caching", "Some", "Error converting value \"Some\" to type 'CachingTypes'."),
        ("storageProfile.osDisk.diskSizeGB", "ten", 'Error converting value "ten" to type \'System.Nullable`1[System.'),
        ("storageProfile.osDisk.diskSizeGB", True, 'Error converting value "true" to type \'System.Nullable`1[System.'),
        (
            f"{LINUX}.provisionVMAgent",
            "yes",
            'Error converting value "yes" to type \'System.Nullable`1[System.Boolean]',
        ),
        ("osProfile.adminPassword", 12345, "Error converting value to type 'System.String'."),
        (NIC, {}, "to type 'VirtualMachineNetworkInterfaceConfiguration'."),
        ("osProfile", [], "Error converting value to type 'OSProfile'."),
    ],
)
def test_create_with_an_unknown_member_or_type_is_refused(arm: Caller, path: str, value: Any, complaint: str) -> None:
    """In the words of the library that reads it, with path, line and position."""
    response = put(arm, path, value)
    message = refused(response, 400, "BadRequest")
    assert complaint in message
    assert ", line 1, position " in message
    assert "12345" not in message


@pytest.mark.parametrize(
    ("body", "status", "code", "complaint"),
    [
        (
            {**vm_body(), "colour": "red"},
            400,
            "InvalidRequestContent",
            "'colour' on object of type 'ResourceDefinition'",
        ),
        ({**vm_body(), "resources": []}, 400, "InvalidRequestContent", "'resources' on object of type 'ResourceDefi"),
        ({**vm_body(), "tags": {"a": 1}}, 400, "InvalidRequestContent", "Path 'tags'"),
        ({**vm_body(), "zones": "1"}, 400, "InvalidRequestContent", "Path 'zones'"),
        ([], 400, "InvalidRequestContent", "ResourceDefinition"),
        ({"properties": {}}, 400, "LocationRequired", "location"),
        ({**vm_body(), "location": "atlantis"}, 400, "LocationNotAvailableForResourceType", "westeurope"),
        ({**vm_body(), "zones": ["4"]}, 400, "InvalidAvailabilityZone", "4"),
        ({"location": "westeurope"}, 400, "InvalidParameter", "hardwareProfile"),
    ],
)
def test_create_with_a_wrong_top_is_refused(arm: Caller, body: Any, status: int, code: str, complaint: str) -> None:
    """By ARM, which knows the top of every resource."""
    assert complaint in refused(arm.create("test1", body), status, code)


@pytest.mark.parametrize(("data", "kind", "status"), [(b"{", "application/json", 400), (b"{}", "text/plain", 415)])
def test_create_without_json_is_refused(arm: Caller, data: bytes, kind: str, status: int) -> None:
    """What is no JSON, and what does not say that it is."""
    response = arm.session.put(
        f"{arm.url}{vm_path('test1')}?api-version=2024-07-01",
        data=data,
        headers={"Authorization": f"Bearer {arm.token}", "Content-Type": kind},
        timeout=10,
    )
    assert response.status_code == status


@pytest.mark.parametrize("name", ["-vm", "vm.", "vm-", "v m", "v" * 81])
def test_create_with_a_wrong_name_is_refused(arm: Caller, name: str) -> None:
    """The rule is in the message."""
    assert "validation rule" in refused(arm.create(name, vm_body()), 400, "InvalidParameter")


def test_create_is_lax_about_case_and_null(azure: AzureSandbox, arm: Caller) -> None:
    """As .NET is; and what only answers hold is taken in and ignored."""
    text = json.dumps(vm_body(storageProfile__osDisk={"CreateOption": "fromimage", "deleteOption": "delete"}))
    body = json.loads(text.replace('"vmSize"', '"VMSIZE"'))
    body["properties"] |= {"provisioningState": "Failed", "vmId": "mine", "userData": None, "instanceView": {"a": 1}}
    found = arm.made("test1", {**body, "Location": "West Europe", "location": None, "etag": "x"})
    disk = found["properties"]["storageProfile"]["osDisk"]
    assert (disk["createOption"], disk["deleteOption"]) == ("FromImage", "Delete")
    assert (found["properties"]["provisioningState"], azure.vm("test1").location) == ("Succeeded", "westeurope")
    assert "userData" not in found["properties"]


@pytest.mark.parametrize(
    ("name", "password", "target"),
    [
        ("sixteen-letters-", "Correct-Horse-1", "computerName"),
        ("1234", "Correct-Horse-1", "computerName"),
        ("test1", "Short-1", "adminPassword"),
        ("test1", None, "adminPassword"),
    ],
)
def test_create_for_windows_has_narrower_rules(arm: Caller, name: str, password: str | None, target: str) -> None:
    """Fifteen letters, not all digits; a password of eight."""
    profile = {"computerName": name, "adminUsername": "azureuser", "adminPassword": password}
    response = arm.create("test1", vm_body(osProfile=profile, storageProfile__imageReference=WINDOWS))
    refused(response, 400, "InvalidParameter")
    assert response.json()["error"]["target"] == target


def test_create_for_windows_takes_no_linux_configuration(arm: Caller) -> None:
    """The image says which it is."""
    response = arm.create("test1", vm_body(storageProfile__imageReference=WINDOWS))
    assert "linuxConfiguration" in refused(response, 400, "InvalidParameter")


def test_create_with_a_password_needs_no_key(arm: Caller) -> None:
    """Unless log-in by password is disabled."""
    profile = {"computerName": "test1", "adminUsername": "azureuser", "adminPassword": "Correct-Horse-1"}
    found = arm.made("test1", vm_body(osProfile=profile))
    assert found["properties"]["osProfile"]["linuxConfiguration"]["disablePasswordAuthentication"] is False


def test_create_with_custom_data_of_the_greatest_size_works(azure: AzureSandbox, arm: Caller) -> None:
    """65,535 bytes, byte for byte."""
    data = bytes(range(256)) * 255 + bytes(255)
    arm.made("test1", vm_body(osProfile__customData=base64.b64encode(data).decode()))
    assert azure.custom_data("test1") == data
    assert len(data) == 65535


def test_create_over_the_quota_is_refused_with_the_numbers(azure: AzureSandbox, arm: Caller) -> None:
    """Cores of deallocated VMs count; the code says nothing, the message all."""
    azure.seed(2, state="deallocated")
    azure.set_quota(5)
    message = refused(arm.create(), 409, "OperationNotAllowed")
    assert "exceeding approved Total Regional Cores quota" in message
    assert "Current Limit: 5, Current Usage: 4, Additional Required: 2, (Minimum) New Limit Required: 6." in message
    azure.set_quota(5, code="QuotaExceeded")
    refused(arm.create(), 409, "QuotaExceeded")
    azure.set_quota(6)
    assert arm.create().status_code == 201


def test_create_of_a_size_without_room_is_refused(azure: AzureSandbox, arm: Caller) -> None:
    """At once, unlike a failed allocation."""
    azure.knobs.unavailable_sizes = frozenset({"standard_b2s"})
    assert "Standard_B2s" in refused(arm.create(), 409, "SkuNotAvailable")
