"""What the compute provider asks of a new VM beyond its shape: names, passwords, keys, sizes, images, custom data.

https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update#osprofile and
https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages
"""

import base64
import binascii
import re
from collections.abc import Mapping
from http import HTTPStatus

from providers.sandbox.azure import catalogue
from providers.sandbox.azure.catalogue import Image
from providers.sandbox.azure.wire import ArmError, InvalidParameterError, Json, MissingParameterError

NAME = re.compile(r"[^_\W][\w.-]{0,79}(?<![-.])")
MAX_CUSTOM_DATA = 65535
MAX_CUSTOM_DATA_TEXT = 87380
_HOST_NAME = re.compile(r"[^`~!@#$%^&*()=+_\[\]{}\\|;:.'\",<>/?\s]+")
_WINDOWS_BAD = "[ ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : . ' \" , < > / ?]"
# fmt: off
ADMIN_NAMES = frozenset({
    "administrator", "admin", "user", "user1", "test", "user2", "test1", "user3", "admin1", "1", "123", "a",
    "actuser", "adm", "admin2", "aspnet", "backup", "console", "david", "guest", "john", "owner", "root", "server",
    "sql", "support", "support_388945a0", "sys", "test2", "test3", "user4", "user5",
})
# fmt: on
PASSWORDS = frozenset(
    {
        "abc@123",
        "P@$$w0rd",
        "P@ssw0rd",
        "P@ssword123",
        "Pa$$word",
        "pass@word1",
        "Password!",
        "Password1",
        "Password22",
        "iloveyou!",
    }
)
_PASSWORD_LENGTHS: Mapping[str, tuple[int, int]] = {"Linux": (6, 72), "Windows": (8, 123)}
_ADMIN_LENGTHS: Mapping[str, int] = {"Linux": 64, "Windows": 20}
_CLASSES = (r"[A-Z]", r"[a-z]", r"[0-9]", r"[^A-Za-z0-9]")


def check_name(name: str) -> None:
    """Refuse a VM's name."""
    if not NAME.fullmatch(name):
        message = (
            "The entity name 'vmName' is invalid according to its validation rule: ^[^_\\W][\\w-._]{0,79}(?<![-.])$."
        )
        raise InvalidParameterError("vmName", message)


def size(hardware: Json, unavailable: frozenset[str], location: str) -> str:
    """A VM's size in Azure's spelling."""
    given = hardware.get("vmSize")
    if not given:
        raise MissingParameterError("vmSize")
    known = catalogue.NAMES.get(given.lower())
    if known is None:
        message = (
            f"The value {given} provided for the VM size is not valid. The valid sizes in the current region are: "
            f"{','.join(sorted(catalogue.SIZES))}. Find out more on the valid VM sizes in each region at "
            "https://aka.ms/azure-regions."
        )
        raise InvalidParameterError("vmSize", message)
    if known.lower() in {one.lower() for one in unavailable}:
        message = (
            f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {known}' is "
            f"currently not available in location '{location}'. Please try another size or deploy to a different "
            "location or different zone. See https://aka.ms/azureskunotavailable for details."
        )
        raise ArmError(HTTPStatus.CONFLICT, "SkuNotAvailable", message)
    return known


def image(reference: Json, custom: Mapping[str, Image]) -> Image:
    """The image that a reference leads to."""
    if "id" in reference:
        found = custom.get(reference["id"].lower())
        if found is None:
            message = f"The Image {reference['id']} cannot be found."
            raise ArmError(HTTPStatus.NOT_FOUND, "NotFound", message, target="imageReference")
        return found
    parts = {part: reference.get(part) for part in ("publisher", "offer", "sku", "version")}
    for part, value in parts.items():
        if not value:
            raise MissingParameterError(f"imageReference.{part}")
    platform = catalogue.IMAGES.get(
        (reference["publisher"].lower(), reference["offer"].lower(), reference["sku"].lower())
    )
    if platform is None or reference["version"] not in {"latest", platform.version}:
        message = (
            f"The platform image '{':'.join(str(part) for part in parts.values())}' is not available. Verify that all "
            "fields in the storage profile are correct. For more details about storage profile information, please "
            "refer to https://aka.ms/storageprofile"
        )
        raise ArmError(HTTPStatus.NOT_FOUND, "PlatformImageNotFound", message, target="imageReference")
    return platform


def check_os_disk(disk: Json, source: Image) -> None:
    """Refuse an OS disk that cannot be made from an image."""
    if "createOption" not in disk:
        raise MissingParameterError("osDisk.createOption")
    if disk["createOption"] != "FromImage":
        message = f"The value '{disk['createOption']}' of parameter 'osDisk.createOption' is not allowed."
        raise InvalidParameterError("osDisk.createOption", message)
    if disk.get("osType", source.os_type) != source.os_type:
        message = f"The value '{disk['osType']}' of parameter 'osDisk.osType' does not match the image."
        raise InvalidParameterError("osDisk.osType", message)
    if disk.get("diskSizeGB", source.disk_gib) < source.disk_gib:
        message = (
            f"The specified disk size {disk['diskSizeGB']} GB is smaller than the size of the corresponding disk in "
            f"the VM image: {source.disk_gib} GB. This is not allowed. Please choose equal or greater size or do not "
            "specify an explicit size."
        )
        raise ArmError(HTTPStatus.CONFLICT, "OperationNotAllowed", message, target="osDisk.diskSizeGB")


def check_os_profile(profile: Json, os_type: str) -> None:
    """Refuse a guest's names, password and keys."""
    _check_computer_name(profile.get("computerName"), os_type)
    _check_admin(profile.get("adminUsername"), os_type)
    other = "windowsConfiguration" if os_type == "Linux" else "linuxConfiguration"
    if other in profile:
        raise InvalidParameterError(other, f"Parameter '{other}' is not allowed.")
    if os_type == "Linux":
        _check_linux_log_in(profile)
    else:
        _check_password(profile.get("adminPassword"), os_type)


def custom_data(text: str | None) -> bytes | None:
    """The bytes of custom data; Azure has them in base64, and no more than 65,535."""
    if text is None:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or len(data) > MAX_CUSTOM_DATA or len(text) > MAX_CUSTOM_DATA_TEXT:
        message = (
            "Custom data in OSProfile must be in Base64 encoding and with a maximum length of "
            f"{MAX_CUSTOM_DATA_TEXT} characters."
        )
        raise InvalidParameterError("customData", message)
    return data


def _check_computer_name(name: str | None, os_type: str) -> None:
    if not name:
        raise MissingParameterError("computerName")
    if os_type == "Windows":
        if len(name) > 15 or name.isdigit() or not _HOST_NAME.fullmatch(name):
            message = (
                "Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain the "
                f"following characters: {_WINDOWS_BAD}."
            )
            raise InvalidParameterError("computerName", message)
    elif len(name) > 64 or not _HOST_NAME.fullmatch(name.replace(".", "")) or name[-1] in ".-":
        message = (
            "Linux host name cannot exceed 64 characters in length or contain the following characters: "
            f"{_WINDOWS_BAD.replace(' .', '')}."
        )
        raise InvalidParameterError("computerName", message)


def _check_admin(name: str | None, os_type: str) -> None:
    if not name:
        raise MissingParameterError("adminUsername")
    if len(name) > _ADMIN_LENGTHS[os_type]:
        message = f"Admin Username cannot be more than {_ADMIN_LENGTHS[os_type]} characters long."
        raise InvalidParameterError("adminUsername", message)
    if name.lower() in ADMIN_NAMES or name.endswith("."):
        raise InvalidParameterError("adminUsername", "The Admin Username specified is not allowed.")


def _check_linux_log_in(profile: Json) -> None:
    linux = profile.get("linuxConfiguration", {})
    keys = linux.get("ssh", {}).get("publicKeys", [])
    if linux.get("disablePasswordAuthentication") and not keys:
        message = "Authentication using either SSH or by user name and password must be enabled in Linux profile."
        raise InvalidParameterError("linuxConfiguration", message)
    if profile.get("adminPassword") is not None or not keys:
        _check_password(profile.get("adminPassword"), "Linux")
    for key in keys:
        _check_key(key, profile["adminUsername"])


def _check_key(key: Json, admin: str) -> None:
    expected = f"/home/{admin}/.ssh/authorized_keys"
    if key.get("path") != expected:
        message = (
            f"Destination path for SSH public keys is currently limited to its default value {expected}  due to a "
            "known issue in Linux provisioning agent."
        )
        raise InvalidParameterError("linuxConfiguration.ssh.publicKeys.path", message)
    if not _is_key(key.get("keyData", "")):
        message = "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid."
        raise InvalidParameterError("linuxConfiguration.ssh.publicKeys.keyData", message)


def _is_key(text: str) -> bool:
    """Whether a line is a public key that Azure takes: Ed25519, or RSA of 2,048 bits and more."""
    kind, _, rest = text.strip().partition(" ")
    try:
        data = base64.b64decode(rest.split(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return False
    smallest = {"ssh-ed25519": 32, "ssh-rsa": 2048 // 8}.get(kind)
    return smallest is not None and data[4 : 4 + len(kind)] == kind.encode() and len(data) > smallest + len(kind) + 4


def _check_password(password: str | None, os_type: str) -> None:
    if not password:
        raise MissingParameterError("adminPassword")
    shortest, longest = _PASSWORD_LENGTHS[os_type]
    classes = sum(bool(re.search(one, password)) for one in _CLASSES)
    is_long_enough = shortest <= len(password) <= longest
    if not is_long_enough or classes < 3 or not password.isprintable():
        message = (
            f"The supplied password must be between {shortest}-{longest} characters long and must satisfy at least 3 "
            "of password complexity requirements from the following:\r\n1) Contains an uppercase character\r\n2) "
            "Contains a lowercase character\r\n3) Contains a numeric digit\r\n4) Contains a special character\r\n5) "
            "Control characters are not allowed"
        )
        raise InvalidParameterError("adminPassword", message)
    if password in PASSWORDS:
        raise InvalidParameterError("adminPassword", "The Admin password specified is not allowed.")
