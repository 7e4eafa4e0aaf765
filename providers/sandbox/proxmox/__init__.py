"""The sandbox's Proxmox VE: a cluster of two nodes, as its API shows it."""

from providers.sandbox.proxmox.accounts import Privileges
from providers.sandbox.proxmox.cluster import BRIDGES, NODES, Knobs
from providers.sandbox.proxmox.sandbox import (
    PASSWORD,
    TOKEN_ID,
    TOKEN_SECRET,
    USER,
    VERSION,
    ProxmoxSandbox,
    SimulatedTask,
    SimulatedVM,
    SimulatedVolume,
)
from providers.sandbox.proxmox.seeds import IMPORT_IMAGE, ISO_IMAGE, TEMPLATE_ID

__all__ = [
    "BRIDGES",
    "IMPORT_IMAGE",
    "ISO_IMAGE",
    "NODES",
    "PASSWORD",
    "TEMPLATE_ID",
    "TOKEN_ID",
    "TOKEN_SECRET",
    "USER",
    "VERSION",
    "Knobs",
    "Privileges",
    "ProxmoxSandbox",
    "SimulatedTask",
    "SimulatedVM",
    "SimulatedVolume",
]
