"""Which action each method is."""

from collections.abc import Callable, Mapping

from providers.sandbox.proxmox.changing import Changing
from providers.sandbox.proxmox.cluster import Cluster, Request
from providers.sandbox.proxmox.configuring import Configuring
from providers.sandbox.proxmox.content import Content
from providers.sandbox.proxmox.creating import Creating
from providers.sandbox.proxmox.disks import Disks
from providers.sandbox.proxmox.inventory import Inventory
from providers.sandbox.proxmox.methods import STORAGE, UPLOAD, VM
from providers.sandbox.proxmox.power import Power
from providers.sandbox.proxmox.wire import Value


def actions(cluster: Cluster) -> Mapping[str, Callable[[Request], Value]]:
    """All actions on a cluster, by operation."""
    disks, power, inventory = Disks(cluster), Power(cluster), Inventory(cluster)
    configuring, content, changing = Configuring(cluster, disks), Content(cluster, disks), Changing(cluster)
    creating = Creating(cluster, disks, configuring, power)
    return {
        "POST /access/ticket": inventory.log_in,
        "GET /access/permissions": inventory.permissions,
        "GET /version": inventory.version,
        "GET /nodes": inventory.nodes,
        "GET /cluster/nextid": inventory.next_id,
        "GET /cluster/resources": inventory.resources,
        "GET /nodes/{node}/lxc": inventory.containers,
        "GET /nodes/{node}/qemu": inventory.vms,
        "POST /nodes/{node}/qemu": creating.create,
        f"DELETE {VM}": changing.destroy,
        f"GET {VM}/config": configuring.show,
        f"GET {VM}/snapshot": configuring.list_snapshots,
        f"PUT {VM}/config": configuring.change,
        f"POST {VM}/config": configuring.change_later,
        f"GET {VM}/status/current": inventory.vm,
        f"POST {VM}/status/start": power.start,
        f"POST {VM}/status/stop": power.stop,
        f"POST {VM}/status/shutdown": power.shutdown,
        f"POST {VM}/status/reboot": power.reboot,
        f"POST {VM}/status/reset": power.reset,
        f"POST {VM}/status/suspend": power.suspend,
        f"POST {VM}/status/resume": power.resume,
        f"POST {VM}/clone": creating.clone,
        f"POST {VM}/template": changing.make_template,
        f"PUT {VM}/resize": changing.resize,
        f"POST {VM}/migrate": changing.migrate,
        f"GET {VM}/agent/network-get-interfaces": inventory.interfaces,
        "GET /nodes/{node}/storage": content.storages,
        f"GET {STORAGE}/status": content.storage,
        f"GET {STORAGE}/content": content.list,
        UPLOAD: content.upload,
        f"GET {STORAGE}/content/{{volume}}": content.show,
        f"DELETE {STORAGE}/content/{{volume}}": content.delete,
        "GET /nodes/{node}/tasks": inventory.tasks,
        "GET /nodes/{node}/tasks/{upid}/status": inventory.task,
        "GET /nodes/{node}/tasks/{upid}/log": inventory.task_log,
        "DELETE /nodes/{node}/tasks/{upid}": inventory.stop_task,
    }
