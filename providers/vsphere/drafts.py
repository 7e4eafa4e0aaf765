"""A VM that is to be made: its identity, what is written into its notes, and what its guest finds."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Final

from pyVmomi import vim

from providers import notes
from providers.domain import Environment, VMSpec
from providers.notes import Notes
from providers.vsphere import guestinfo

# The names of the folders that creates make on datastores begin with it, so that leftovers are known as ours.
FOLDER_MARK: Final = "cloudvm-"
# Under it, a key of a caller's stands for an instance UUID.
_KEYS: Final = uuid.UUID("0f5d1c7e-3f5c-5b0a-9d0e-6b7c1f2a9e43")


@dataclass(frozen=True)
class Draft:
    """One create's VM.

    `creation` is drawn for this very create: by it, and by nothing else, is a VM known as the one that it made.

    `uuid` is the instance UUID that the VM is asked to have, as Kubernetes' provider for vSphere does with its clones
    (`pkg/services/govmomi/vcenter/clone.go` in kubernetes-sigs/cluster-api-provider-vsphere): the id is known before
    the VM is made. With an Idempotency-Key it follows from the key, so that a retry finds the VM by one look-up instead
    of reading the notes of all. It is no lock: vCenter gives a VM whose
    instance UUID is taken another one, and says nothing (VirtualMachineConfigSpec.instanceUuid in the API reference:
    "allowing the Virtual Infrastructure environment to assign or change it when VirtualCenter detects an identifier
    conflict"). The lock is the name: requests with the same key have the same content, so the same name, which vCenter
    takes once in a folder (`DuplicateName`); on a standalone host it is the VM's configuration file, in a folder whose
    name follows from the key: both can be made once (`FileAlreadyExists`).
    """

    spec: VMSpec
    uuid: str
    creation: str
    request_key: str = ""
    digest: str = ""

    @classmethod
    def of(cls, environment: Environment, spec: VMSpec) -> Draft:
        """A new draft of the VM that is wanted."""
        creation = uuid.uuid4().hex
        if spec.idempotency is None:
            return cls(spec, str(uuid.uuid4()), creation)
        key = spec.request_key(environment.name)
        return cls(spec, str(uuid.uuid5(_KEYS, key)), creation, key, spec.request_digest)

    @property
    def is_keyed(self) -> bool:
        """Whether the caller gave a key."""
        return bool(self.request_key)

    @property
    def key(self) -> str:
        """What follows from the caller's key; empty without one."""
        return self.uuid if self.is_keyed else ""

    @property
    def folder_name(self) -> str:
        """The VM's folder on a datastore of a standalone host; with a key it follows from that and nothing else."""
        return FOLDER_MARK + (self.uuid if self.is_keyed else f"{self.spec.name}-{self.uuid[:8]}")

    @property
    def notes(self) -> Notes:
        """What the VM's notes say of the create."""
        return Notes(
            self.spec.tags,
            self.creation,
            self.uuid,
            self.request_key,
            self.digest,
            created_at=int(time.time()),
            start=self.spec.start,
        )

    def config(self) -> vim.vm.ConfigSpec:
        """What a VM has of it in every way of making one."""
        spec = self.spec
        seen = guestinfo.variables(self.uuid, spec.name, spec.cloud_init)
        return vim.vm.ConfigSpec(
            instanceUuid=self.uuid,
            annotation=notes.write(self.notes),
            numCPUs=spec.offer.cpus,
            # One socket: the number of CPUs must be a multiple of it, and a template may say what does not fit.
            numCoresPerSocket=spec.offer.cpus,
            memoryMB=spec.offer.memory_mib,
            extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in seen.items()],
        )
