"""A caller of the simulated Nutanix, by requests, as the vendor's documents tell to call its three APIs."""

import base64
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from providers.sandbox.nutanix import CLUSTER, IMAGE_DISK_UUID, IMAGE_UUID, NETWORK, PASSWORD, USER

V2 = "/PrismGateway/services/rest/v2.0"
V3 = "/api/nutanix/v3"
VMM = "/api/vmm/v4.0"
VMS = f"{VMM}/ahv/config/vms"
TASKS = "/api/prism/v4.0/config/tasks"
GIB = 1 << 30
UNKNOWN = "00000000-0000-4000-8000-000000000000"
USER_DATA = b"#cloud-config\nhostname: test1\n# \xc3\xa9\n"


@dataclass
class Caller:
    """One session of one user, or of nobody."""

    url: str
    ca_file: str
    credentials: tuple[str, str] | None = (USER, PASSWORD)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.auth = self.credentials

    def call(
        self, method: str, path: str, json: object = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> requests.Response:
        """One call; parameters of the query with a dollar are given with an underscore before their name."""
        params: dict[str, Any] = {name.replace("_", "$", 1) if name[0] == "_" else name: v for name, v in query.items()}
        return self.session.request(
            method, self.url + path, json=json, headers=headers, params=params, verify=self.ca_file, timeout=30
        )

    def data(self, method: str, path: str, json: object = None, **query: Any) -> Any:
        """The body of an answer that is good."""
        response = self.call(method, path, json, **query)
        assert response.ok, (response.status_code, response.text)
        return response.json()

    def write(self, method: str, path: str, json: object = None, etag: str | None = None) -> requests.Response:
        """A write of v4, with a new request id."""
        headers = {"NTNX-Request-Id": str(uuid.uuid4()), **({"If-Match": etag} if etag else {})}
        return self.call(method, path, json, headers)

    def v2_done(self, method: str, path: str, json: object = None) -> Any:
        """The ended task of a write of v2.0."""
        task = self.data(method, V2 + path, json)["task_uuid"]
        return ended(lambda: self.data("GET", f"{V2}/tasks/{task}"), "progress_status")

    def v3_done(self, method: str, path: str, json: object = None) -> Any:
        """The ended task of a write of v3."""
        status = self.data(method, V3 + path, json)
        task = status.get("task_uuid") or status["status"]["execution_context"]["task_uuid"]
        return ended(lambda: self.data("GET", f"{V3}/tasks/{task}"), "status")

    def v4_done(self, method: str, path: str, json: object = None, etag: str | None = None) -> Any:
        """The ended task of a write of v4."""
        response = self.write(method, path, json, etag)
        assert response.status_code == 202, response.text
        return self.v4_task(response.json()["data"]["extId"])

    def v4_task(self, task: str) -> Any:
        """A task of v4, when it has ended."""
        return ended(lambda: self.data("GET", f"{TASKS}/{task}")["data"], "status")

    def etag(self, vm: str) -> str:
        """A VM's ETag."""
        return self.call("GET", f"{VMS}/{vm}").headers["Etag"]

    def act(self, vm: str, action: str) -> Any:
        """The ended task of an action on a VM as it is."""
        return self.v4_done("POST", f"{VMS}/{vm}/$actions/{action}", etag=self.etag(vm))


def ended(look: Callable[[], Any], status: str) -> Any:
    """A task, when it has ended."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        task = look()
        if task[status].upper() not in {"QUEUED", "RUNNING"}:
            return task
        time.sleep(0.005)
    raise AssertionError("the task did not end")


def v2_vm(**more: object) -> dict[str, Any]:
    """A VM for v2.0, with a disk of the image and a NIC."""
    clone = {"disk_address": {"vmdisk_uuid": IMAGE_DISK_UUID}, "minimum_size": 8 * GIB}
    return {
        "name": "test1",
        "memory_mb": 1024,
        "num_vcpus": 2,
        "vm_disks": [{"disk_address": {"device_bus": "SCSI", "device_index": 0}, "vm_disk_clone": clone}],
        "vm_nics": [{"network_uuid": NETWORK}],
        "vm_customization_config": {"userdata": USER_DATA.decode()},
        **more,
    }


def v3_vm(*, power_state: str = "ON", cluster: str = CLUSTER, **more: object) -> dict[str, Any]:
    """A VM for v3, likewise; `more` are its resources."""
    resources = {
        "num_sockets": 2,
        "memory_size_mib": 1024,
        "power_state": power_state,
        "disk_list": [{"data_source_reference": {"kind": "image", "uuid": IMAGE_UUID}, "disk_size_mib": 8192}],
        "nic_list": [{"subnet_reference": {"kind": "subnet", "uuid": NETWORK}}],
        "guest_customization": {"cloud_init": {"user_data": base64.b64encode(USER_DATA).decode()}},
        **more,
    }
    spec = {"name": "test1", "resources": resources, "cluster_reference": {"kind": "cluster", "uuid": cluster}}
    return {"metadata": {"kind": "vm"}, "spec": spec}


def v4_vm(**more: object) -> dict[str, Any]:
    """A VM for v4, likewise."""
    config = "vmm.v4.ahv.config"
    source = {"reference": {"$objectType": f"{config}.ImageReference", "imageExtId": IMAGE_UUID}}
    disk = {"$objectType": f"{config}.VmDisk", "dataSource": source, "diskSizeBytes": 8 * GIB}
    script = {"$objectType": f"{config}.Userdata", "value": base64.b64encode(USER_DATA).decode()}
    return {
        "name": "test1",
        "numSockets": 2,
        "memorySizeBytes": GIB,
        "cluster": {"extId": CLUSTER},
        "disks": [{"backingInfo": disk, "diskAddress": {"busType": "SCSI", "index": 0}}],
        "nics": [{"networkInfo": {"subnet": {"extId": NETWORK}}}],
        "guestCustomization": {"config": {"$objectType": f"{config}.CloudInit", "cloudInitScript": script}},
        **more,
    }


def v2_made(caller: Caller, **more: object) -> str:
    """The uuid of a VM that v2.0 has made."""
    task = caller.v2_done("POST", "/vms", v2_vm(**more))
    assert task["progress_status"] == "Succeeded", task
    return str(task["entity_list"][0]["entity_id"])


def v3_made(caller: Caller, body: Mapping[str, Any] | None = None) -> str:
    """The uuid of a VM that v3 has made."""
    task = caller.v3_done("POST", "/vms", body or v3_vm())
    assert task["status"] == "SUCCEEDED", task
    return str(task["entity_reference_list"][0]["uuid"])


def v4_made(caller: Caller, **more: object) -> str:
    """The uuid of a VM that v4 has made."""
    task = caller.v4_done("POST", VMS, v4_vm(**more))
    assert task["status"] == "SUCCEEDED", task
    return str(task["entitiesAffected"][0]["extId"])
