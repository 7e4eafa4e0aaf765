"""What all endpoints share: reading a query and preferences, and the way to the service."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import cast

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from vms import cookies, pages
from vms.cookies import SignedIn
from vms.preferences import Preferences, parse_prefer
from vms.renderers import PageRenderer, wants_page
from vms.serializers import Strict
from vms.service import Service, current_service

# How long a page is waited for before the browser is led to the operation's own page, which shows progress.
PAGE_WAIT = "wait=2"


class Endpoint(ViewSet):
    """What all endpoints share.

    `pages` names the template of each action that has a page; an action that changes something has none, and leads
    the browser on to where `after` says.
    """

    pages: Mapping[str, str] = MappingProxyType({})
    signed_in: SignedIn | None = None

    @property
    def takes_sign_in(self) -> bool:
        """Whether a browser's cookie counts for the running action."""
        return True

    def get_renderers(self) -> list[BaseRenderer]:
        """JSON, and a page where there is one."""
        renderers = list(super().get_renderers())
        return [*renderers, PageRenderer()] if self.action in self.pages else renderers

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Remember what cookie let the caller in, if it was one."""
        super().initial(request, *args, **kwargs)
        self.signed_in = request.auth if isinstance(request.auth, SignedIn) else None

    def finalize_response(  # type: ignore[override] # DRF passes on Django's own answers, too
        self, request: Request, response: HttpResponseBase, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        """Lead a browser on that has changed something, and renew the cookie that let it in."""
        finished: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type] # told too narrowly
        if isinstance(finished, Response):
            finished.add_post_render_callback(self._release)
        if is_page(request) and finished.status_code < 400:
            if self.pages.get(str(self.action)) == "":
                finished = HttpResponseRedirect(finished.headers.get("Location") or self.after(request), status=303)
            pages.dress(finished)
        self._keep_signed_in(request, finished)
        return finished

    def named_environment(self, request: Request) -> str | None:
        """The environment that a request names, whose cookie counts then."""
        named = request.query_params.getlist("environment")
        return named[0] if len(named) == 1 else None

    def page(self, request: Request, data: object) -> str:
        """The page of the running action."""
        context = {"data": data, **self.page_context(request, data)}
        return pages.render(self.pages[str(self.action)], context, request._request)  # noqa: SLF001 - as DRF documents

    def page_context(self, request: Request, data: object) -> Mapping[str, object]:
        """What the page shows beside the answer."""
        return {}

    def after(self, request: Request) -> str:
        """Where a browser is led when it has changed something."""
        return "/environment"

    def _release(self, response: Response) -> None:
        """Release the answer once it is rendered.

        DRF's views refer to themselves and to their response, so only the garbage collector would free a long list,
        which may take hours.
        """
        response.data = None
        del self.response

    def _keep_signed_in(self, request: Request, response: HttpResponseBase) -> None:
        if self.signed_in is None:
            return
        asked = request._request  # noqa: SLF001 - as DRF documents
        if response.status_code == 401:
            # The cloud takes them no more; kept, they would be sent again and again, until it locks the account.
            cookies.remove(response, asked, self.signed_in.environment)
        elif self.signed_in.due and _is_navigation(asked):
            # Beside cookies of others there may be no room for it any more; the one that it has goes on to its end.
            with suppress(cookies.CookieTooLargeError):
                cookies.put(response, asked, self.signed_in.environment, self.signed_in)

    @property
    def allowed_methods(self) -> list[str]:
        """The methods for `Allow`: what a caller can use here, without the automatic OPTIONS."""
        return [method for method in super().allowed_methods if method != "OPTIONS"]

    @property
    def service(self) -> Service:
        """The process's registries and cloud side."""
        return current_service()


def read_query(kind: type[Strict], request: Request) -> dict[str, str]:
    """The validated query; a parameter that stands twice is refused, as nobody knows which one is meant.

    Raises:
        ValidationError: with every unknown, repeated or wrong parameter.

    """
    repeated = {key: ["stands more than once"] for key, values in request.query_params.lists() if len(values) > 1}
    if repeated:
        raise exceptions.ValidationError(repeated)
    query = request.query_params.dict()
    if is_page(request):
        # A browser sends the fields of a form that were left empty, too.
        query = {key: value for key, value in query.items() if value}
    serializer = kind(data=query)
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, str]", serializer.validated_data)


def read_preferences(request: Request) -> Preferences:
    """What the request prefers."""
    return parse_prefer(request.headers.get("Prefer", PAGE_WAIT if is_page(request) else ""))


def _is_navigation(request: HttpRequest) -> bool:
    """Whether somebody has opened a page, for which a browser waits before it opens another.

    What scripts ask for renews no cookie: it would come back with an answer that was on its way when the person signed
    out, and would never run out on a page that looks again by itself.
    """
    by_script = "X-Requested-With" in request.headers or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    return wants_page(request) and not by_script


def is_page(request: Request) -> bool:
    """Whether the answer is a page for a person."""
    return isinstance(getattr(request, "accepted_renderer", None), PageRenderer)
