"""The machine types file: sizes and systems under one name, with what they are on each cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from providers.catalogue import find_cloud
from providers.cloud import Cloud
from providers.domain import MachineType, Offer, OperatingSystem
from vms.files.environments import NAME, NAME_RULE, cloud_names
from vms.files.reading import Place

OS_TYPES = {"linux": "Linux", "windows": "Windows"}
SIZE = re.compile(r"(?:.*[^a-z0-9])?c([1-9][0-9]{0,3})m([1-9][0-9]{0,4})")


def read_machine_types(root: Place) -> Mapping[str, MachineType]:
    """Every machine type of the file by its name."""
    machine_types: dict[str, MachineType] = {}
    for name, place in root.fields().items():
        if not NAME.fullmatch(name):
            place.fault(f"a name must be {NAME_RULE}")
        machine_types[name] = _read_machine_type(name, place)
    return MappingProxyType(machine_types)


def _read_machine_type(name: str, place: Place) -> MachineType:
    fields = place.fields(("os", "clouds"))
    for key in ("os", "clouds"):
        if key not in fields and isinstance(place.value, dict):
            place.fault(f"key {key!r} is missing")
    return MachineType(
        name=name,
        os=_read_os(fields["os"]) if "os" in fields else OperatingSystem(""),
        offers=MappingProxyType(_read_offers(fields["clouds"]) if "clouds" in fields else {}),
    )


def _read_os(place: Place) -> OperatingSystem:
    fields = place.fields(("os_type", "os_distribution", "os_disk_size_gb"))
    os_type = ""
    if "os_type" in fields:
        os_type = OS_TYPES.get(fields["os_type"].text().lower(), "")
        if not os_type:
            fields["os_type"].fault(f"must be one of {', '.join(OS_TYPES.values())}")
    elif fields:
        place.fault("key 'os_type' is missing")
    return OperatingSystem(
        os_type=os_type,
        distribution=fields["os_distribution"].text() if "os_distribution" in fields else "",
        disk_gib=fields["os_disk_size_gb"].number(least=1, most=65_536) if "os_disk_size_gb" in fields else None,
    )


def _read_offers(place: Place) -> dict[str, Offer]:
    offers: dict[str, Offer] = {}
    for key, offered in place.fields().items():
        cloud = find_cloud(key)
        if cloud is None:
            offered.fault(f"is no cloud that this service knows; allowed: {cloud_names()}")
            continue
        if cloud.name in offers:
            offered.fault(f"{cloud.name} stands here twice under different names")
        offers[cloud.name] = _read_offer(offered, cloud)
    return offers


def _read_offer(place: Place, cloud: Cloud) -> Offer:
    sized = cloud.has_instance_types
    fields = place.fields(("instance_type", "image") if sized else ("instance_type", "image", "cpus", "memory_mib"))
    instance_type = fields["instance_type"].text() if "instance_type" in fields else ""
    image = fields["image"].text() if "image" in fields else ""
    if not image:
        place.fault("key 'image' is missing or blank")
    if sized:
        if not instance_type:
            place.fault("key 'instance_type' is missing or blank")
        return Offer(instance_type, image)
    cpus, memory_mib = _read_size(place, fields, instance_type)
    return Offer(instance_type, image, cpus, memory_mib)


def _read_size(place: Place, fields: dict[str, Place], instance_type: str) -> tuple[int | None, int | None]:
    """CPUs and MiB of memory: as they stand, or from the end of the instance type (`ecs.g1.c2m4`: 2 and 4 GiB)."""
    named = SIZE.fullmatch(instance_type)
    cpus = int(named[1]) if named else None
    memory_mib = int(named[2]) * 1024 if named else None
    if "cpus" in fields:
        cpus = fields["cpus"].number(least=1, most=1024)
    if "memory_mib" in fields:
        memory_mib = fields["memory_mib"].number(least=16, most=64 * 1024 * 1024)
    if cpus is None or memory_mib is None:
        place.fault("needs 'cpus' and 'memory_mib', or an 'instance_type' that ends in c<cpus>m<GiB> such as c2m4")
    return cpus, memory_mib
