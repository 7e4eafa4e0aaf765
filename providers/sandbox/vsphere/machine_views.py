"""A VM's properties as vSphere shows them, the summary among them.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/vim.VirtualMachine.html
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pyVmomi import vim

from providers.sandbox.vsphere.entity_views import ENTITY
from providers.sandbox.vsphere.machine_config import CONFIG, GUEST, RUNTIME
from providers.sandbox.vsphere.machine_facts import (
    constant,
    datastores_of,
    first_address,
    guest_name,
    heartbeat,
    host_name,
    layout_files,
    networks_of,
    now,
    parent,
    pool,
    provisioned_bytes,
    tools_running,
    tools_status,
    tools_version,
    used_bytes,
)
from providers.sandbox.vsphere.machines import Machine, Power
from providers.sandbox.vsphere.shapes import Getter, Shape

SUMMARY: Final = Shape(
    vim.vm.Summary,
    {
        "vm": lambda machine: machine.ref,
        "runtime": RUNTIME,
        "guest": Shape(
            vim.vm.Summary.GuestSummary,
            {
                "guestId": GUEST.fields["guestId"],
                "guestFullName": GUEST.fields["guestFullName"],
                "toolsStatus": tools_status,
                "toolsVersionStatus2": tools_version,
                "toolsRunningStatus": tools_running,
                "hostName": host_name,
                "ipAddress": first_address,
            },
        ),
        "config": Shape(
            vim.vm.Summary.ConfigSummary,
            {
                "name": lambda machine: machine.name,
                "template": lambda machine: machine.is_template,
                "vmPathName": lambda machine: machine.vmx_name,
                "memorySizeMB": lambda machine: machine.memory_mib,
                "numCpu": lambda machine: machine.cpus,
                "numEthernetCards": lambda machine: len(machine.nics),
                "numVirtualDisks": lambda machine: len(machine.disks),
                "uuid": lambda machine: machine.bios_uuid,
                "instanceUuid": lambda machine: machine.instance_uuid,
                "guestId": lambda machine: machine.guest_id,
                "guestFullName": guest_name,
                "annotation": lambda machine: machine.annotation,
            },
        ),
        "storage": Shape(
            vim.vm.Summary.StorageSummary,
            {
                "committed": used_bytes,
                "uncommitted": lambda machine: provisioned_bytes(machine) - used_bytes(machine),
                "unshared": used_bytes,
                "timestamp": lambda machine: machine.changed_at,
            },
        ),
        "quickStats": Shape(
            vim.vm.Summary.QuickStats,
            {
                "guestHeartbeatStatus": heartbeat,
                "uptimeSeconds": constant(0),
            },
        ),
        "overallStatus": constant("green"),
    },
)


def _disabled_methods(machine: Machine) -> list[str]:
    """What the VM's power does not allow."""
    if machine.is_template:
        return ["PowerOnVM_Task", "PowerOffVM_Task", "ReconfigVM_Task", "MarkAsTemplate"]
    if machine.power is Power.ON:
        return ["PowerOnVM_Task", "Destroy_Task", "UnregisterVM", "MarkAsTemplate"]
    return ["PowerOffVM_Task", "ResetVM_Task", "ShutdownGuest", "RebootGuest", "SuspendVM_Task"]


MACHINE: Final[Mapping[str, Getter | Shape]] = MappingProxyType(
    {
        "name": lambda machine: machine.name,
        "parent": parent,
        "recentTask": ENTITY["recentTask"],
        "overallStatus": constant("green"),
        "configStatus": constant("green"),
        "config": CONFIG,
        "runtime": RUNTIME,
        "guest": GUEST,
        "guestHeartbeatStatus": heartbeat,
        "layoutEx": Shape(vim.vm.FileLayoutEx, {"file": layout_files, "timestamp": now}),
        "summary": SUMMARY,
        "resourcePool": pool,
        "datastore": lambda machine: [datastore.ref for datastore in datastores_of(machine)],
        "network": lambda machine: [network.ref for network in networks_of(machine)],
        "disabledMethod": _disabled_methods,
        "capability": Shape(
            vim.vm.Capability,
            {
                "snapshotOperationsSupported": constant(value=True),
                "poweredOffSnapshotsSupported": constant(value=True),
                "toolsSyncTimeSupported": constant(value=True),
            },
        ),
    }
)
