"""A caller of the simulated ARM, by requests, as Azure's REST reference tells to call it."""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from providers.sandbox.azure import (
    CLIENT_ID,
    IMAGE,
    LOCATION,
    RESOURCE_GROUP,
    SECRET,
    SUBNET_ID,
    SUBSCRIPTION,
    TENANT,
)

ARM_SCOPE = "https://management.azure.com/.default"
COMPUTE = "2024-07-01"
DISKS = "2024-03-02"
NETWORK = "2024-05-01"
RESOURCES = "2021-04-01"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
ALL_VMS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
VMS = f"{GROUP}/providers/Microsoft.Compute/virtualMachines"
NICS = f"{GROUP}/providers/Microsoft.Network/networkInterfaces"
DISK_LIST = f"{GROUP}/providers/Microsoft.Compute/disks"
# The form of a key of 2,048 bits; there is no private half.
_BLOB = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x01\0" + b"\xaa" * 256
SSH_KEY = f"ssh-rsa {base64.b64encode(_BLOB).decode()}"
CUSTOM_DATA = b"#cloud-config\npackages: [nginx]\n"


def vm_path(name: str) -> str:
    """The path of a VM."""
    return f"{VMS}/{name}"


def image_reference(image: str = IMAGE) -> dict[str, str]:
    """The parts of `publisher/offer/sku/version`."""
    return dict(zip(("publisher", "offer", "sku", "version"), image.split("/"), strict=True))


def nic_configuration(name: str, subnet_id: str = SUBNET_ID) -> dict[str, Any]:
    """A network interface that is made and deleted with its VM."""
    ip_configuration = {"name": "ipconfig1", "properties": {"subnet": {"id": subnet_id}}}
    properties = {"primary": True, "deleteOption": "Delete", "ipConfigurations": [ip_configuration]}
    return {"name": f"{name}-nic", "properties": properties}


def vm_body(name: str = "test1", *, subnet_id: str = SUBNET_ID, **changes: Any) -> dict[str, Any]:
    """A good body of a VM's PUT; `changes` replace properties by their dotted path, `__` for the dots."""
    body: dict[str, Any] = {
        "location": LOCATION,
        "tags": {"team": "web"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B2s"},
            "storageProfile": {
                "imageReference": image_reference(),
                "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
            },
            "osProfile": {
                "computerName": name,
                "adminUsername": "azureuser",
                "customData": base64.b64encode(CUSTOM_DATA).decode(),
                "linuxConfiguration": {
                    "disablePasswordAuthentication": True,
                    "ssh": {"publicKeys": [{"path": "/home/azureuser/.ssh/authorized_keys", "keyData": SSH_KEY}]},
                },
            },
            "networkProfile": {
                "networkApiVersion": "2022-11-01",
                "networkInterfaceConfigurations": [nic_configuration(name, subnet_id)],
            },
        },
    }
    for path, value in changes.items():
        change(body["properties"], path.replace("__", "."), value)
    return body


def change(properties: dict[str, Any], path: str, value: Any) -> None:
    """Set what a dotted path leads to; None takes it out."""
    *above, last = path.split(".")
    for part in above:
        properties = properties[part]
    if value is None:
        del properties[last]
    else:
        properties[last] = value


@dataclass
class Caller:
    """One session of one application."""

    url: str
    ca_file: str
    client_id: str = CLIENT_ID
    secret: str = SECRET
    token: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.verify = self.ca_file

    def log_in(self) -> "Caller":
        """Get a token."""
        self.token = str(self.ask_token().json()["access_token"])
        return self

    def ask_token(self, *, tenant: str = TENANT, **changes: str | None) -> requests.Response:
        """Ask for a token; `changes` replace fields of the form, None takes one out."""
        form: dict[str, str | None] = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.secret,
            "scope": ARM_SCOPE,
            **changes,
        }
        sent = {name: value for name, value in form.items() if value is not None}
        return self.session.post(f"{self.url}/{tenant}/oauth2/v2.0/token", data=sent, timeout=10)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        version: str | None = COMPUTE,
        **query: Any,
    ) -> requests.Response:
        """One call; names of the query that begin with a dollar are given without it, after an underscore."""
        named = {f"${name[1:]}" if name.startswith("_") else name: value for name, value in query.items()}
        if version is not None:
            named["api-version"] = version
        return self.session.request(
            method,
            path if path.startswith("https://") else f"{self.url}{path}",
            params=named,
            json=body,
            headers={**self._authorization(), **(headers or {})},
            timeout=10,
        )

    def follow(self, link: str) -> requests.Response:
        """Go where a link of an answer leads, as it is."""
        return self.session.get(link, headers=self._authorization(), timeout=10)

    def json(self, method: str, path: str, body: object = None, **query: Any) -> Any:
        """The body of an answer that is good."""
        response = self.call(method, path, body, **query)
        assert response.ok, (response.status_code, response.text)
        return response.json()

    def create(self, name: str = "test1", body: object = None, **headers: str) -> requests.Response:
        """A VM's PUT; headers with an underscore for each dash."""
        named = {header.replace("_", "-"): value for header, value in headers.items()}
        return self.call("PUT", vm_path(name), vm_body(name) if body is None else body, headers=named)

    def end_of(self, response: requests.Response) -> Any:
        """The body of the last poll of the operation that an answer leads to."""
        assert response.ok, (response.status_code, response.text)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            polled = self.follow(response.headers["Azure-AsyncOperation"])
            assert polled.status_code == 200, polled.text
            if polled.json()["status"] != "InProgress":
                return polled.json()
            time.sleep(0.005)
        raise AssertionError("the operation did not end")

    def made(self, name: str = "test1", body: object = None) -> Any:
        """A VM that has been made."""
        end = self.end_of(self.create(name, body))
        assert end["status"] == "Succeeded", end
        return self.json("GET", vm_path(name))

    def done(self, verb: str, name: str, **query: Any) -> str:
        """How a verb's operation ends."""
        return str(self.end_of(self.call("POST", f"{vm_path(name)}/{verb}", **query))["status"])

    def deleted(self, name: str) -> str:
        """How a delete's operation ends."""
        return str(self.end_of(self.call("DELETE", vm_path(name)))["status"])

    def states(self, name: str) -> list[str]:
        """The codes of a VM's states."""
        view = self.json("GET", f"{vm_path(name)}/instanceView")
        return [status["code"] for status in view["statuses"]]

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def refused(response: requests.Response, status: int, code: str) -> str:
    """The message of an error in ARM's shape."""
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    return str(response.json()["error"]["message"])
