"""The sandbox's Azure: one tenant and one subscription, as Entra ID and Azure Resource Manager show them."""

from providers.sandbox.azure.knobs import Knobs, LockLevel, OperationLinks
from providers.sandbox.azure.records import SimulatedDisk, SimulatedNic, SimulatedOperation, SimulatedVM
from providers.sandbox.azure.sandbox import CLIENT_ID, SECRET, AzureSandbox
from providers.sandbox.azure.seeds import (
    CUSTOM_IMAGE_ID,
    IMAGE,
    LOCATION,
    RESOURCE_GROUP,
    SMALL_SUBNET_ID,
    SUBNET_ID,
    SUBSCRIPTION,
    TENANT,
    WINDOWS_IMAGE,
)

__all__ = [
    "CLIENT_ID",
    "CUSTOM_IMAGE_ID",
    "IMAGE",
    "LOCATION",
    "RESOURCE_GROUP",
    "SECRET",
    "SMALL_SUBNET_ID",
    "SUBNET_ID",
    "SUBSCRIPTION",
    "TENANT",
    "WINDOWS_IMAGE",
    "AzureSandbox",
    "Knobs",
    "LockLevel",
    "OperationLinks",
    "SimulatedDisk",
    "SimulatedNic",
    "SimulatedOperation",
    "SimulatedVM",
]
