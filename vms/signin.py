"""Signing in and out in a browser: the credentials are tried on the cloud once, and then only the cookie has them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.http import url_has_allowed_host_and_scheme
from rest_framework.request import Request

from providers.credentials import Credentials
from providers.errors import ErrorCode
from vms import cookies, csrf
from vms.authentication import typed_credentials
from vms.client_address import client_network
from vms.forms import SHOWN_AGAIN, create_page, masked
from vms.pages import SignInForm, environment_of, list_path, may_come_back, sign_in_page
from vms.problems import Problem
from vms.public_views import PublicEndpoint
from vms.renderers import PageRenderer, wants_page


class SignInPage(PublicEndpoint):
    """The page where somebody signs in to one environment."""

    schema = None
    renderer_classes = (PageRenderer,)

    def show(self, request: Request) -> HttpResponse:
        """The form, for an environment if one is named."""
        asked = request._request  # noqa: SLF001 - DRF's documented way to Django's request
        form = SignInForm(environment=asked.GET.get("environment", ""), next=_local(asked.GET.get("next", ""), asked))
        return sign_in_page(asked, form)

    def submit(self, request: Request) -> HttpResponse:
        """Try the credentials on the cloud, once; then lead on, or give back the form that was waiting for this."""
        asked = request._request  # noqa: SLF001 - as above
        csrf.enforce(asked)
        _refuse_open_lines(asked)
        # First, as all later errors are told without the secret then.
        credentials = typed_credentials(asked.POST.get("access_key", ""), asked.POST.get("secret", ""))
        environment = self.service.environment(asked.POST.get("environment", ""))
        carried = _carried(asked.POST)
        self.service.gateway_of(environment, credentials, client_network(asked)).prove()
        back = _local(asked.POST.get("next", ""), asked)
        # Who chose another environment than the page is about would only be asked to sign in once more.
        target = back if back and environment_of(back) in {"", environment.name} else list_path(environment.name)
        response = HttpResponseRedirect(target, status=HTTPStatus.SEE_OTHER)
        _put(response, asked, environment.name, credentials)
        if not carried:
            return response
        # The page shows already who is signed in.
        asked.COOKIES.update({name: morsel.value for name, morsel in response.cookies.items()})
        page = create_page(asked, environment, carried)
        page.cookies.update(response.cookies)
        return page

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override] # a page is Django's own
        """The form again, with what is wrong; only the secret must be typed anew."""
        problem: HttpResponse = super().handle_exception(exc)
        asked = self.request._request  # noqa: SLF001 - as above
        if asked.method != "POST" or not wants_page(asked) or not may_come_back(asked, problem):
            return problem
        typed = csrf.sent_form(asked)
        form = SignInForm(
            environment=typed.get("environment", ""),
            access_key=typed.get("access_key", ""),
            next=_local(typed.get("next", ""), asked),
            carried=_carried(typed),
        )
        return sign_in_page(asked, form, problem)


class SignOutPage(PublicEndpoint):
    """Where a browser forgets what it signed in with."""

    schema = None
    renderer_classes = (PageRenderer,)

    def submit(self, request: Request) -> HttpResponse:
        """Remove the cookie of one environment."""
        asked = request._request  # noqa: SLF001 - as above
        csrf.enforce(asked)
        response = HttpResponseRedirect("/environment", status=HTTPStatus.SEE_OTHER)
        cookies.remove(response, asked, asked.POST.get("environment", ""))
        return response


def _put(response: HttpResponse, request: HttpRequest, environment: str, credentials: Credentials) -> None:
    try:
        cookies.put(response, request, environment, credentials)
    except cookies.CookieTooLargeError as error:
        raise Problem(ErrorCode.INVALID_REQUEST, f"The credentials {error}.") from None


def _refuse_open_lines(request: HttpRequest) -> None:
    """No credentials over plain http, unless nobody can listen: on this machine."""
    if not (request.is_secure() or settings.DEBUG or _is_loopback(request.get_host())):
        raise Problem(ErrorCode.TLS_REQUIRED, "Signing in needs https; only on the same machine it does without.")


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _local(path: str, request: HttpRequest) -> str:
    """A path of this server; empty for whatever leads elsewhere."""
    safe = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if safe else ""


def _carried(typed: QueryDict) -> Mapping[str, str]:
    """The create form that was sent when the sign-in had expired."""
    carried = {name: str(typed[name]) for name in SHOWN_AGAIN if name in typed}
    masked(carried)
    return carried if "name" in carried else {}
