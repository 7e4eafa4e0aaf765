"""The pages for people: templates, what stands on all of them, and problem documents made readable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from providers.domain import VMStatus
from providers.errors import ErrorCode
from vms import cookies, csrf, operations
from vms.problems import MEDIA_TYPE
from vms.renderers import to_json
from vms.service import current_service

# Scripts and styles are our own files only, forms lead to ourselves only.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# With `no-referrer` browsers hide even from ourselves where a form comes from.
REFERRER_POLICY = "same-origin"

# What a VM can be asked for in each status.
ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        VMStatus.CREATING: ("delete",),
        VMStatus.STARTING: ("stop", "delete"),
        VMStatus.RUNNING: ("stop", "restart", "delete"),
        VMStatus.STOPPING: ("delete",),
        VMStatus.STOPPED: ("start", "delete"),
        VMStatus.SUSPENDED: ("start", "delete"),
        VMStatus.RESTARTING: ("stop", "delete"),
        VMStatus.DELETING: (),
        VMStatus.ERROR: ("start", "stop", "restart", "delete"),
        VMStatus.UNKNOWN: ("start", "stop", "restart", "delete"),
    }
)

# Statuses that end by themselves: a page that shows one is worth another look.
CHANGING = frozenset({VMStatus.CREATING, VMStatus.STARTING, VMStatus.STOPPING, VMStatus.RESTARTING, VMStatus.DELETING})


class Page(HttpResponse):
    """A page with an error on it, which is told as such by its status."""


@dataclass(frozen=True)
class SignInForm:
    """What the sign-in page shows: never the secret. `carried` is a form that waits for the sign-in."""

    environment: str = ""
    access_key: str = ""
    next: str = ""
    carried: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def render(template: str, context: Mapping[str, object], request: HttpRequest) -> str:
    """A page, with what stands on all of them."""
    return render_to_string(template, {"signed_in": signed_in(request), **context}, request=request)


def dress(response: HttpResponseBase) -> None:
    """Give a page the headers of its own."""
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.setdefault("Referrer-Policy", REFERRER_POLICY)


def signed_in(request: HttpRequest) -> list[str]:
    """The names of the environments in which the browser is signed in."""
    if not cookies.brought(request):
        return []
    return [name for name in current_service().registries.environments if cookies.read(request, name)]


def problem_page(problem: HttpResponse, request: HttpRequest) -> HttpResponse:
    """The page for a problem document: the sign-in page where that is what is missing."""
    document = document_of(problem)
    path = request.get_full_path()
    environment = environment_of(path)
    if problem.status_code == 401:
        # A page of no environment, or of one that is not there, would ask to sign in again and again.
        known = environment in current_service().registries.environments
        back = (path if request.method == "GET" else list_path(environment)) if known else ""
        return sign_in_page(request, SignInForm(environment=environment, next=back), problem)
    context = {"problem": document, "pretty": pretty(document), "environment": environment}
    return error_page("vms/error.html", context, request, problem)


def sign_in_page(request: HttpRequest, form: SignInForm, problem: HttpResponse | None = None) -> HttpResponse:
    """The sign-in page, and what went wrong if anything did."""
    registered = current_service().registries.environments
    context: dict[str, object] = {
        "form": form,
        "environments": registered.values(),
        "chosen": registered.get(form.environment),
        "clouds": list({each.cloud.name: each.cloud for each in registered.values()}.values()),
    }
    if problem is None:
        response = HttpResponse(render("vms/signin.html", context, request))
        dress(response)
        return response
    return error_page("vms/signin.html", {**context, "problem": document_of(problem)}, request, problem)


def error_page(
    template: str, context: Mapping[str, object], request: HttpRequest, problem: HttpResponse
) -> HttpResponse:
    """A page with the status, the headers and the cookies of a problem."""
    page = Page(render(template, context, request), status=problem.status_code)
    for name, value in problem.headers.items():
        if name not in {"Content-Type", "Content-Length"}:
            page[name] = value
    page.cookies = problem.cookies
    dress(page)
    return page


def document_of(problem: HttpResponse) -> dict[str, Any]:
    """The problem document in an answer; empty if it is none."""
    is_document = problem.headers.get("Content-Type") == MEDIA_TYPE
    document: dict[str, Any] = json.loads(problem.content) if is_document else {}
    return document


def may_come_back(request: HttpRequest, problem: HttpResponse) -> bool:
    """Whether a form may be shown again, filled in, with a problem: not what another site has put into it."""
    return document_of(problem).get("code") != ErrorCode.CROSS_SITE or csrf.surely_from_own_pages(request)


def pretty(data: object) -> str:
    """An answer as programs get it, on lines for people."""
    return json.dumps(json.loads(to_json(data)), indent=2, ensure_ascii=False)


def environment_of(path: str) -> str:
    """The environment that a page is about, by its query or by an operation's token; empty for none."""
    parts = urlsplit(path)
    if not parts.path.startswith("/operation/"):
        # Not Django's way: it refuses a query of very many fields, and this page may be about that.
        return parse_qs(parts.query).get("environment", [""])[-1]
    try:
        return operations.unseal(parts.path.removeprefix("/operation/")).environment
    except operations.OperationTokenError:
        return ""


def list_path(environment: str) -> str:
    """The path of an environment's list of VMs."""
    return f"/vm?{urlencode({'environment': environment})}" if environment else "/environment"


def vm_path(vm_id: str, environment: str, verb: str = "") -> str:
    """The path of a VM, or of one of its verbs."""
    return f"/vm/{vm_id}{'/' + verb if verb else ''}?{urlencode({'environment': environment})}"
