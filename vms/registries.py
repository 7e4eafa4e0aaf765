"""The read-only registries of environments and machine types, held in memory for the process's life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from providers.domain import Environment, MachineType
from vms.files.environments import read_environments
from vms.files.machinetypes import read_machine_types
from vms.files.reading import Fault, Reading


class RegistryError(Exception):
    """The files cannot be used; `faults` says everything that is wrong, one line each."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True)
class Registries:
    """What the two files say, by name and in the files' order."""

    environments: Mapping[str, Environment]
    machine_types: Mapping[str, MachineType]

    def offered(self, environment: Environment) -> tuple[MachineType, ...]:
        """The machine types that an environment offers: those with an offer for its cloud."""
        cloud = environment.cloud.name
        return tuple(machine_type for machine_type in self.machine_types.values() if cloud in machine_type.offers)


def load_registries(environments_file: Path, machinetypes_file: Path) -> Registries:
    """Read both files whole.

    Raises:
        RegistryError: with every fault of both files.

    """
    readings = Reading(environments_file), Reading(machinetypes_file)
    roots = [reading.root() for reading in readings]
    environments = read_environments(roots[0]) if roots[0] else {}
    machine_types = read_machine_types(roots[1]) if roots[1] else {}
    faults = [fault for reading in readings for fault in reading.faults]
    if faults:
        raise RegistryError(faults)
    return Registries(environments, machine_types)
