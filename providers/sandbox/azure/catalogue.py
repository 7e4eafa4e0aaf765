"""What the simulated region offers: API versions, VM sizes and images.

https://learn.microsoft.com/azure/virtual-machines/sizes
"""

from collections.abc import Mapping
from dataclasses import dataclass

LOCATIONS = frozenset({"westeurope", "northeurope"})
ZONES = frozenset({"1", "2", "3"})
# The newest is the one whose bodies are simulated; a later one may know names that this one refuses.
COMPUTE_VERSIONS = ("2022-11-01", "2023-03-01", "2023-07-01", "2023-09-01", "2024-03-01", "2024-07-01")
DISK_VERSIONS = ("2022-07-02", "2023-01-02", "2023-04-02", "2023-10-02", "2024-03-02")
NETWORK_VERSIONS = ("2022-11-01", "2023-09-01", "2023-11-01", "2024-01-01", "2024-03-01", "2024-05-01")
RESOURCES_VERSIONS = ("2021-04-01", "2022-09-01", "2023-07-01", "2024-03-01", "2024-07-01", "2024-11-01")
# What a VM's PUT may give as the version of its inline network interfaces.
NIC_VERSIONS = frozenset({"2020-11-01", "2022-11-01"})

SIZES: Mapping[str, int] = {
    "Standard_B1s": 1,
    "Standard_B1ms": 1,
    "Standard_B2s": 2,
    "Standard_B2ms": 2,
    "Standard_B4ms": 4,
    "Standard_D2s_v3": 2,
    "Standard_D4s_v3": 4,
    "Standard_D2s_v5": 2,
    "Standard_D4s_v5": 4,
    "Standard_D8s_v5": 8,
    "Standard_DS1_v2": 1,
    "Standard_D1_v2": 1,
    "Standard_E2s_v5": 2,
    "Standard_F2s_v2": 2,
}
CORES = {size.lower(): cores for size, cores in SIZES.items()}
NAMES = {size.lower(): size for size in SIZES}


@dataclass(frozen=True)
class Image:
    """What a VM is made from. `version` is what `latest` stands for."""

    os_type: str
    disk_gib: int
    version: str
    os_name: str
    os_version: str
    generation: str = "V2"


IMAGES: Mapping[tuple[str, str, str], Image] = {
    ("debian", "debian-12", "12-gen2"): Image("Linux", 30, "0.20241004.1890", "debian", "12.7"),
    ("debian", "debian-12", "12"): Image("Linux", 30, "0.20241004.1890", "debian", "12.7", "V1"),
    ("canonical", "ubuntu-24_04-lts", "server"): Image("Linux", 30, "24.04.202410170", "ubuntu", "24.04"),
    ("microsoftwindowsserver", "windowsserver", "2022-datacenter-azure-edition"): Image(
        "Windows", 127, "20348.2762.241006", "Windows Server 2022 Datacenter", "10.0.20348.2762"
    ),
}
CUSTOM_IMAGE = Image("Linux", 30, "", "debian", "12.7")
