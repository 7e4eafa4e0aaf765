"""A VM's life as the vendor's own client leads it; run by the interpreter of an environment that has it.

`python vendor_client.py PORT CA_FILE USER PASSWORD CLUSTER IMAGE SUBNET`, with ntnx-vmm-py-client and
ntnx-prism-py-client: prints one line of JSON. They pin urllib3 1.26, so that they cannot live beside our own packages.
"""

import base64
import json
import sys
import time
from typing import Any

import ntnx_prism_py_client as prism  # type: ignore[import-not-found]
import ntnx_vmm_py_client as vmm  # type: ignore[import-not-found]
from ntnx_vmm_py_client import models

GIB = 1 << 30
USER_DATA = b"#cloud-config\nhostname: test1\n"


class Client:
    """The vendor's two clients with one user."""

    def __init__(self, port: int, ca_file: str, user: str, password: str) -> None:
        configurations = [vmm.Configuration(), prism.Configuration()]
        for configuration in configurations:
            configuration.host, configuration.port = "127.0.0.1", port
            configuration.username, configuration.password = user, password
            configuration.root_ca_certificate_file, configuration.max_retry_attempts = ca_file, 1
        self.api = vmm.ApiClient(configuration=configurations[0])
        self.vms = vmm.VmApi(api_client=self.api)
        self.images = vmm.ImagesApi(api_client=self.api)
        self.tasks = prism.TasksApi(api_client=prism.ApiClient(configuration=configurations[1]))

    def done(self, response: Any) -> Any:
        """The task of an answer, when it has ended."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            task = self.tasks.get_task_by_id(response.data.ext_id).data
            if task.status not in {"QUEUED", "RUNNING"}:
                return task
            time.sleep(0.02)
        raise TimeoutError

    def act(self, action: Any, vm_id: str, etag: str | None = None) -> str:
        """Do something to a VM with an ETag, the current one by default; how its task ends."""
        current = self.api.get_etag(self.vms.get_vm_by_id(vm_id))
        return str(self.done(action(vm_id, if_match=etag or current)).status)


def new_vm(cluster: str, image: str, subnet: str) -> Any:
    """The VM that is to be made."""
    reference = models.ImageReference(image_ext_id=image)
    disk = models.AhvConfigVmDisk(data_source=models.DataSource(reference=reference), disk_size_bytes=5 * GIB)
    script = models.Userdata(value=base64.b64encode(USER_DATA).decode())
    return models.AhvConfigVm(
        name="test1",
        num_sockets=2,
        num_cores_per_socket=1,
        memory_size_bytes=GIB,
        cluster=models.AhvConfigClusterReference(ext_id=cluster),
        disks=[
            models.AhvConfigDisk(backing_info=disk, disk_address=models.AhvConfigDiskAddress(bus_type="SCSI", index=0))
        ],
        nics=[
            models.AhvConfigNic(
                network_info=models.AhvConfigNicNetworkInfo(subnet=models.SubnetReference(ext_id=subnet))
            )
        ],
        guest_customization=models.GuestCustomizationParams(config=models.CloudInit(cloud_init_script=script)),
    )


def unknown_fields(value: Any) -> set[str]:
    """The fields, at any depth, that the vendor's models do not know."""
    if isinstance(value, list):
        return {name for item in value for name in unknown_fields(item)}
    if not hasattr(value, "swagger_types"):
        return set()
    deeper = (unknown_fields(getattr(value, name)) for name in value.swagger_types if not name.startswith("_"))
    return set(value.get_unknown_fields()).union(*deeper)


def main(port: str, ca_file: str, user: str, password: str, *parts: str) -> None:
    """List, create of a cluster, an image and a subnet, power on, be refused, power off, delete."""
    client = Client(int(port), ca_file, user, password)
    told: dict[str, Any] = {"before": client.vms.list_vms().metadata.total_available_results}
    images = client.images.list_images().data
    told["images"] = [found.name for found in images]
    created = client.done(client.vms.create_vm(new_vm(*parts)))
    vm_id = created.entities_affected[0].ext_id
    told |= {"created": created.status, "vm": vm_id, "version": client.api.get_negotiated_version()}
    stale = client.api.get_etag(client.vms.get_vm_by_id(vm_id))
    told["on"] = client.act(client.vms.power_on_vm, vm_id)
    (listed,) = client.vms.list_vms(_filter="name eq 'test1'").data
    told["listed"] = [listed.ext_id, listed.power_state, listed.disks[0].backing_info.disk_size_bytes]
    told["unknown_fields"] = sorted(unknown_fields([listed, created, *images]))
    try:
        client.act(client.vms.power_off_vm, vm_id, stale)
    except vmm.rest.ApiException as refusal:
        told["stale"] = [refusal.status, json.loads(refusal.body)["data"]["error"][0]["errorGroup"]]
    told["off"] = client.act(client.vms.power_off_vm, vm_id)
    told["deleted"] = client.act(client.vms.delete_vm_by_id, vm_id)
    told["after"] = client.vms.list_vms().metadata.total_available_results
    print(json.dumps(told))  # noqa: T201 - its one line


if __name__ == "__main__":
    main(*sys.argv[1:])
