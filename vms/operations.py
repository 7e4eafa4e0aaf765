"""Operation tokens: the state of an operation, signed and handed to the caller, so that nothing is stored here.

A token works only with the access key that began the operation: it holds a keyed hash of that access key.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from providers.domain import Operation, Verb

# How long a token can be followed; no cloud works longer on a VM.
LIFETIME_SECONDS = 24 * 3600
_SALT = "cloudvm.operation"
_OWNER_SALT = "cloudvm.operation.owner"


class OperationTokenError(ValueError):
    """The token was not signed by this service, or has expired."""


@dataclass(frozen=True)
class Followed:
    """The content of a token: an operation, the name of its environment, and the hash of its owner's access key."""

    environment: str
    operation: Operation
    owner: str

    def is_owned_by(self, access_key: str) -> bool:
        """Whether the operation was begun with this access key."""
        return constant_time_compare(self.owner, _owner(self.environment, access_key))


def location(operation: Operation, environment: str, access_key: str) -> str:
    """Return the path under which the caller follows an operation."""
    return f"/operation/{seal(operation, environment, access_key)}"


def seal(operation: Operation, environment: str, access_key: str) -> str:
    """Return the token of an operation: URL-safe, signed, not encrypted (there is no secret in it)."""
    owner = _owner(environment, access_key)
    content: list[object] = [environment, operation.verb, operation.vm_id, operation.handle, owner]
    if operation.guest_until is not None:
        content += [operation.guest_until, operation.then_force]
    return signing.dumps(content, salt=_SALT)


def unseal(token: str) -> Followed:
    """The operation that a token stands for.

    Raises:
        OperationTokenError: not ours, damaged, expired, or from a version that put other things into it.

    """
    try:
        environment, verb, vm_id, handle, owner, *guest = signing.loads(token, salt=_SALT, max_age=LIFETIME_SECONDS)
        guest_until, then_force = guest or (None, False)
        operation = Operation(Verb(verb), vm_id, handle, guest_until=guest_until, then_force=then_force)
    except signing.SignatureExpired:
        raise OperationTokenError("has expired; look at the VM itself") from None
    except signing.BadSignature:
        raise OperationTokenError("was not signed by this service, or not by one with the same key") from None
    except (TypeError, ValueError):
        raise OperationTokenError("was made by another version of this service; look at the VM itself") from None
    if not isinstance(owner, str):
        raise OperationTokenError("was made by another version of this service; look at the VM itself")
    return Followed(environment, operation, owner)


def _owner(environment: str, access_key: str) -> str:
    return salted_hmac(_OWNER_SALT, f"{environment}\n{access_key}", algorithm="sha256").hexdigest()[:32]
