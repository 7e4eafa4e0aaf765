"""The application as a server runs it: it refuses to start with bad files, and is warm before its first request."""

from __future__ import annotations

import gc
import re
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
# As browsers say it. The boundary is the one parameter that has a meaning here (RFC 2046, 5.1.1, has its letters).
_FORM_IN_PARTS = re.compile(r"multipart/form-data; ?boundary=[0-9A-Za-z'()+_,./:=?-]{1,70}")


def make_application() -> Application:
    """The WSGI application.

    Raises:
        SystemExit: with one line for each fault of the files or settings.

    """
    django.setup(set_prefix=False)
    faults = _start_faults()
    if faults:
        sys.exit("\n".join(faults))
    application = get_wsgi_application()
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    return _made_plain(application)


def _start_faults() -> list[str]:
    """What `manage.py check` would find, for servers that are started without it."""
    from vms import checks  # noqa: PLC0415 - settings must be read before

    return [
        message.msg if message.hint is None else f"{message.msg} {message.hint}"
        for check in (checks.check_files, checks.check_secret_key, checks.check_ca_bundle)
        for message in check(None)
    ]


def _warm_up() -> None:
    """Import the SDKs of the clouds that are configured: the first caller should not wait for that."""
    from vms.service import current_service  # noqa: PLC0415 - settings must be read before

    import_module(settings.ROOT_URLCONF)
    for environment in current_service().registries.environments.values():
        if environment.cloud.driver is not None:
            import_module(environment.cloud.driver.rpartition(".")[0])
    # What lives now lives for ever; the garbage collector need not look at it again and again.
    gc.collect()
    gc.freeze()


def _made_plain(application: Application) -> Application:
    """The application, which gets requests in the form that Django expects, however they were sent."""

    def wrapped(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        _drop_parameters(environ)
        _gather_chunks(environ)
        return application(environ, start_response)

    return wrapped


def _drop_parameters(environ: dict[str, Any]) -> None:
    """Leave the bare media type: JSON has no parameters (RFC 8259).

    Django would read queries in the charset that is named there, `charset=hex` included, and fails on parameters that
    it cannot decode before any of our code could answer.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if not _FORM_IN_PARTS.fullmatch(content_type):
        environ["CONTENT_TYPE"] = content_type.partition(";")[0]


def _gather_chunks(environ: dict[str, Any]) -> None:
    """Django reads as many bytes as Content-Length says; a body sent in chunks has none and would seem empty.

    A form in chunks stays unread. The server does not say whether the last chunk came; JSON shows that its end is
    missing, and a form does not. Browsers know how long their forms are.
    """
    is_form = environ["CONTENT_TYPE"].lower().startswith(_FORMS)
    if environ.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in environ and not is_form:
        # One byte more than is allowed is enough to be refused.
        body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
