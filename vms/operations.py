"""Operation tokens: where a piece of work stands, signed and handed to the caller, so that nothing is stored here."""

from __future__ import annotations

from dataclasses import dataclass

from django.core import signing

from providers.domain import Operation, Verb

# How long a token can be followed; no cloud works longer on a VM.
LIFETIME_SECONDS = 24 * 3600
_SALT = "cloudvm.operation"


class OperationTokenError(ValueError):
    """The token was not signed by this service, or has expired."""


@dataclass(frozen=True)
class Followed:
    """An operation as its token tells of it, and the name of its environment."""

    environment: str
    operation: Operation


def location(operation: Operation, environment: str) -> str:
    """The path under which the caller follows an operation."""
    return f"/operation/{seal(operation, environment)}"


def seal(operation: Operation, environment: str) -> str:
    """The token of an operation: URL-safe, signed, not encrypted (there is no secret in it)."""
    content: list[object] = [environment, operation.verb, operation.vm_id, operation.handle]
    if operation.guest_until is not None:
        content += [operation.guest_until, operation.then_force]
    return signing.dumps(content, salt=_SALT)


def unseal(token: str) -> Followed:
    """The operation that a token stands for.

    Raises:
        OperationTokenError: not ours, damaged, expired, or from a version that put other things into it.

    """
    try:
        environment, verb, vm_id, handle, *guest = signing.loads(token, salt=_SALT, max_age=LIFETIME_SECONDS)
        guest_until, then_force = guest or (None, False)
        operation = Operation(Verb(verb), vm_id, handle, guest_until=guest_until, then_force=then_force)
    except signing.SignatureExpired:
        raise OperationTokenError("has expired; look at the VM itself") from None
    except signing.BadSignature:
        raise OperationTokenError("was not signed by this service, or not by one with the same key") from None
    except (TypeError, ValueError):
        raise OperationTokenError("was made by another version of this service; look at the VM itself") from None
    return Followed(environment, operation)
