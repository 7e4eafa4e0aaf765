"""From a VM that is wanted to what Azure is asked for, and what Azure could never make."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from providers.azure.marks import Made, new_creation
from providers.azure.records import CREATION_TAG, DIGEST_TAG, KEY_TAG, OWN_TAGS
from providers.azure.site import Site, site_of
from providers.domain import Environment, VMSpec
from providers.errors import FieldFault, InvalidRequestError, UnprocessableError, in_one_line

# `networkApiVersion` in the API's description.
NIC_API: Final = "2020-11-01"

# https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources
MOST_TAGS: Final = 50
LONGEST_KEY, LONGEST_VALUE = 512, 256
_FORBIDDEN: Final = re.compile(r"[<>%&\\?/]")
_RESERVED: Final = ("microsoft", "azure", "windows", OWN_TAGS)

# `osProfile` in the API's description.
LONGEST_WINDOWS_NAME: Final = 15
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 123
_CLASSES: Final = tuple(map(re.compile, (r"[a-z]", r"[A-Z]", r"\d", r"[\W_]")))
_WELL_KNOWN_PASSWORDS: Final = frozenset({
    "abc@123", "P@$$w0rd", "P@ssw0rd", "P@ssword123", "Pa$$word", "pass@word1", "Password!", "Password1", "Password22",
    "iloveyou!",
})  # fmt: skip

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_MARKETPLACE: Final = re.compile(rf"(?P<publisher>{_PART})/(?P<offer>{_PART})/(?P<sku>{_PART})/(?P<version>{_PART})")
_VERSION: Final = rf"images/{_PART}(/versions/{_PART})?"
_IMAGE_IDS: Final = (
    (
        "id",
        re.compile(
            r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w().-]{1,90}/providers/Microsoft\.Compute/"
            rf"(images/{_PART}|galleries/{_PART}/{_VERSION})",
            re.IGNORECASE,
        ),
    ),
    ("communityGalleryImageId", re.compile(rf"/CommunityGalleries/{_PART}/{_VERSION}", re.IGNORECASE)),
    ("sharedGalleryImageId", re.compile(rf"/SharedGalleries/{_PART}/{_VERSION}", re.IGNORECASE)),
)


@dataclass(frozen=True)
class Recipe:
    """One VM to be made. `creation` marks what this create makes."""

    site: Site
    spec: VMSpec
    image: Mapping[str, str]
    creation: str = field(default_factory=new_creation)

    @property
    def made(self) -> Made:
        """The names of what this create makes."""
        return Made(self.spec.name, self.creation)

    @property
    def request_key(self) -> str:
        """See `VMSpec.request_key`."""
        return self.spec.request_key(self.site.name)

    def body(self) -> dict[str, Any]:
        """The VM as Azure is asked for it."""
        return {
            "location": self.site.region,
            "tags": {**self.spec.tags, **self._own_tags()},
            "properties": {
                "hardwareProfile": {"vmSize": self.spec.offer.instance_type},
                "storageProfile": {"imageReference": dict(self.image), "osDisk": self._disk()},
                "osProfile": self._system(),
                "networkProfile": {
                    "networkApiVersion": NIC_API,
                    "networkInterfaceConfigurations": [self._interface()],
                },
            },
        }

    def _own_tags(self) -> dict[str, str]:
        keyed = {KEY_TAG: self.request_key, DIGEST_TAG: self.spec.request_digest} if self.request_key else {}
        return {CREATION_TAG: self.creation, **keyed}

    def _disk(self) -> dict[str, Any]:
        """Its type and, where the machine type does not say one, its size are left to Azure."""
        size = {"diskSizeGB": self.spec.os.disk_gib} if self.spec.os.disk_gib else {}
        return {"name": self.made.disk, "createOption": "FromImage", "deleteOption": "Delete", **size}

    def _interface(self) -> dict[str, Any]:
        address = {"name": "primary", "properties": {"primary": True, "subnet": {"id": self.site.subnet_id}}}
        return {
            "name": self.made.nic,
            "properties": {"primary": True, "deleteOption": "Delete", "ipConfigurations": [address]},
        }

    def _system(self) -> dict[str, Any]:
        profile: dict[str, Any] = {"computerName": self.spec.name, "adminUsername": self.site.admin}
        if self.spec.cloud_init:
            profile["customData"] = base64.b64encode(self.spec.cloud_init).decode()
        if _is_windows(self.spec):
            return {**profile, "adminPassword": _password(self.spec)}
        path = f"/home/{self.site.admin}/.ssh/authorized_keys"
        keys = {"publicKeys": [{"path": path, "keyData": _PUBLIC_KEY_OF_NOBODY}]}
        return {**profile, "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": keys}}


def recipe_for(environment: Environment, spec: VMSpec) -> Recipe:
    """The recipe for a VM.

    Raises:
        InvalidRequestError: name, tags or password don't fit.
        UnprocessableError: the environment or the machine type is at fault.

    """
    site = site_of(environment)
    if not site.subnet_id:
        raise UnprocessableError(
            f"No VM can be made in environment {environment.name!r}: fill in the full id of a subnet "
            "(/subscriptions/…/virtualNetworks/<network>/subnets/<subnet>) as its `network_id`."
        )
    faults = (*_name_faults(spec), *_password_faults(spec), *_tag_faults(spec))
    if faults:
        raise InvalidRequestError(f"Azure cannot make this VM: {in_one_line(faults)}", fields=faults)
    return Recipe(site, spec, _image(spec.offer.image))


def _public_key_of_nobody() -> str:
    """Return a public SSH key, of RSA as the API requires it, whose private key is thrown away.

    Azure makes no Linux VM without a password or a key. With this one, only cloud-init gives access.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


# Made once, because that takes 50 ms of CPU time. Several VMs may share it: nobody has the private key.
_PUBLIC_KEY_OF_NOBODY: Final = _public_key_of_nobody()


def _is_windows(spec: VMSpec) -> bool:
    return spec.os.os_type.lower() == "windows"


def _image(text: str) -> dict[str, str]:
    if found := _MARKETPLACE.fullmatch(text):
        return found.groupdict()
    for key, pattern in _IMAGE_IDS:
        if pattern.fullmatch(text):
            return {key: text}
    raise UnprocessableError(
        f"The machine type's image on Azure is {text!r}. It must be an image of the marketplace "
        "(publisher/offer/sku/version, such as Debian/debian-12/12-gen2/latest) or the full id of an image "
        "(/subscriptions/…/providers/Microsoft.Compute/images/… or …/galleries/…)."
    )


def _name_faults(spec: VMSpec) -> Iterator[FieldFault]:
    if not _is_windows(spec):
        return
    if len(spec.name) > LONGEST_WINDOWS_NAME:
        yield FieldFault("name", f"has {len(spec.name)} characters; with Windows Azure takes {LONGEST_WINDOWS_NAME}")
    if spec.name.isdigit():
        yield FieldFault("name", "is all digits, which Windows does not take")


def _password(spec: VMSpec) -> str | None:
    return None if spec.admin_password is None else spec.admin_password.reveal()


def _password_faults(spec: VMSpec) -> Iterator[FieldFault]:
    password = _password(spec)
    if not _is_windows(spec):
        if password is not None:
            yield FieldFault("admin_password", "is for machine types with Windows only")
        return
    if not password:
        yield FieldFault("admin_password", "is missing; a machine type with Windows needs it")
    elif not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        yield FieldFault("admin_password", f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    elif sum(bool(one.search(password)) for one in _CLASSES) < 3:
        yield FieldFault("admin_password", "must hold three of: small letters, capital letters, digits, other signs")
    elif password in _WELL_KNOWN_PASSWORDS:
        yield FieldFault("admin_password", "is one that Azure refuses because everybody knows it")


def _tag_faults(spec: VMSpec) -> Iterator[FieldFault]:
    tags = spec.tags
    most = MOST_TAGS - (3 if spec.idempotency else 1)
    if len(tags) > most:
        yield FieldFault("tags", f"{len(tags)} are too many: Azure takes {MOST_TAGS} in all, {most} of them yours")
    if len({key.lower() for key in tags}) < len(tags):
        yield FieldFault("tags", "two names differ only in the case of their letters, which Azure takes for one")
    for key, value in tags.items():
        if key.lower().startswith(_RESERVED):
            yield FieldFault("tags", f"{key!r} is reserved")
        if _FORBIDDEN.search(key):
            yield FieldFault("tags", rf"{key!r} holds one of < > % & \ ? /, which Azure takes in no tag's name")
        if not 0 < len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            yield FieldFault("tags", f"a name has 1 to {LONGEST_KEY} characters and a value at most {LONGEST_VALUE}")
