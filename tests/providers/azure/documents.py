"""What Azure says, as tests need it, and a caller who hears it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from providers.azure import CLOUD
from providers.credentials import Credentials, Secret
from providers.deadline import Deadline
from providers.domain import Environment, Idempotency, Offer, OperatingSystem, VMSpec
from providers.gateway import Backends, Gateway
from providers.network import Network
from tests.providers.azure.endpoint import SUBSCRIPTION, TENANT, Endpoint, Reply
from tests.support.limits import LIMITS

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group-1"
SUBNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net/subnets/first"
OPERATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/operations/op-1"
LINK = f"{{url}}{OPERATION}?p=1&api-version=2024-07-01&c=MIIH"
IMAGE = "Debian/debian-12/12-gen2/latest"
SECRET = "canary-s3cr3t"
PASSWORD = "canary-P4ssw0rd"
NETWORK = Network(connect_timeout_seconds=2, read_timeout_seconds=5)

SPEC = VMSpec("vm1", OperatingSystem("Linux"), Offer("Standard_B1s", IMAGE), cloud_init=b"#cloud-config")
KEYED = VMSpec("vm1", SPEC.os, SPEC.offer, idempotency=Idempotency("key-1", "digest-1"))
WINDOWS = VMSpec("vm1", OperatingSystem("Windows"), SPEC.offer, admin_password=Secret(PASSWORD))


def vm(name: str = "vm1", **changes: Any) -> dict[str, Any]:
    """A VM; `power` adds an instance view. Its disk is named after the creation in its tags."""
    creation = changes.get("tags", {}).get("cloudvm:creation", "")
    power, location = changes.pop("power", ""), changes.pop("location", "westeurope")
    properties: dict[str, Any] = {
        "hardwareProfile": {"vmSize": "Standard_B1s"},
        "provisioningState": changes.pop("provisioning", "Succeeded"),
        "timeCreated": "2024-02-06T22:07:09.9541568+00:00",
        "storageProfile": {"osDisk": {"name": f"{name}-os-{creation[:16]}"}},
    }
    if power:
        codes = ("ProvisioningState/succeeded", f"PowerState/{power}")
        properties["instanceView"] = {"statuses": [{"code": code, "level": "Info"} for code in codes]}
    resource_id = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}"
    return {"name": name, "id": resource_id, "location": location, "properties": properties, **changes}


def vms(*found: dict[str, Any], following: str = "") -> Reply:
    """A page of a list."""
    return Reply({"value": list(found), **({"nextLink": following} if following else {})})


def failed(code: str, message: str = "It did not work.", status: int = 409, **headers: str) -> Reply:
    """A refusal."""
    return Reply({"error": {"code": code, "message": message}}, status, {"x-ms-request-id": "r-1", **headers})


def accepted(links: dict[str, str] | None = None, *, body: Any = None, status: int = 202) -> Reply:
    """Work that goes on, with a link as Azure gives it."""
    return Reply(body, status, links or {"Azure-AsyncOperation": LINK})


def operation(status: str, code: str = "", message: str = "Why") -> Reply:
    """How an operation stands."""
    return Reply({"status": status, **({"error": {"code": code, "message": message}} if code else {})})


MISSING = failed("ResourceNotFound", "The Resource was not found.", 404)
RUNNING = Reply(vm(power="running"))
DONE = operation("Succeeded")
CREATED = accepted(body=vm(provisioning="Creating"), status=201)


def environment(endpoint: Endpoint, **changes: Any) -> Environment:
    """An environment that leads to the endpoint."""
    fields = {
        "url": endpoint.url,
        "ca_file": endpoint.ca_file,
        "region": "westeurope",
        "vpc_id": f"{TENANT}/{SUBSCRIPTION}",
        "project": "group-1",
        "network_id": SUBNET,
        "options": MappingProxyType({}),
        **changes,
    }
    return Environment("azure1", CLOUD, **fields)


def caller(endpoint: Endpoint, backends: Backends | None = None, seconds: float = 20, **changes: Any) -> Gateway:
    """A caller there; two with the same `backends` share a session."""
    found = environment(endpoint, **changes)
    return (backends or Backends(NETWORK, LIMITS)).gateway(found, Credentials("app-1", SECRET), Deadline.after(seconds))
