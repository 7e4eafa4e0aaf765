"""What a machine type's image is: a template that is cloned, or a file of a datastore that is copied or inserted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from pyVmomi import vim

from providers.domain import Environment
from providers.errors import UnprocessableError
from providers.findings import Findings
from providers.vsphere.inventory import KEPT_SECONDS, MOST_KEPT, Inventory
from providers.vsphere.placement import folders
from providers.vsphere.properties import Found, Ref, escaped, only, pages
from providers.vsphere.session import Session

TEMPLATES_SHOWN = 20

# `[datastore] folder/file`: https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/ "Datastore path".
_FILE = re.compile(r"\[(?P<datastore>[^\[\]]+)\] *(?P<path>[^/ ].*\.(?P<kind>vmdk|iso))", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file on a datastore: a disk, or an image of a CD."""

    datastore: str
    folder: str
    name: str
    is_disk: bool

    @property
    def folder_path(self) -> str:
        """The path of the folder that it is in."""
        return f"[{self.datastore}] {self.folder}".strip()

    def __str__(self) -> str:
        return f"[{self.datastore}] {'/'.join(filter(None, (self.folder, self.name)))}"


def file_of(image: str) -> File | None:
    """The file that an image names, if it names one."""
    found = _FILE.fullmatch(image.strip())
    if found is None:
        return None
    folder, _, name = found["path"].rpartition("/")
    return File(found["datastore"], folder, name, found["kind"].lower() == "vmdk")


@dataclass(frozen=True)
class Template:
    """A template, or a VM, that can be cloned; `devices` is its hardware."""

    ref: vim.VirtualMachine
    devices: Sequence[vim.vm.device.VirtualDevice]

    @property
    def disk(self) -> vim.vm.device.VirtualDisk | None:
        """The first disk, which is the system's."""
        return next((one for one in self.devices if isinstance(one, vim.vm.device.VirtualDisk)), None)

    @property
    def nic(self) -> vim.vm.device.VirtualEthernetCard | None:
        """The first network interface."""
        return next((one for one in self.devices if isinstance(one, vim.vm.device.VirtualEthernetCard)), None)


class Templates:
    """The templates that a session has looked up, kept for a while."""

    def __init__(self, environment: Environment, session: Session, inventory: Inventory) -> None:
        self._environment = environment
        self._session = session
        self._inventory = inventory
        self._found: Findings[str, Template] = Findings(MOST_KEPT, KEPT_SECONDS)

    def find(self, image: str) -> Template:
        """The template or VM of that name, or inventory path.

        Raises:
            UnprocessableError: there is not exactly one.

        """
        return self._found.find(image, lambda: self._find(image))

    def forget(self) -> None:
        """Look again the next time."""
        self._found.clear()

    def _find(self, image: str) -> Template:
        ref = self._by_path(image) if "/" in image else self._by_name(image)
        found = only(self._session.collector, ref, ("config.hardware.device",), self._session.place)
        return Template(ref, found.values.get("config.hardware.device", ()))

    def _by_path(self, image: str) -> vim.VirtualMachine:
        """By `/datacenter/vm/folder/name`, or by what follows `vm/` in it."""
        below_vm = image.partition("/vm/")[2] if image.startswith("/") else image
        path, _, name = below_vm.strip("/").rpartition("/")
        folder = folders(self._inventory.places()).get(path)
        found = self._child(folder, name) if folder is not None else None
        if found is None:
            raise self._no_template(image, "")
        return found

    def _by_name(self, image: str) -> vim.VirtualMachine:
        """In the datacenter's own folder of VMs, or anywhere below it, where it must be the only one of its name."""
        folder = self._inventory.datacenter().vm_folder
        found = self._child(folder, image)
        if found is not None:
            return found
        question = self._inventory.of_vms(("name", "config.template"))
        return self._only_one(image, pages(self._session.collector, question))

    def _child(self, folder: Ref, name: str) -> vim.VirtualMachine | None:
        """By the name as the server writes it, or as people do: the API reference does not say which is compared."""
        search, parent = self._session.search, cast("vim.Folder", folder)
        found = (search.FindChild(parent, one) for one in dict.fromkeys((escaped(name), name)))
        return next((one for one in found if isinstance(one, vim.VirtualMachine)), None)

    def _only_one(self, image: str, found: Iterable[Found]) -> vim.VirtualMachine:
        """A template goes before VMs of the same name."""
        named: list[Found] = []
        others: list[str] = []
        for one in found:
            if one.name == image:
                named.append(one)
            elif one.values.get("config.template") and len(others) < TEMPLATES_SHOWN:
                others.append(one.name)
        fitting = [one for one in named if one.values.get("config.template")] or named
        if not fitting:
            raise self._no_template(image, f" Templates there are: {', '.join(sorted(others)) or 'none'}.")
        if len(fitting) > 1:
            raise UnprocessableError(
                f"{len(fitting)} templates or VMs in environment {self._environment.name!r} are called {image!r}: "
                "give the machine type's image as a path, such as templates/debian-12."
            )
        return cast("vim.VirtualMachine", fitting[0].ref)

    def _no_template(self, image: str, choices: str) -> UnprocessableError:
        return UnprocessableError(
            f"There is no template or VM {image!r} in environment {self._environment.name!r}, which the machine type "
            f"names as its image.{choices}"
        )
