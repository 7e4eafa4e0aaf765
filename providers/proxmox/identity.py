"""Which id a new VM gets, so that no two creates meet, and one that is repeated finds what it has made.

`GET /cluster/nextid` reserves nothing. What is safe is the making itself: Proxmox gives an id only once in a cluster,
to a VM or a container.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxmoxer.core import ResourceException

from providers.errors import key_reused
from providers.notes import Notes
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import IdTakenError
from providers.proxmox.failures import translate
from providers.proxmox.naming import Place, is_iso_of
from providers.proxmox.recipe import Recipe
from providers.proxmox.records import Config
from providers.proxmox.removal import Removal

# How many ids are tried when others make VMs at the same time.
TRIES: Final = 24
_FIRST_SPREAD, _WIDEST_SPREAD = 15, 120
# Ids that follow from keys have nine digits, far above those that Proxmox proposes.
_KEYED_FROM, _KEYED_COUNT = 100_000_000, 900_000_000


@dataclass(frozen=True)
class Made:
    """A VM that an earlier try has made, finished or not."""

    place: Place
    config: Config


class Identity:
    """The id of one VM to be made."""

    def __init__(self, client: ProxmoxClient, recipe: Recipe, removal: Removal) -> None:
        self._client = client
        self._recipe = recipe
        self._removal = removal
        self._strangers = 0

    def candidates(self) -> Iterator[str]:
        """Ids to try, one after the other.

        With an idempotency key they follow from the key, so that two tries at the same time cannot make two VMs: it
        is always the same id, for which the tries race, but for those that belong to strangers.
        """
        return self._keyed() if self._recipe.request_key else self._proposed()

    def made_before(self, vm_id: str) -> Made | None:
        """Return the VM of this id if an earlier try with the same key has made it.

        Raises:
            UnprocessableError: the earlier try had other content.
            IdTakenError: the id is a stranger's; the next candidate is another.

        """
        if not self._recipe.request_key or self._is_free(vm_id):
            return None
        place, config = self._settled(vm_id)
        if config is not None and config.notes.is_abandoned and self._is_of_this_key(config):
            config = self._removal.after_removal(place)
        if config is None and self._is_free(vm_id):
            # The earlier try has failed, or was removed, meanwhile.
            return None
        if config is None or not self._is_of_this_key(config):
            self._strangers += 1
            raise IdTakenError(f"VM or container {vm_id} was not made by this request.")
        digest = config.notes.request_digest
        if digest and digest != self._recipe.spec.request_digest:
            raise key_reused(vm_id)
        return Made(place, config)

    def is_anothers(self, vm_id: str) -> bool:
        """Whether another try of the same request has made the VM of this id.

        The VM of a try with the same key and other content has an image of its own.
        """
        _, config = self._settled(vm_id)
        if config is None or not self._is_of_this_key(config):
            return False
        notes = config.notes
        has_same_content = notes.request_digest in {"", self._recipe.spec.request_digest}
        return has_same_content and notes.creation != self._recipe.creation

    def _settled(self, vm_id: str) -> tuple[Place, Config | None]:
        place = Place(self._client.node_of(vm_id) or self._recipe.site.node, vm_id)
        return place, self._removal.settled(place)

    def _is_of_this_key(self, config: Config) -> bool:
        """Whether a VM was made by a try with this key.

        Where somebody has edited our mark out of the notes, the VM is known by its cloud-init image or its name: the
        id alone, one of 900 million that follows from the key, makes a stranger improbable.
        """
        if config.is_template:
            return False
        if config.notes != Notes():
            return config.notes.request_key == self._recipe.request_key
        token = self._recipe.image_token
        return config.name == self._recipe.spec.name or any(is_iso_of(one, token) for one in config.volumes.values())

    def _keyed(self) -> Iterator[str]:
        for _ in range(TRIES):
            digest = hashlib.sha256(f"{self._recipe.request_key} {self._strangers}".encode()).digest()
            yield str(_KEYED_FROM + int.from_bytes(digest[:8], "big") % _KEYED_COUNT)

    def _proposed(self) -> Iterator[str]:
        spread = 0
        for _ in range(TRIES):
            # Everybody is told the same id: after a collision the ones above it are as good.
            yield str(self._client.next_id() + random.randint(0, spread))  # noqa: S311 - nothing depends on chance here
            spread = min(spread * 2 or _FIRST_SPREAD, _WIDEST_SPREAD)

    def _is_free(self, vm_id: str) -> bool:
        try:
            self._client.confirm_free(vm_id)
        except ResourceException as error:
            if isinstance(translate(error), IdTakenError):
                return False
            raise
        return True
