"""Who asked a signed-in browser for this: only our own pages may. By Django's CSRF token and Fetch Metadata."""

from __future__ import annotations

from contextlib import suppress

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import CSRFCheck

from providers.errors import ErrorCode
from vms.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_PREFIX = "__Host-"
# What Django raises for a form that it cannot read, or will not.
_UNREADABLE = (
    *(RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent),
    *(MultiPartParserError, BadRequest, UnreadablePostError),
)


class CsrfCookieMiddleware(CsrfViewMiddleware):
    """Keeps Django's CSRF cookie, over https under a name that no subdomain can set.

    It refuses nothing: what a cookie proves is checked where a cookie is used, and a Bearer token needs no such check.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Read the cookie, over https the one of the safer name only."""
        if request.is_secure():
            request.COOKIES.pop(settings.CSRF_COOKIE_NAME, None)
            given = request.COOKIES.get(_PREFIX + settings.CSRF_COOKIE_NAME)
            if given is not None:
                request.COOKIES[settings.CSRF_COOKIE_NAME] = given
        super().process_request(request)

    def process_view(self, request: HttpRequest, callback: object, args: object, kwargs: object) -> None:
        """Leave the check to `enforce`."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Set the cookie, where a page with a form needs it."""
        super().process_response(request, response)
        name, secure = settings.CSRF_COOKIE_NAME, request.is_secure()
        if name in response.cookies:
            value = response.cookies.pop(name).value
            response.set_cookie(
                _PREFIX + name if secure else name,
                value,
                max_age=settings.CSRF_COOKIE_AGE,
                path="/",
                secure=secure,
                httponly=True,
                # Not Strict: without the cookie, who follows a link to us would get another one, and the forms in all
                # other tabs would be refused.
                samesite="Lax",
            )
        return response


def from_own_pages(request: HttpRequest) -> bool:
    """Whether the browser says that a page of ours, or the person himself, asked for this; old ones say nothing.

    Not even `same-site`: another port of this host is another server, and gets and sends our cookies.
    """
    return request.headers.get("Sec-Fetch-Site", "none") in {"same-origin", "none"}


def surely_from_own_pages(request: HttpRequest) -> bool:
    """Whether the browser itself says that a page of ours sent this: no other page can make it say so.

    What was typed there may be shown again, even if the page's token has been lost.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if origin is None:
        return site == "same-origin"
    return origin == f"{request.scheme}://{request.get_host()}" and site in {None, "same-origin"}


def looks_ahead(request: HttpRequest) -> bool:
    """Whether a browser only fetches what its user might want next."""
    purpose = " ".join(request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz")).lower()
    return "prefetch" in purpose or "prerender" in purpose


def enforce(request: HttpRequest) -> None:
    """Refuse what does not come from a page of ours.

    Raises:
        Problem: `cross_site`, or `invalid_request` for a form that cannot be read.

    """
    if not from_own_pages(request):
        raise Problem(ErrorCode.CROSS_SITE, "The browser says that another site asked for this.")
    try:
        _receive(request)
        check = CSRFCheck(_nothing)
        check.process_request(request)
        reason = check.process_view(request, _nothing, (), {})
    except RequestDataTooBig:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raise Problem(ErrorCode.INVALID_REQUEST, f"The form is larger than {limit:,} bytes.", status=413) from None
    except (TooManyFieldsSent, TooManyFilesSent):
        raise Problem(ErrorCode.INVALID_REQUEST, "The form has too many fields.") from None
    except (MultiPartParserError, BadRequest):
        raise Problem(ErrorCode.INVALID_REQUEST, "The form cannot be read; it must be sent as UTF-8.") from None
    except UnreadablePostError:
        raise Problem(ErrorCode.INVALID_REQUEST, "The form did not come to its end.") from None
    if reason:
        raise Problem(ErrorCode.CROSS_SITE, f"{reason} Open the page again and repeat there.")


def sent_form(request: HttpRequest) -> QueryDict:
    """The form that was sent; an empty one if it cannot be read."""
    with suppress(*_UNREADABLE):
        _receive(request)
        return request.POST
    return QueryDict()


def _receive(request: HttpRequest) -> None:
    """Take a form in whole: Django would not measure one in parts, and takes one that was cut for a shorter one.

    Raises:
        RequestDataTooBig, UnreadablePostError

    """
    if request.content_type in FORMS and len(request.body) < int(request.META.get("CONTENT_LENGTH") or 0):
        raise UnreadablePostError


def _nothing(request: HttpRequest) -> HttpResponse:
    """What Django's check would call if it stood around a view; here it stands before one."""
    return HttpResponse()
