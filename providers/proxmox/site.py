"""What an environment's entry means on Proxmox: node, storages, network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from providers.domain import Environment
from providers.errors import UnprocessableError
from providers.proxmox.naming import iso_scope

DEFAULT_BRIDGE: Final = "vmbr0"
DEFAULT_ISO_STORAGE: Final = "local"

_NODE: Final = re.compile(r"(?:node/)?([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)")
_STORAGE: Final = re.compile(r"(?:storage/(?P<node>[^/]+)/)?(?P<storage>[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9])")
# A list of what may follow the bridge: nothing else can come into the VM's network device by this way.
_NETWORK: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
    r"(,(tag=\d{1,4}|mtu=\d{1,5}|firewall=[01]|queues=\d{1,2}|rate=\d+(\.\d+)?|trunks=[\d;-]+))*"
)


@dataclass(frozen=True)
class Site:
    """Where VMs are listed and made. `network` is a bridge with what may follow it, such as `vmbr0,tag=20`.

    `disk_storage` and `network` are empty where the file does not name them; `cpu_type`, too. `iso_scope` marks the
    names of uploaded images.
    """

    name: str
    node: str
    disk_storage: str
    iso_storage: str
    iso_scope: str
    network: str
    cpu_type: str


def site_of(environment: Environment) -> Site:
    """What the entry means.

    Raises:
        UnprocessableError: a key has no acceptable form.

    """
    node = _NODE.fullmatch(environment.vpc_id)
    if node is None:
        raise _fault(environment, "vpc_id", environment.vpc_id, "the node, such as node/pve")
    storage = _STORAGE.fullmatch(environment.storage_external_id)
    if environment.storage_external_id and (storage is None or storage["node"] not in {None, node[1]}):
        shown = f"a storage of the node, such as storage/{node[1]}/local-lvm or local-lvm"
        raise _fault(environment, "storage_external_id", environment.storage_external_id, shown)
    if environment.network_id and not _NETWORK.fullmatch(environment.network_id):
        shown = "a bridge, such as vmbr0 or vmbr0,tag=20"
        raise _fault(environment, "network_id", environment.network_id, shown)
    return Site(
        name=environment.name,
        node=node[1],
        disk_storage=storage["storage"] if storage else "",
        iso_storage=_option(environment, "iso_storage") or DEFAULT_ISO_STORAGE,
        iso_scope=iso_scope(environment.url),
        network=environment.network_id,
        cpu_type=_option(environment, "cpu_type"),
    )


def _option(environment: Environment, name: str) -> str:
    return next(iter(environment.options.get(name, ())), "")


def _fault(environment: Environment, key: str, value: str, allowed: str) -> UnprocessableError:
    return UnprocessableError(
        f"Environment {environment.name!r} cannot be used: its `{key}` is {value!r} and must be {allowed}."
    )
