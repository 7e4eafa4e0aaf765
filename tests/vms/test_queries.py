"""Queries: what is refused, before any call."""

import pytest

from tests.support.api import Answer, Api

VM = "/vm/i-0123456789abcdef0"


def refused(api: Api, method: str, url: str) -> Answer:
    """A call that is refused before any backend is asked."""
    answer = api.call(method, url)
    assert answer.calls == 0
    assert answer.code == "invalid_request", answer.body
    return answer


@pytest.mark.parametrize(
    ("method", "url", "field"),
    [
        ("GET", "/vm", "environment"),
        ("GET", "/vm?environment=", "environment"),
        ("GET", "/vm?environment=a%00", "environment"),
        ("GET", "/vm?environment=aws-one&environment=aws-one", "environment"),
        ("GET", "/vm?environment=aws-one&foo=1", "foo"),
        ("GET", "/vm?environment=aws-one&Name=x", "Name"),
        ("GET", "/vm?environment=aws-one&status=Running", "status"),
        ("GET", "/vm?environment=aws-one&status=", "status"),
        ("GET", "/vm?environment=aws-one&name=", "name"),
        ("GET", "/vm?environment=aws-one&name=a%00b", "name"),
        ("GET", f"{VM}?environment=aws-one&mode=auto", "mode"),
        ("DELETE", f"{VM}?environment=aws-one&force=true", "force"),
        ("POST", f"{VM}/start?environment=aws-one&mode=auto", "mode"),
        ("POST", f"{VM}/stop?environment=aws-one&mode=AUTO", "mode"),
        ("POST", f"{VM}/stop?environment=aws-one&mode=", "mode"),
        ("POST", f"{VM}/restart?environment=aws-one&mode=hard", "mode"),
        ("GET", "/environment?name=x", "name"),
        ("GET", "/machinetype?environment=a&environment=b", "environment"),
        ("GET", "/machinetype/tiny?environment=a", "environment"),
        ("GET", "/problems?x", "x"),
        ("GET", "/problems/conflict?x=1", "x"),
        ("GET", "/schema?version=a%0d%0aSet-Cookie:x=1", "version"),
        ("GET", "/operation/x?environment=aws-one", "environment"),
    ],
)
def test_call_with_a_wrong_query_names_the_parameter(api: Api, method: str, url: str, field: str) -> None:
    """Unknown, repeated, blank or not one of the allowed values."""
    answer = refused(api, method, url).json
    assert [error["field"] for error in answer["errors"]] == [field]
    assert answer["detail"] == f"{field}: {answer['errors'][0]['detail'].rstrip('.')}."


def test_call_with_many_wrong_parameters_tells_the_first_ones_in_a_line(api: Api) -> None:
    """A person reads `detail`; a program gets all of them in `errors`."""
    answer = refused(api, "GET", "/environment?a=1&b=2&c=3&d=4").json
    unknown = "is not known here; allowed: none"
    assert answer["detail"] == f"a: {unknown}; b: {unknown}; c: {unknown}; see `errors` for the others."
    assert len(answer["errors"]) == 4


@pytest.mark.parametrize(
    "timeout",
    ["", "0", "-1", "3601", "1e3", "1e9", "5.0", "1_0", "+5", "%2B5", "%205", "5%20", "5%0a", "0x10", "NaN", "Infinity",
     "%D9%A3", "%EF%BC%95", "%C2%B2", "9" * 20, "9" * 5000, "five"],
)  # fmt: skip
def test_stop_with_a_timeout_that_is_no_number_in_range_is_refused(api: Api, timeout: str) -> None:
    """Plain digits from 1 to 3600, and nothing that Python would take for a number, too."""
    answer = refused(api, "POST", f"{VM}/stop?environment=aws-one&timeout={timeout}")
    assert answer.json["errors"] == [{"field": "timeout", "detail": "must be a whole number from 1 to 3600"}]


@pytest.mark.parametrize("timeout", ["1", "0060", "3600"])
def test_stop_with_a_timeout_in_range_asks_the_cloud(api: Api, timeout: str) -> None:
    """Which nobody is in these tests."""
    answer = api.call("POST", f"{VM}/stop?environment=aws-one&timeout={timeout}")
    assert answer.code == "backend_unreachable"


@pytest.mark.parametrize("name", ["*", "aws-*", "AWS-one", " aws-one", " ", "aws-one%00", "aws-one%0a", "../aws-one"])
def test_list_of_an_environment_that_is_not_named_exactly_is_not_found(api: Api, name: str) -> None:
    """A credential goes to the one environment that its owner named."""
    answer = api.call("GET", f"/vm?environment={name.replace(' ', '%20')}")
    assert answer.code in {"environment_not_found", "invalid_request"}
    assert answer.status == 400
    assert answer.calls == 0


def test_call_with_more_parameters_than_django_reads_is_refused(api: Api) -> None:
    """Its own limit is an error of the caller."""
    assert "parameters" in refused(api, "GET", "/vm?" + "a=1&" * 1001).json["detail"]
    refused(api, "GET", "/environment?" + "a=1&" * 1001)


def test_call_with_a_query_that_is_not_utf8_is_refused(api: Api) -> None:
    """No exception, whatever bytes."""
    assert api.call("GET", "/vm?environment=%ff%fe%ed%a0%80").code == "environment_not_found"
    refused(api, "GET", "/vm?environment=aws-one&%ff=%fe")


@pytest.mark.parametrize(
    "vm_id",
    ["x", "i-0", "i-0123456789abcdef0%0a", "%00", "i-0123456789ABCDEF0", "i-0123456789abcde%D9%A3%20", "%2e%2e"],
)
@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("DELETE", ""), ("POST", "/start"), ("POST", "/stop"), ("POST", "/restart")]
)
def test_verb_with_a_malformed_id_is_refused(api: Api, method: str, tail: str, vm_id: str) -> None:
    """By the cloud's own pattern, before any call."""
    answer = refused(api, method, f"/vm/{vm_id}{tail}?environment=aws-one")
    if "errors" in answer.json:
        assert [error["field"] for error in answer.json["errors"]] == ["id"]
