"""The form for a new VM: what was typed into it, and what that says in the API's words."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

from providers import trace
from providers.domain import Environment
from providers.errors import ErrorCode, FieldFault
from providers.excerpts import excerpt
from vms import csrf, pages
from vms.problems import Problem
from vms.service import current_service

# In the order of the page.
# What was typed there comes back in a page; a password has to be typed again.
SHOWN_AGAIN = ("name", "machinetype", "cloud_init", "tags", "start")
CREATE_FIELDS = (*SHOWN_AGAIN, "admin_password")
TOLD_AT_FIELDS = frozenset({"name", "machinetype", "cloud_init", "admin_password", "tags"})


def create_page(
    request: HttpRequest, environment: Environment, typed: Mapping[str, str], problem: HttpResponse | None = None
) -> HttpResponse:
    """The form, filled in with what was typed, and what was wrong with it."""
    document, faults = _at_fields(pages.document_of(problem) if problem is not None else {})
    context = {
        "environment": environment.name,
        "machine_types": current_service().registries.offered(environment),
        "password_systems": environment.cloud.admin_password_systems,
        "typed": typed,
        "problem": document,
        "faults": faults,
        "key": _key(request, problem),
    }
    if problem is not None:
        return pages.error_page("vms/create.html", context, request, problem)
    response = HttpResponse(pages.render("vms/create.html", context, request))
    pages.dress(response)
    return response


def _at_fields(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """A problem document without what is told beside the fields of the form, and that."""
    faults, others = {}, []
    for fault in document.get("errors", ()):
        field = fault["field"].partition(".")[0]
        if field in TOLD_AT_FIELDS:
            faults[field] = fault["detail"]
        else:
            others.append(fault)
    if not faults:
        return document, faults
    detail = document["detail"] if others else "Nothing was made. What is wrong stands below, where it was typed."
    return {**document, "errors": others, "detail": detail}, faults


def _key(request: HttpRequest, problem: HttpResponse | None) -> str:
    """One for each page: pressing the button twice makes one VM.

    When the cloud failed, nobody knows whether the VM was made all the same, and the page stands for the same one.
    """
    if problem is not None and problem.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        sent = csrf.sent_form(request).get("key", "")
        if sent:
            return sent
    return secrets.token_urlsafe(16)


def masked(typed: Mapping[str, str]) -> Mapping[str, str]:
    """The same; from here on the secrets in it are masked in whatever leaves us, but the page itself."""
    trace.current().redact.add(typed.get("cloud_init", ""), typed.get("admin_password", ""))
    return typed


def wanted(environment: str, typed: Mapping[str, str]) -> dict[str, object]:
    """The body of a create that says what was typed.

    Raises:
        Problem: `invalid_request`, when the tags are no lines of `key=value`.

    """
    body: dict[str, object] = {
        "name": typed.get("name", "").strip(),
        "environment": environment,
        "machinetype": typed.get("machinetype", ""),
        "start": "start" in typed,
        "tags": _tags(typed.get("tags", "")),
    }
    # Browsers end lines as mail does; a shell on the VM would stumble over that.
    cloud_init = typed.get("cloud_init", "").replace("\r\n", "\n")
    if cloud_init.strip():
        body["cloud_init"] = base64.b64encode(cloud_init.encode()).decode()
    if typed.get("admin_password"):
        body["admin_password"] = typed["admin_password"]
    return body


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, equals, value = line.partition("=")
        if not equals or key.strip() in tags:
            problem = f"the line {excerpt(line, 80)!r} must be key=value, with a key of its own"
            raise Problem(ErrorCode.INVALID_REQUEST, f"Tags: {problem}.", (FieldFault("tags", problem),))
        tags[key.strip()] = value.strip()
    return tags
