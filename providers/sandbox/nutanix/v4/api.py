"""v4 as a whole: its namespaces and versions, its errors, its headers.

https://developers.nutanix.com/
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from providers.sandbox.faults import Fault
from providers.sandbox.nutanix.estate import Estate
from providers.sandbox.nutanix.refusals import NoSuchEntityError, Reason, Refusal
from providers.sandbox.nutanix.v3.api import V3Api
from providers.sandbox.nutanix.v4.actions import routes
from providers.sandbox.nutanix.v4.envelope import metadata, typed
from providers.sandbox.nutanix.v4.limits import Limits
from providers.sandbox.nutanix.wire import NOWHERE, Route, answer
from providers.sandbox.nutanix.work import Works

PATH = re.compile(
    r"/api/(?P<namespace>vmm|prism|clustermgmt|networking)/(?P<version>v4\.\d+|unversioned)(?P<template>/.*)"
)
# Which namespace a path's first words are of.
NAMESPACES: Mapping[str, str] = {
    "/ahv/config": "vmm",
    "/content/images": "vmm",
    "/config/tasks": "prism",
    "/config/subnets": "networking",
    "/config/clusters": "clustermgmt",
    "/config/hosts": "clustermgmt",
    "/config/storage-containers": "clustermgmt",
}
# Errors of the platform in front of the namespaces are flat (nutanix.ansible issue 706 for PLAT-10005).
PLATFORM: Mapping[Reason, tuple[int, str, str]] = {
    Reason.ETAG_MISSING: (HTTPStatus.PRECONDITION_REQUIRED, "PLAT-10004", "Missing eTag header"),
    Reason.ETAG_MALFORMED: (HTTPStatus.PRECONDITION_FAILED, "PLAT-10005", "Invalid eTag header"),
}
# Status, code and group of the namespaces' own.
MESSAGES: Mapping[Reason, tuple[int, str, str]] = {
    Reason.DENIED: (HTTPStatus.FORBIDDEN, "VMM-10003", "FORBIDDEN"),
    Reason.ETAG_STALE: (HTTPStatus.PRECONDITION_FAILED, "VMM-30303", "VM_ETAG_MISMATCH"),
    Reason.REQUEST_ID_MISSING: (HTTPStatus.BAD_REQUEST, "VMM-30400", "VM_MISSING_REQUEST_ID_HEADER"),
    Reason.THROTTLED: (HTTPStatus.TOO_MANY_REQUESTS, "PLAT-10029", "RATE_LIMIT_EXCEEDED"),
    Reason.INVALID: (HTTPStatus.UNPROCESSABLE_ENTITY, "VMM-30001", "VM_INVALID_ARGUMENT"),
}
NOT_FOUND: Mapping[str, tuple[str, str]] = {"vm": ("VMM-30100", "VM_NOT_FOUND")}
SCHEMA = frozenset({Reason.BAD_BODY, Reason.BAD_QUERY})
GATEWAY = frozenset({Reason.NO_CREDENTIALS, Reason.BAD_CREDENTIALS, Reason.NOT_JSON})


class V4Api:
    """What a Central of today says."""

    name = "v4"

    def __init__(self, estate: Estate, works: Works) -> None:
        self._estate = estate
        self._limits = Limits(estate)
        # Log-ins fail in the gateway, before a namespace is reached, in the gateway's own shape.
        self._gateway = V3Api(estate, works)
        self.routes: Sequence[Route] = routes(estate, works)

    def covers(self, path: str) -> bool:
        """All namespaces that are simulated."""
        return PATH.fullmatch(path) is not None

    def is_served(self, path: str) -> bool:
        """A Central serves some versions, and tells which."""
        found = PATH.fullmatch(path)
        versions = self._estate.v4_versions
        return found is not None and bool(versions) and found["version"] in {*versions, "unversioned"}

    def template(self, path: str) -> str:
        """What comes after the version, when it is its namespace's."""
        found = PATH.fullmatch(path)
        if found is None:
            return path
        template = found["template"]
        if found["version"] == "unversioned":
            return f"/unversioned{template}"
        owner = next((name for start, name in NAMESPACES.items() if template.startswith(start)), None)
        return template if owner == found["namespace"] else path

    def admit(self, route: Route) -> None:
        """Refuse what comes too often."""
        self._limits.admit(route)

    def refuse(self, refusal: Refusal, http: HttpRequest) -> Response:
        """A refusal by the gateway, the platform, the schema or the namespace."""
        reason = refusal.reason
        if reason in GATEWAY:
            return self._gateway.refuse(refusal, http)
        if reason in {Reason.UNKNOWN_CALL, Reason.UNKNOWN_METHOD}:
            return answer({"message": NOWHERE}, 404 if reason is Reason.UNKNOWN_CALL else 405)
        if reason in PLATFORM:
            status, code, message = PLATFORM[reason]
            return answer({"code": code, "message": message}, status)
        if reason in SCHEMA:
            return schema_error(refusal, http)
        return _message(refusal, http)

    def fault(self, fault: Fault, http: HttpRequest) -> Response:
        """A planned fault; its code is the message's, and its group."""
        status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
        if status == HTTPStatus.UNAUTHORIZED:
            return self._gateway.refuse(Refusal(Reason.BAD_CREDENTIALS), http)
        code, message = fault.code or "VMM-10000", fault.message or "A planned fault."
        response = error(app_message(message, code, fault.code or "INTERNAL_ERROR"), status, http)
        response.headers.extend(fault.headers)
        return response

    def mark(self, response: Response, route: Route | None) -> None:
        """Tell the limits."""
        response.headers["X-Envoy-Upstream-Service-Time"] = "1"
        if route is not None:
            self._limits.mark(response, route)


def app_message(
    message: str,
    code: str,
    group: str,
    arguments: Mapping[str, str] | None = None,
    namespace: str = "vmm",
) -> Mapping[str, object]:
    """One message of an error."""
    return {
        **typed(f"{namespace}.v4.error.AppMessage"),
        "message": message,
        "severity": "ERROR",
        "code": code,
        "locale": "en-US",
        "errorGroup": group,
        **({"argumentsMap": dict(arguments)} if arguments else {}),
    }


def error(message: Mapping[str, object], status: int, http: HttpRequest) -> Response:
    """An error with a message, as a namespace writes it."""
    data = {
        **typed("vmm.v4.error.ErrorResponse"),
        "$errorItemDiscriminator": "List<vmm.v4.error.AppMessage>",
        "error": [message],
    }
    discriminator = {"$dataItemDiscriminator": "vmm.v4.error.ErrorResponse"}
    return answer({"data": data, **discriminator, "metadata": metadata(http, has_error=True)}, status)


def schema_error(refusal: Refusal, http: HttpRequest) -> Response:
    """An error of the schema: each violation with its place."""
    location = "@body" if refusal.reason is Reason.BAD_BODY else "@query"
    messages = [
        {
            **typed("vmm.v4.error.SchemaValidationErrorMessage"),
            "location": location,
            "message": violation.message,
            "attributePath": violation.path,
        }
        for violation in refusal.violations
    ]
    problem = {
        **typed("vmm.v4.error.SchemaValidationError"),
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "statusCode": 400,
        "error": "Bad Request",
        "path": http.path,
        "validationErrorMessages": messages,
    }
    data = {
        **typed("vmm.v4.error.ErrorResponse"),
        "$errorItemDiscriminator": "vmm.v4.error.SchemaValidationError",
        "error": problem,
    }
    discriminator = {"$dataItemDiscriminator": "vmm.v4.error.ErrorResponse"}
    return answer({"data": data, **discriminator, "metadata": metadata(http, has_error=True)}, 400)


def _message(refusal: Refusal, http: HttpRequest) -> Response:
    if isinstance(refusal, NoSuchEntityError):
        code, group = NOT_FOUND.get(refusal.kind, ("VMM-10004", f"{refusal.kind.upper()}_NOT_FOUND"))
        words = (
            f"Failed to perform the operation on the {refusal.kind.upper()} with UUID '{refusal.uuid}', "
            "because it is not found."
        )
        return error(app_message(words, code, group, {f"{refusal.kind}_uuid": refusal.uuid}), 404, http)
    status, code, group = MESSAGES[refusal.reason]
    return error(app_message(refusal.message, code, group), status, http)
