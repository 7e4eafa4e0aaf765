"""VMs made without HTTP."""

import uuid

from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.inventory import GIB
from providers.sandbox.nutanix.machines import Disk, Guest, Machine, MachineSpec, Nic, Power
from providers.sandbox.nutanix.work import Works

DISK_BYTES = 20 * GIB


class Seeds:
    """Makes VMs at once, on one cluster, on its hosts in turn or on one of them."""

    def __init__(self, estate: Estate, works: Works) -> None:
        self._estate = estate
        self._works = works

    def sow(self, names: list[str], power: Power, cluster: str, host: str | None) -> list[str]:
        """VMs with a disk and a NIC each; their uuids in the order of their names."""
        inventory = self._estate.inventory
        hosts = [host] if host else [known.uuid for known in inventory.hosts_of(cluster)]
        subnet = next(known for known in inventory.subnets.values() if known.cluster == cluster)
        container = inventory.container_of(cluster).uuid
        seeded = []
        for number, name in enumerate(names):
            spec = MachineSpec(name, cluster, memory_bytes=2 * GIB, sockets=2)
            disk = Disk(_uuid(), "SCSI", 0, DISK_BYTES, container)
            nic = Nic(_uuid(), self._works.hardware.next_mac(), subnet.uuid, subnet.next_address())
            machine = Machine(_uuid(), spec, [disk], [nic], guest=Guest())
            self._works.power.put(machine, power, hosts[number % len(hosts)])
            self._estate.machines[machine.uuid] = machine
            seeded.append(machine.uuid)
        return seeded


def _uuid() -> str:
    return str(uuid.uuid4())
