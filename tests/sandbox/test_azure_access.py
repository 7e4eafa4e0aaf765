"""What a principal of the Azure simulator may do: actions at a scope, and nothing else."""

import pytest

from providers.sandbox.azure import CUSTOM_IMAGE_ID, SUBNET_ID, SUBSCRIPTION, AzureSandbox
from tests.sandbox.azure import ALL_VMS, DISKS, GROUP, NETWORK, NICS, VMS, Caller, refused, vm_body, vm_path

COMPUTE_ACTIONS = "Microsoft.Compute/virtualMachines"
CREATE_ACTIONS = frozenset(
    {
        f"{COMPUTE_ACTIONS}/read",
        f"{COMPUTE_ACTIONS}/write",
        "Microsoft.Compute/disks/write",
        "Microsoft.Network/networkInterfaces/write",
        "Microsoft.Network/networkInterfaces/join/action",
        "Microsoft.Network/virtualNetworks/subnets/join/action",
    }
)


def limited(azure: AzureSandbox, caller: Caller, actions: frozenset[str], scope: str = GROUP) -> Caller:
    """Somebody with some actions."""
    azure.add_principal("limited", "secret", actions=actions, scope=scope)
    return Caller(caller.url, caller.ca_file, "limited", "secret").log_in()


def test_list_of_the_subscription_is_refused_to_those_of_one_group(azure: AzureSandbox, stranger: Caller) -> None:
    """403 there, the group's list here."""
    azure.seed(1)
    caller = limited(azure, stranger, frozenset({f"{COMPUTE_ACTIONS}/read"}))
    response = caller.call("GET", ALL_VMS, statusOnly="true")
    message = refused(response, 403, "AuthorizationFailed")
    assert f"'{COMPUTE_ACTIONS}/read' over scope '/subscriptions/{SUBSCRIPTION}'" in message
    assert len(caller.json("GET", VMS)["value"]) == 1


def test_list_of_the_subscription_can_be_filtered_instead(azure: AzureSandbox, stranger: Caller) -> None:
    """By a knob."""
    azure.add_resource_group("other")
    azure.seed(1)
    azure.seed(2, group="other")
    azure.knobs.filters_subscription_list = True
    caller = limited(azure, stranger, frozenset({"*/read"}))
    assert len(caller.json("GET", ALL_VMS)["value"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", vm_path("vm-0001"), f"{COMPUTE_ACTIONS}/read"),
        ("GET", f"{vm_path('vm-0001')}/instanceView", f"{COMPUTE_ACTIONS}/instanceView/read"),
        ("POST", f"{vm_path('vm-0001')}/start", f"{COMPUTE_ACTIONS}/start/action"),
        ("POST", f"{vm_path('vm-0001')}/powerOff", f"{COMPUTE_ACTIONS}/powerOff/action"),
        ("POST", f"{vm_path('vm-0001')}/deallocate", f"{COMPUTE_ACTIONS}/deallocate/action"),
        ("POST", f"{vm_path('vm-0001')}/restart", f"{COMPUTE_ACTIONS}/restart/action"),
        ("DELETE", vm_path("vm-0001"), f"{COMPUTE_ACTIONS}/delete"),
        ("GET", f"{NICS}/vm-0001-nic", "Microsoft.Network/networkInterfaces/read"),
        ("GET", SUBNET_ID, "Microsoft.Network/virtualNetworks/subnets/read"),
        ("GET", GROUP, "Microsoft.Resources/subscriptions/resourceGroups/read"),
    ],
)
def test_call_without_its_action_is_refused_and_with_it_alone_works(
    azure: AzureSandbox, stranger: Caller, method: str, path: str, action: str
) -> None:
    """The message names action and scope."""
    azure.seed(1)
    version = NETWORK if "Microsoft.Network" in path else "2021-04-01" if path == GROUP else "2024-07-01"
    message = refused(
        limited(azure, stranger, frozenset()).call(method, path, version=version), 403, "AuthorizationFailed"
    )
    assert f"perform action '{action}' over scope '" in message
    needed = frozenset({action})
    if method == "DELETE":
        needed |= {"Microsoft.Network/networkInterfaces/delete", "Microsoft.Compute/disks/delete"}
    assert limited(azure, stranger, needed).call(method, path, version=version).ok


@pytest.mark.parametrize("lacking", sorted(CREATE_ACTIONS - {f"{COMPUTE_ACTIONS}/read"}))
def test_create_without_one_of_its_actions_is_refused(azure: AzureSandbox, stranger: Caller, lacking: str) -> None:
    """What it makes, and what it joins, takes rights of their own."""
    caller = limited(azure, stranger, CREATE_ACTIONS - {lacking})
    code = "LinkedAuthorizationFailed" if lacking.endswith("/join/action") else "AuthorizationFailed"
    assert f"'{lacking}'" in refused(caller.create(), 403, code)
    assert azure.vms() == ()


def test_create_with_exactly_its_actions_works(azure: AzureSandbox, stranger: Caller) -> None:
    """Polls take none; an image of one's own takes one more."""
    caller = limited(azure, stranger, CREATE_ACTIONS)
    caller.made()
    body = vm_body("test2", storageProfile__imageReference={"id": CUSTOM_IMAGE_ID})
    assert CUSTOM_IMAGE_ID in refused(caller.create("test2", body), 403, "LinkedAuthorizationFailed")
    azure.grant("limited", {"Microsoft.Compute/images/read"}, GROUP)
    caller.made("test2", body)


@pytest.mark.parametrize("lacking", ["Microsoft.Network/networkInterfaces/delete", "Microsoft.Compute/disks/delete"])
def test_delete_without_the_right_to_what_goes_along_is_refused(
    azure: AzureSandbox, stranger: Caller, lacking: str
) -> None:
    """Before anything is gone."""
    (name,) = azure.seed(1)
    rights = {
        f"{COMPUTE_ACTIONS}/delete",
        "Microsoft.Network/networkInterfaces/delete",
        "Microsoft.Compute/disks/delete",
    }
    caller = limited(azure, stranger, frozenset(rights - {lacking}))
    assert lacking in refused(caller.call("DELETE", vm_path(name)), 403, "AuthorizationFailed")
    assert azure.vm(name).provisioning == "Succeeded"


def test_scope_of_one_vm_covers_no_other(azure: AzureSandbox, stranger: Caller) -> None:
    """Nor one whose name begins like it; and in any case."""
    azure.seed(1)
    azure.seed(1, prefix="vm-0001")
    caller = limited(azure, stranger, frozenset({f"{COMPUTE_ACTIONS}/*"}), vm_path("VM-0001"))
    assert caller.call("GET", vm_path("vm-0001")).ok
    refused(caller.call("GET", vm_path("vm-0001-0001")), 403, "AuthorizationFailed")
    refused(caller.call("GET", azure.disks()[0].id, version=DISKS), 403, "AuthorizationFailed")


def test_authorization_comes_before_existence(azure: AzureSandbox, stranger: Caller) -> None:
    """Nobody learns what groups there are."""
    caller = limited(azure, stranger, frozenset({"*"}))
    refused(caller.call("GET", VMS.replace("oj-test", "other")), 403, "AuthorizationFailed")
