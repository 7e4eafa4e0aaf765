"""The WSGI application, complete before its first request. Faulty files or settings stop the start."""

from __future__ import annotations

import gc
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from providers.domain import Environment

StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
# The form in which browsers send it. Only the boundary matters; RFC 2046, 5.1.1, defines its characters.
_MULTIPART_FORM = re.compile(r"multipart/form-data; ?boundary=[0-9A-Za-z'()+_,./:=?-]{1,70}")


def make_application(threads: int | None = None) -> Application:
    """Return the WSGI application with everything that its requests share, except what `start_warm_up` makes.

    `threads` is how many requests the server runs at once, if that is known.

    Raises:
        SystemExit: with one line for each fault of the files or settings.

    """
    django.setup(set_prefix=False)
    from vms import checks, service  # noqa: PLC0415 - needs Django set up

    faults = checks.start_faults()
    if faults:
        sys.exit("\n".join(faults))
    service.start_service(threads)
    application = get_wsgi_application()
    import_module(settings.ROOT_URLCONF)
    return _normalise_requests(application)


def start_warm_up() -> None:
    """Import the SDKs and generate the schema in the background. Call this in each worker process, after the fork."""
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def import_sdks(environments: Mapping[str, Environment]) -> None:
    """Import the SDKs of the environments' clouds, so that no request waits for the import."""
    for environment in environments.values():
        if environment.cloud.driver is not None:
            import_module(environment.cloud.driver.rpartition(".")[0])


def _warm_up() -> None:
    from vms.documentation import generate_schema  # noqa: PLC0415 - needs Django set up
    from vms.service import current_service  # noqa: PLC0415 - needs Django set up

    generate_schema()
    import_sdks(current_service().registries.environments)
    # These objects live as long as the process; the garbage collector need not traverse them again.
    gc.collect()
    gc.freeze()


def _normalise_requests(application: Application) -> Application:
    """Wrap the application so that it gets each request in the form that Django expects."""

    def wrapped(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        _drop_parameters(environ)
        _join_chunks(environ)
        return application(environ, start_response)

    return wrapped


def _drop_parameters(environ: dict[str, Any]) -> None:
    """Remove the parameters of the media type: JSON has none (RFC 8259).

    Django would decode queries in the charset named there, such as `charset=hex`. It fails on parameters that it
    cannot decode before any code of this project could answer.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if not _MULTIPART_FORM.fullmatch(content_type):
        environ["CONTENT_TYPE"] = content_type.partition(";")[0]


def _join_chunks(environ: dict[str, Any]) -> None:
    """Set the length of a chunked body, for servers other than `manage.py serve`: Django reads Content-Length bytes.

    A chunked form stays unread: such servers do not tell whether the last chunk came. JSON shows a missing end, a
    form does not. Browsers send the length of their forms.
    """
    is_form = environ["CONTENT_TYPE"].lower().startswith(_FORMS)
    if environ.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in environ and not is_form:
        # One byte above the limit is enough to be refused.
        body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
