"""Which id a new VM gets, so that no two creates meet, and one that is repeated finds what it has made.

`GET /cluster/nextid` reserves nothing. What is safe is the making itself: Proxmox gives an id only once in a cluster,
to a VM or a container.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Final

from proxmoxer.core import ResourceException

from providers.errors import ProviderError, key_reused
from providers.notes import Notes
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import IdTakenError
from providers.proxmox.failures import translate
from providers.proxmox.naming import Place
from providers.proxmox.recipe import Recipe
from providers.proxmox.removal import Removal

# How many ids are tried when others make VMs at the same time.
TRIES: Final = 24
_FIRST_SPREAD, _WIDEST_SPREAD = 15, 120
# Ids that follow from keys have nine digits, far above those that Proxmox proposes.
_KEYED_FROM, _KEYED_COUNT = 100_000_000, 900_000_000


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

    def made_before(self, vm_id: str) -> Place | None:
        """The VM of this id, if an earlier try with the same key has made it.

        Raises:
            UnprocessableError: the earlier try had other content.
            IdTakenError: the id is a stranger's; the next candidate is another.

        """
        if not self._recipe.request_key or self._is_free(vm_id):
            return None
        place = Place(self._client.node_of(vm_id) or self._recipe.site.node, vm_id)
        config = self._removal.settled(place)
        if config is None and self._is_free(vm_id):
            # The earlier try has failed meanwhile.
            return None
        if config is None or config.notes.request_key != self._recipe.request_key:
            self._strangers += 1
            raise IdTakenError(f"VM or container {vm_id} was not made by this request.")
        if config.notes.request_digest != self._recipe.spec.request_digest:
            raise key_reused(vm_id)
        return place

    def is_anothers(self, vm_id: str) -> bool:
        """Whether another try with the same key has made the VM of this id, as far as can be seen."""
        try:
            config = self._removal.settled(Place(self._client.node_of(vm_id) or self._recipe.site.node, vm_id))
        except (ResourceException, ProviderError):
            return False
        made = config.notes if config is not None else Notes()
        return made.request_key == self._recipe.request_key and made.creation != self._recipe.creation

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
