"""What PVE's words mean in ours, as tables. PVE has no error codes: most of what goes wrong is a 500 and a text.

The texts: PVE/API2/Qemu.pm and PVE/QemuServer.pm of qemu-server, PVE/AbstractConfig.pm of pve-guest-common,
PVE/Storage.pm of pve-storage, PVE/Cluster.pm of pve-cluster and PVE/Tools.pm of pve-common (https://git.proxmox.com).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from providers.errors import (
    BackendFailureError,
    BackendTimeoutError,
    BackendUnreachableError,
    ConflictError,
    CredentialsRejectedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
    VMNotFoundError,
)


class IdTakenError(ConflictError):
    """Somebody else was faster in taking the id of a new VM."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


MISSING: Final = _any(
    r"Configuration file '[^']*' does not exist",
    r"unable to find configuration file for VM \d+",
)
ALREADY_RUNNING: Final = _any(r"VM \d+ already running", r"already running")
RUNNING: Final = _any(r"VM \d+ is running")
NOT_RUNNING: Final = _any(r"VM \d+ (is )?not running")
VM_IN_USE: Final = _any(r"can't lock file")
# Without a reason where the guest was asked by an agent that did not answer: until qemu-server 8.3.4 that is each VM
# with the agent switched on and none in its guest.
GUEST_SILENT: Final = _any(r"VM quit/powerdown failed")
VOLUME_MISSING: Final = _any(r"No such file or directory", r"volume '?\S+'? does not exist", r"no such volume")
# What PVE answers when it is asked for the size of a volume that is not there.
VOLUME_HAS_NO_SIZE: Final = _any(r"volume_size_info on '[^']*' failed")
# What PVE answers when the digest in a request is not that of the configuration.
MODIFIED: Final = _any(r"checksum miss?match", r"detected modified configuration")
DISK_IS_LARGER: Final = _any(r"shrinking disks is not supported")


def waits_for(vm_id: str) -> re.Pattern[str]:
    """What PVE says when it has waited in vain for another task's work on a VM."""
    return _any(rf"can't lock file '[^']*/lock-{vm_id}\.conf'")


# The first that is found counts, so exceptions stand before the rule.
ERROR_TEXTS: Final[tuple[tuple[re.Pattern[str], type[ProviderError]], ...]] = (
    (MISSING, VMNotFoundError),
    (_any(r"you can't start a vm if it's a template"), VMNotFoundError),
    (
        _any(
            r"(VM|CT) \d+ already exists",
            r"VM \d+: config file already exists",
            # Somebody is making a VM of this id: PVE waits for the end of that before it looks whether there is one.
            r"unable to create VM \d+ - can't lock file",
            # What the cluster's own file system says of an id that is another node's, or a container's.
            r"atomic file '[^']*/\d+\.conf' failed: File exists",
        ),
        IdTakenError,
    ),
    # "Permission denied" alone is what a node's own file system says, and no role of the caller's would help.
    (_any(r"permission check failed[^)]*\)?"), PermissionDeniedError),
    (GUEST_SILENT, BackendTimeoutError),
    (
        _any(
            r"VM is locked( \(\S+\))?",
            r"can't lock file",
            r"VM is paused",
            r"VM \d+ is running",
            r"VM \d+ (is )?not running",
            r"already running",
            r"protection mode enabled",
            r"used in HA resources",
            r"checksum miss?match",
            r"detected modified configuration",
        ),
        ConflictError,
    ),
    (
        _any(
            r"no space left",
            r"(not enough|insufficient) (free )?(disk )?(space|memory)",
            r"out of (space|memory)",
            r"cannot allocate memory",
            r"free space in thin pool \S+ reached threshold",
            r"got lock request timeout",
            r"no quorum",
            r"cluster not ready",
        ),
        UnavailableError,
    ),
    (_any(r"unable to get any free VMID"), QuotaExceededError),
    (
        _any(
            r"storage '[^']*' (does not exist|is (not available|disabled|not online))",
            r"storage '[^']*' does not support",
            r"volume '?\S+'? does not exist",
            r"no such volume",
            r"cannot import from",
            r"content type needs to be",
            r"has wrong type",
            r"bridge '[^']*' does not exist",
            r"hostname lookup '[^']*' failed",
            r"no such cluster node",
            r"uses local storage",
            r"(linked|full) clone feature is not supported",
            r"not allowed for linked clones",
            r"can't clone to non-shared storage",
            r"MAX \d+ vcpus allowed per VM",
            r"disk '[^']*' does not exist",
            r"invalid bootorder",
            r"could not determine current size",
            r"can't upload to storage",
            r"wrong file extension",
            r"no such logical volume",
            r"unable to parse (volume ID|\w+ volume name)",
            r"shrinking disks is not supported",
            r"balloon value too large",
        ),
        UnprocessableError,
    ),
)

# What a text of which nobody has heard means, by its HTTP status.
BY_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    400: UnprocessableError,
    401: CredentialsRejectedError,
    403: PermissionDeniedError,
    429: ThrottledError,
    # The HTTP library of the node that was asked, about the node that it asked in turn (AnyEvent::HTTP).
    595: BackendUnreachableError,
    596: BackendUnreachableError,
    597: BackendUnreachableError,
    598: BackendUnreachableError,
    599: BackendUnreachableError,
}
# What PVE says with a 401 of the ticket that it gave for the right password.
TICKET_REFUSED: Final = _any(r"invalid PVE ticket", r"invalid csrf token", r"no ticket")
# The other node may have got the request.
MAYBE_DONE: Final = frozenset({502, 503, 504, 596, 597, 598, 599})

ADVICE: Final[Mapping[type[ProviderError], str]] = {
    CredentialsRejectedError: "Check the user with its realm and the password, or the token's id and secret, and "
    "whether the account is enabled and not expired.",
    PermissionDeniedError: "Give the user, and a token with privilege separation itself too, a role with this "
    "privilege on this path.",
    ThrottledError: "Try again later.",
    BackendUnreachableError: "The host answers, and cannot reach the node that the request is about: is it up?",
    UnavailableError: "Free space or memory on the node or its storage, or try again later.",
    IdTakenError: "Others make VMs here at the same time, or ids are scarce; try again.",
    BackendFailureError: "The node's own log (journalctl -u pvedaemon) may say more.",
}
