"""From a VM that is wanted to what Prism is asked for, and what it could never make."""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

from providers import notes
from providers.domain import VMSpec
from providers.errors import FieldFault, InvalidRequestError, UnprocessableError
from providers.notes import Notes
from providers.nutanix.records import Image, NewMachine
from providers.nutanix.site import Site

# `user_data` in v3's description of guest_customization, in base64; v4 takes the same.
MOST_ENCODED: Final = 128_000

_GIB: Final = 1 << 30


@dataclass(frozen=True)
class Recipe:
    """One VM to be made. `creation` is drawn, and marks what this create makes; `created_at` is when it began."""

    site: Site
    spec: VMSpec
    creation: str = field(default_factory=lambda: secrets.token_hex(16))
    created_at: int = field(default_factory=lambda: int(time.time()))

    @property
    def request_key(self) -> str:
        """See `VMSpec.request_key`."""
        return self.spec.request_key(self.site.name)

    def request(self, attempt: int | None) -> str:
        """Return the uuid by which v4 knows this request again.

        Each try with a key has the same uuid for the same attempt; it is drawn without a key or an attempt.
        """
        if not self.request_key or attempt is None:
            return str(uuid.uuid4())
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cloudvm:{self.request_key}:{attempt}"))

    @property
    def description(self) -> str:
        """The VM's description: the mark of this service."""
        return notes.write(
            Notes(
                tags=self.spec.tags,
                creation=self.creation,
                request_key=self.request_key,
                request_digest=self.spec.request_digest,
                created_at=self.created_at,
                start=self.spec.start,
            )
        )

    def machine(self, image: Image, network: str, cluster: str, request: str) -> NewMachine:
        """What Prism is asked for, with what was looked up."""
        spec = self.spec
        wanted = (spec.os.disk_gib or 0) * _GIB
        return NewMachine(
            name=spec.name,
            cpus=spec.offer.cpus or 0,
            memory_mib=spec.offer.memory_mib or 0,
            image=image,
            network=network,
            description=self.description,
            cluster=cluster,
            container=self.site.container,
            # No disk can be smaller than its image.
            disk_bytes=wanted if wanted > (image.size_bytes or 0) else None,
            user_data=spec.cloud_init,
            start=spec.start,
            request=request,
        )


def recipe_for(site: Site, spec: VMSpec) -> Recipe:
    """The recipe for a VM.

    Raises:
        InvalidRequestError: the API of the environment cannot take its user data.
        UnprocessableError: the machine type is at fault.

    """
    if not spec.offer.cpus or not spec.offer.memory_mib:
        raise UnprocessableError(
            "The machine type does not say how many CPUs and how much memory a VM on Nutanix gets: let its "
            "`instance_type` end in c2m4, or give `cpus` and `memory_mib`."
        )
    if not spec.offer.image:
        raise UnprocessableError("The machine type names no image for Nutanix: give the uuid or name of a disk image.")
    check_user_data(site.api, spec.cloud_init)
    return Recipe(site, spec)


def check_user_data(api: str, data: bytes | None) -> None:
    """Refuse user data that an API has no room or no form for; nothing is known of it as long as the API is not.

    Raises:
        InvalidRequestError: v2.0 has text for it, the others 128,000 characters of base64.

    """
    if data is None:
        return
    if api == "v2":
        try:
            data.decode()
        except UnicodeDecodeError:
            # "from None": the cause would carry the data into a log.
            raise _refused("is not UTF-8 text; Prism Element's API v2.0 hands user data over as text only") from None
    elif api:
        length = len(base64.b64encode(data))
        if length > MOST_ENCODED:
            raise _refused(
                f"has {len(data):,} bytes, {length:,} in base64; Prism Central takes at most {MOST_ENCODED:,} in "
                "base64, which are 96,000 bytes"
            )


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"cloud_init {why}.", fields=(FieldFault("cloud_init", why),))
