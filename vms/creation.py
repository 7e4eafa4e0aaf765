"""From a request's body to the VM that is to be made; the secrets in it are masked from here on."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TypedDict

import orjson

from providers import cloudinit, trace
from providers.credentials import Secret
from providers.domain import Environment, Idempotency, MachineType, VMSpec
from providers.errors import ErrorCode, FieldFault
from vms.problems import Problem

KEY = re.compile(r"[\x21-\x7e]{1,255}")

# Lines of cloud-init that are masked one by one; a shorter one is no secret but a word of the format.
SHORTEST_SECRET_LINE = 8


class Body(TypedDict, total=False):
    """The validated body of a create."""

    name: str
    environment: str
    machinetype: str
    cloud_init: str | None
    admin_password: str | None
    tags: dict[str, str] | None
    start: bool


def spec_from(body: Body, environment: Environment, machine_type: MachineType, idempotency_key: str | None) -> VMSpec:
    """The VM that a body asks for.

    Raises:
        Problem: `invalid_request` for cloud-init, a password or a key that cannot be taken.

    """
    admin_password = _admin_password(body.get("admin_password"), environment, machine_type)
    user_data = _user_data(body.get("cloud_init"), environment)
    return VMSpec(
        name=body["name"],
        os=machine_type.os,
        offer=machine_type.offers[environment.cloud.name],
        cloud_init=user_data,
        tags=body.get("tags") or {},
        start=body["start"],
        idempotency=_idempotency(idempotency_key, body, user_data),
        admin_password=admin_password,
    )


def _admin_password(text: str | None, environment: Environment, machine_type: MachineType) -> Secret | None:
    if text is None:
        return None
    trace.current().redact.add(text)
    system = machine_type.os.os_type
    if system.lower() in environment.cloud.admin_password_systems:
        return Secret(text)
    problem = f"is not taken for {system} on {environment.cloud.name}; use cloud_init"
    fault = FieldFault("admin_password", problem)
    raise Problem(ErrorCode.INVALID_REQUEST, f"admin_password {problem}.", (fault,))


def _user_data(text: str | None, environment: Environment) -> bytes | None:
    if not text or not text.strip():
        return None
    trace.current().redact.add(text)
    try:
        data = cloudinit.decode(text, environment.cloud.cloud_init_limit_bytes)
    except cloudinit.CloudInitError as error:
        problem = f"cloud_init {error} ({environment.cloud.name})."
        raise Problem(ErrorCode.INVALID_REQUEST, problem, (FieldFault("cloud_init", str(error)),)) from None
    decoded = data.decode(errors="replace")
    redact = trace.current().redact
    # In base64 also as drivers send it: the caller's may have line breaks.
    redact.add(decoded, base64.b64encode(data).decode())
    lines = (line.strip() for line in (*decoded.splitlines(), *text.splitlines()))
    redact.add_plain(line for line in lines if len(line) >= SHORTEST_SECRET_LINE)
    return data


def _idempotency(key: str | None, body: Body, user_data: bytes | None) -> Idempotency | None:
    """The caller's key with a digest of what is asked for; the order of keys and base64's line breaks don't count."""
    if key is None:
        return None
    if not KEY.fullmatch(key):
        problem = "The Idempotency-Key header must have 1 to 255 visible ASCII characters."
        raise Problem(ErrorCode.INVALID_REQUEST, problem, (FieldFault("Idempotency-Key", problem),))
    content = {
        **{name: value for name, value in body.items() if name != "admin_password"},
        "tags": body.get("tags") or {},
        "cloud_init": hashlib.sha256(user_data or b"").hexdigest(),
        **_stretched(body.get("admin_password"), key),
    }
    return Idempotency(key, hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest())


def _stretched(password: str | None, key: str) -> dict[str, str]:
    """What stands for a password in the digest, which clouds show to others: nobody can find it by trying words."""
    if password is None:
        return {}
    return {"admin_password": hashlib.scrypt(password.encode(), salt=key.encode(), n=2**14, r=8, p=1).hex()}
