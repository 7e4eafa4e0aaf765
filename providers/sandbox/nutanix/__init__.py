"""The sandbox's Nutanix: a Prism Element (v2.0) or a Prism Central (v3 and v4), with one state behind them."""

from providers.sandbox.nutanix.inventory import (
    CENTRAL,
    CLUSTER,
    CLUSTER_NAME,
    CONTAINER,
    HOSTS,
    IMAGE_DISK_UUID,
    IMAGE_NAME,
    IMAGE_UUID,
    ISO_NAME,
    ISO_UUID,
    NETWORK,
    NETWORK_NAME,
    SECOND_CLUSTER,
    SECOND_CONTAINER,
    SECOND_HOSTS,
    SECOND_NETWORK,
    UNMANAGED_NETWORK,
)
from providers.sandbox.nutanix.knobs import Knobs
from providers.sandbox.nutanix.records import SimulatedDisk, SimulatedTask, SimulatedVM
from providers.sandbox.nutanix.sandbox import CENTRAL_VERSIONS, PASSWORD, USER, NutanixSandbox

__all__ = [
    "CENTRAL",
    "CENTRAL_VERSIONS",
    "CLUSTER",
    "CLUSTER_NAME",
    "CONTAINER",
    "HOSTS",
    "IMAGE_DISK_UUID",
    "IMAGE_NAME",
    "IMAGE_UUID",
    "ISO_NAME",
    "ISO_UUID",
    "NETWORK",
    "NETWORK_NAME",
    "PASSWORD",
    "SECOND_CLUSTER",
    "SECOND_CONTAINER",
    "SECOND_HOSTS",
    "SECOND_NETWORK",
    "UNMANAGED_NETWORK",
    "USER",
    "Knobs",
    "NutanixSandbox",
    "SimulatedDisk",
    "SimulatedTask",
    "SimulatedVM",
]
