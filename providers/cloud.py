"""The facts of one cloud that are known without its SDK and without a call: names, limits, patterns, options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from providers.errors import ErrorCode


@dataclass(frozen=True)
class Option:
    """One optional key that a cloud adds to an environment in the file.

    `pattern` must match the whole text (of each item, where `many` says that a list is meant);
    `meaning` is shown to whoever gets it wrong.
    """

    meaning: str
    pattern: re.Pattern[str]
    many: bool = False


@dataclass(frozen=True)
class CredentialName:
    """What a cloud calls one half of the credentials, and a line of help for whoever types it in."""

    name: str
    help: str


@dataclass(frozen=True)
class Cloud:
    """What the rest of the service must know of a cloud before it talks to it.

    Attributes:
        name: as answers show it.
        aliases: further names under which files may call it; all names are matched without regard to case.
        driver: dotted path of the `Driver` class, imported when first needed; None while there is none.
        site: dotted path of the function that reads an environment of this cloud, and raises UnprocessableError for
            one that cannot be used; None where only the cloud itself can say.
        vm_id_pattern: the form of a VM's id; an id of another form is refused before any call.
        vm_id_example: shown when an id is refused.
        cloud_init_limit_bytes: the most that the cloud takes, decoded.
        has_instance_types: whether `instance_type` names a size of the cloud's own; elsewhere CPUs and memory
            are read from its end (`c2m4`) or given beside it.
        admin_password_systems: the operating systems (in lower case) for which a create brings the password of
            their administrator; elsewhere nobody may send one.
        url_words: what `url` may say instead of an address.
        required: the keys of an environment without which the cloud cannot be used at all.
        options: keys that this cloud adds to an environment.
        access_key, secret: what the two halves of the credentials are called there.
        causes: for the pages of errors: the usual cause of an error on this cloud.

    """

    name: str
    driver: str | None
    vm_id_pattern: re.Pattern[str]
    vm_id_example: str
    cloud_init_limit_bytes: int
    aliases: frozenset[str] = frozenset()
    has_instance_types: bool = False
    admin_password_systems: frozenset[str] = frozenset()
    url_words: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    site: str | None = None
    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))
    access_key: CredentialName = CredentialName("User name", "A user of the cloud's own.")
    secret: CredentialName = CredentialName("Password", "The user's password.")
    causes: Mapping[ErrorCode, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def names(self) -> frozenset[str]:
        """All names under which a file may call this cloud, in lower case."""
        return frozenset(name.lower() for name in (self.name, *self.aliases))
