"""Problem documents on every path, whatever goes wrong."""

import logging
import sys
from types import ModuleType
from typing import NoReturn

import pytest
from django.http import HttpRequest
from django.test import Client
from django.urls import include, path
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.views import APIView

from providers.errors import TemporaryConflictError
from tests.support.api import Api
from vms.problems import KINDS, retry_after

SECRET = "canary-s3cr3t"


class CrashingView(APIView):
    """Breaks within DRF."""

    def get(self, request: Request) -> NoReturn:
        """Break, quoting a secret in the cause of the cause."""
        try:
            int(f"first {SECRET}")
        except ValueError as error:
            raise RuntimeError(f"crash with {SECRET}") from error
        raise AssertionError


class ConflictingView(APIView):
    """Meets a conflict that ends by itself."""

    def get(self, request: Request) -> NoReturn:
        """Fail as a driver does."""
        raise TemporaryConflictError("Another request is making the VM; try again.")


def crash(request: HttpRequest) -> NoReturn:
    """Break outside of DRF."""
    raise RuntimeError("crash, plainly")


@pytest.fixture
def crashing(settings: Settings, api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The service's URLs and two more, whose views break."""
    urls = ModuleType("urls_that_crash")
    urls.urlpatterns = [  # type: ignore[attr-defined] # a module made by hand
        path("crash", CrashingView.as_view()),
        path("crash/plain", crash),
        path("conflict", ConflictingView.as_view()),
        path("", include("vms.urls")),
    ]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    settings.ROOT_URLCONF = urls.__name__
    return api


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("url", ["/crash", "/crash/plain"])
def test_call_that_crashes_is_an_internal_error_and_tells_only_the_log(
    crashing: Api, settings: Settings, caplog: pytest.LogCaptureFixture, url: str, *, debug: bool
) -> None:
    """Also in debug: no page with a traceback, settings and local variables."""
    settings.DEBUG = debug
    headers = {"Authorization": crashing.authorization or "", "X-Request-ID": "find-me"}
    response = Client(raise_request_exception=False).get(url, headers=headers)
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    problem = response.json()
    assert problem["code"] == "internal_error"
    assert problem["request_id"] == response.headers["X-Request-ID"] == "find-me"
    assert "crash with" not in response.content.decode()
    assert "Traceback" not in response.content.decode()
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


def test_temporary_conflict_can_be_retried(crashing: Api) -> None:
    """A conflict that ends by itself says when to repeat the request."""
    response = Client().get("/conflict", headers={"Authorization": crashing.authorization or ""})
    problem = response.json()
    assert (response.status_code, problem["code"], problem["retryable"]) == (409, "conflict", True)
    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("method", "url", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/vm/", 404, "not_found"),
        ("GET", "/VM", 404, "not_found"),
        ("POST", "/vm/x/resize", 404, "not_found"),
        ("GET", "/static/nothing.css", 404, "not_found"),
        ("GET", "/admin/", 404, "not_found"),
        ("GET", "/favicon.ico", 404, "not_found"),
        ("GET", "/problems/nothing", 404, "not_found"),
        ("GET", "/vm/a/../b", 400, "invalid_request"),
        ("GET", "/vm/..%2f..", 400, "invalid_request"),
        ("GET", "/vm//x", 400, "invalid_request"),
        ("GET", "/vm/x%0a/y", 400, "invalid_request"),
        ("GET", "/vm/x%5c..%5c", 400, "invalid_request"),
        ("PUT", "/vm", 405, "method_not_allowed"),
        ("PATCH", "/vm/x", 405, "method_not_allowed"),
        ("OPTIONS", "/vm", 405, "method_not_allowed"),
        ("TRACE", "/vm", 405, "method_not_allowed"),
        ("FOO", "/vm/x/start", 405, "method_not_allowed"),
        ("DELETE", "/vm", 405, "method_not_allowed"),
        ("POST", "/environment", 405, "method_not_allowed"),
        ("POST", "/problems", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("POST", "/schema", 405, "method_not_allowed"),
        ("POST", "/docs", 405, "method_not_allowed"),
        ("TRACE", "/docs", 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
        ("TRACE", "/", 405, "method_not_allowed"),
        ("FOO", "/", 405, "method_not_allowed"),
        ("POST", "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css", 405, "method_not_allowed"),
    ],
)
def test_call_that_leads_nowhere_is_a_problem_document(
    api: Api, settings: Settings, *, method: str, url: str, status: int, code: str, debug: bool
) -> None:
    """Unknown URLs and wrong methods, Django's own and the libraries' included, also in debug."""
    settings.DEBUG = debug
    answer = api.call(method, url)
    assert (answer.status, answer.code) == (status, code)
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_head_of_a_get_that_acts_is_not_allowed(api: Api, verb: str) -> None:
    """A HEAD is for looking."""
    answer = api.call("HEAD", f"/vm/i-0123456789abcdef0/{verb}?environment=aws-one")
    assert answer.status == 405
    assert answer.calls == 0
    assert "HEAD" not in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("header", "value"),
    [("Sec-Purpose", "prefetch"), ("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"),
     ("Purpose", "Prefetch"), ("X-Moz", "prefetch")],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["start", "stop"])
def test_get_that_acts_is_refused_to_a_browser_that_looks_ahead(api: Api, verb: str, header: str, value: str) -> None:
    """In the words of browsers old and new."""
    url = f"/vm/i-0123456789abcdef0/{verb}?environment=aws-one"
    answer = api.call("GET", url, headers={header: value})
    assert answer.code == "invalid_request"
    assert answer.calls == 0


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml", "image/*;q=0", ";;;,", "a/b; x*=nosuch''%41", "*/*"]
)
def test_call_that_accepts_only_other_forms_gets_json(api: Api, accept: str) -> None:
    """Better than a refusal that explains nothing."""
    answer = api.call("GET", "/environment", headers={"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert api.call("GET", "/environment/none", headers={"Accept": accept}).code == "environment_not_found"


def test_problem_with_a_secret_in_its_path_masks_it(api: Api) -> None:
    """Whoever puts a secret into the path finds it masked in the answer."""
    answer = api.call("GET", f"/vm/{SECRET}?environment=aws-one")
    assert SECRET not in answer.body.decode()


def test_problem_with_a_secret_as_a_field_masks_it(api: Api) -> None:
    """Or into the name of a field."""
    answer = api.call("POST", "/vm", {SECRET: 1})
    assert answer.code == "invalid_request"
    assert SECRET not in answer.body.decode()


@pytest.mark.parametrize(
    ("seconds", "value"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2"), (1e9, "86400"), (float("inf"), "86400")]
)
def test_retry_after_is_from_a_second_to_a_day(seconds: float, value: str) -> None:
    """Whatever number a cloud sends, of whatever length."""
    assert retry_after(seconds) == value


def test_problem_kinds_have_statuses_of_the_contract() -> None:
    """The one table."""
    assert {kind.status for kind in KINDS.values()} == {400, 401, 403, 404, 405, 409, 422, 429, 500, 501, 502, 503, 504}
    assert logging.getLogger("django.request").level == logging.CRITICAL
