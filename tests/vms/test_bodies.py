"""Bodies of `POST /vm`: what is refused, before any call, and how that is told."""

import base64
import json
from typing import Any

import pytest

from tests.support.api import Answer, Api
from vms.creation import spec_from
from vms.registries import load_registries
from vms.serializers import VMCreate

GOOD = {"name": "test1", "environment": "aws-one", "machinetype": "small-debian"}


def post(api: Api, body: object, **headers: str) -> Answer:
    """A create, refused before any call."""
    answer = api.call("POST", "/vm", body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.calls == 0
    assert answer.code == "invalid_request"
    return answer


def fields(answer: Answer) -> list[str]:
    """The fields at fault."""
    return sorted({error["field"] for error in answer.json["errors"]})


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"name": "a", "name": "b"}', "'name' stands twice"),
        (b'{"tags": {"a": "1", "a": "1"}}', "'a' stands twice"),
        (b'{"tags": {"x": [{"b": 1, "b": 2}]}}', "'b' stands twice"),
        (b'{"name": NaN}', "NaN is no JSON number"),
        (b'{"name": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"name": "a"', "not JSON"),
        (b'{"name": "a"} {}', "not JSON"),
        (b"{'name': 'a'}", "not JSON"),
        (b'{"name": "a",}', "not JSON"),
        (b'{"name": "a\nb"}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"name": "\xff"}', "not UTF-8"),
        ('{"name": "a"}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 900_000, "nested too deeply"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "nested too deeply"),
        (b"[" * 500 + b"]" * 500, "nested too deeply"),
        (b" " * (1024 * 1024 + 1), "larger than"),
        (b'{"name": "' + b"a" * 2_000_000 + b'"}', "larger than"),
        (rb'{"\ud800": 1}', "surrogate"),
        (rb'{"name": "a\udfff"}', "surrogate"),
        (rb'{"tags": {"\ud83d": "x"}}', "surrogate"),
        (rb'{"tags": {"x": "\ud83d"}}', "surrogate"),
        (rb'{"cloud_init": "\ud800"}', "surrogate"),
    ],
)
def test_create_with_a_body_that_is_not_strict_json_says_why(api: Api, body: bytes, detail: str) -> None:
    """One sentence; the body itself is not quoted."""
    answer = post(api, body)
    assert answer.status == (413 if detail == "larger than" else 400)
    assert detail in answer.json["detail"]
    assert len(answer.body) < 1000


@pytest.mark.parametrize("body", [b"null", b"[]", b"[1]", b"1", b"0", b'"x"', b"true", b"false", b'""', b"1e400"])
def test_create_with_a_body_that_is_no_object_names_the_body(api: Api, body: bytes) -> None:
    """JSON, but not ours."""
    assert fields(post(api, body)) == ["body"]


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_create_with_nothing_names_every_field_that_is_missing(api: Api, body: bytes) -> None:
    """All at once."""
    assert fields(post(api, body)) == ["environment", "machinetype", "name"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", ";"]
)
def test_create_with_another_content_type_is_refused(api: Api, content_type: str) -> None:
    """JSON only, so that no form on another site can send one."""
    answer = post(api, json.dumps(GOOD).encode(), Content_Type=content_type)
    assert "application/json" in answer.json["detail"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_create_with_the_content_type_in_other_words_is_read(api: Api, content_type: str) -> None:
    """As clients write it."""
    assert fields(post(api, b'{"name": 1}', Content_Type=content_type))


@pytest.mark.parametrize(
    "name",
    [
        "", "a\n", "\na", "a b", "-a", "a-", "-", "a.b", "a_b", "ä", "\u0430", "a\u0000", "a" * 64, "a,net1=x", "a;b",
        "../a", "a\r\n", "\uff41", "\u0661", "\u212a", "\u017f",
    ],
)  # fmt: skip
def test_create_with_a_name_that_is_no_dns_label_names_the_field(api: Api, name: str) -> None:
    """RFC 1123, and no letter that only looks like one or that folds to one."""
    assert fields(post(api, {**GOOD, "name": name})) == ["name"]


@pytest.mark.parametrize("name", ["a", "7", "a-b", "a--b", "Test1", "a" * 63, "1a"])
def test_validate_a_name_that_is_a_dns_label_takes_it(name: str) -> None:
    """1 to 63 letters, digits and dashes, in any case."""
    assert VMCreate(data={**GOOD, "name": name}).is_valid()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 1), ("name", None), ("name", True), ("name", ["a"]), ("name", {"a": 1}), ("name", 1e400),
        ("environment", 1), ("environment", ""), ("environment", None), ("environment", ["aws-one"]),
        ("machinetype", {}), ("machinetype", ""),
        ("start", "no"), ("start", 0), ("start", "true"), ("start", None), ("start", []),
        ("cloud_init", 1), ("cloud_init", ["x"]), ("cloud_init", "%%%"), ("cloud_init", "YQ"), ("cloud_init", "YQ==="),
        ("cloud_init", "\u0000"), ("cloud_init", "é"),
        ("tags", "x"), ("tags", []), ("tags", 1), ("tags", {"": "x"}), ("tags", {"k" * 129: "x"}),
        ("tags", {"a\n": "x"}), ("tags", {"a": "x\u007f"}), ("tags", {str(number): "" for number in range(51)}),
    ],
)  # fmt: skip
def test_create_with_a_wrong_value_names_the_field(api: Api, field: str, value: object) -> None:
    """Nothing is converted, nothing is guessed."""
    body = json.dumps({**GOOD, field: value}).replace("Infinity", "1e999").encode()
    assert fields(post(api, body)) == [field]


@pytest.mark.parametrize("value", [1, None, True, ["a"], {"a": "b"}, "v" * 257, "\u0000"])
def test_create_with_a_wrong_tag_names_its_path(api: Api, value: object) -> None:
    """`tags.team`, not only `tags`."""
    assert fields(post(api, {**GOOD, "tags": {"team": value}})) == ["tags.team"]


@pytest.mark.parametrize("tags", [None, {}, {"k": ""}, {"k" * 128: "v" * 256}, {"ключ": " значение "}])
def test_validate_tags_within_the_limits_takes_them(tags: object) -> None:
    """Blanks are part of a value; null means none."""
    serializer = VMCreate(data={**GOOD, "tags": tags})
    assert serializer.is_valid(), serializer.errors
    assert serializer.validated_data["tags"] == tags


@pytest.mark.parametrize("key", ["Name", "id", "cloud-init", "", "a.b", "a\nb", "non_field_errors"])
def test_create_with_an_unknown_field_is_refused(api: Api, key: str) -> None:
    """A mistyped field must not be ignored in silence."""
    answer = post(api, {**GOOD, key: "canary-value"})
    assert "allowed: name, environment, machinetype" in answer.json["errors"][0]["detail"]
    assert "canary-value" not in answer.body.decode()


def test_create_with_several_faults_tells_all_of_them(api: Api) -> None:
    """One round trip for the caller."""
    assert fields(post(api, {"name": "-", "start": "no", "foo": 1})) == [
        "environment", "foo", "machinetype", "name", "start",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "é", "\x7f", "k" * 256, "ключ"])
def test_create_with_an_odd_idempotency_key_is_refused(api: Api, key: str) -> None:
    """Visible ASCII only; it travels on to clouds."""
    assert fields(post(api, GOOD, Idempotency_Key=key)) == ["Idempotency-Key"]


def test_create_with_cloud_init_over_the_clouds_limit_names_it_without_quoting(api: Api) -> None:
    """The limit is the named cloud's own."""
    text = base64.b64encode(b"canary" * 4096).decode()
    answer = post(api, {**GOOD, "cloud_init": text})
    assert "16,384" in answer.json["detail"]
    assert "canary" not in answer.body.decode()
    assert text[:40] not in answer.body.decode()


@pytest.mark.parametrize(
    "body",
    [
        {f"{number:x}": 1 for number in range(80_000)},
        {**GOOD, "tags": {f"{number:x}": 1 for number in range(80_000)}},
        {"x" * 1_000_000: 1},
        {**GOOD, "tags": {"x" * 1_000_000: 1}},
        b'{"' + b"x" * 400_000 + b'": 1, "' + b"x" * 400_000 + b'": 1}',
    ],
)
def test_create_with_a_megabyte_of_faults_is_answered_in_short(api: Api, body: object) -> None:
    """Nobody makes us work for seconds, and send ten times as much as we got."""
    assert len(post(api, body).body) < 10_000


@pytest.mark.parametrize("query", [{"environment": "aws-one"}, {"dry_run": "1"}])
def test_create_with_a_query_is_refused(api: Api, query: dict[str, str]) -> None:
    """A create has its environment in the body."""
    assert fields(api.call("POST", "/vm", GOOD, query=query)) == list(query)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"environment": "*"}, "environment_not_found"),
        ({"environment": "AWS-ONE"}, "environment_not_found"),
        ({"environment": " aws-one"}, "environment_not_found"),
        ({"environment": "%s%n{0}"}, "environment_not_found"),
        ({"machinetype": "nothing"}, "machinetype_not_found"),
        ({"machinetype": "tiny"}, "machinetype_not_found"),
        ({"environment": "azure-one", "machinetype": "tiny"}, "unprocessable"),
    ],
)
def test_create_with_names_that_do_not_fit_says_which(api: Api, change: dict[str, str], code: str) -> None:
    """Of environments and machine types."""
    answer = api.call("POST", "/vm", {**GOOD, **change})
    assert answer.code == code
    assert answer.calls == 0


def test_create_with_a_long_environment_name_is_not_quoted_whole(api: Api) -> None:
    """A megabyte of a name does not come back."""
    answer = api.call("POST", "/vm", {**GOOD, "environment": "x" * 1_000_000})
    assert answer.code == "environment_not_found"
    assert len(answer.body) < 1000


def test_spec_from_equal_bodies_has_an_equal_digest(files: Any) -> None:
    """The order of tags and base64's line breaks do not make another request; every field's value does."""
    registries = load_registries(*files)
    environment, machine_type = registries.environments["aws-one"], registries.machine_types["small-debian"]

    def digest(**change: object) -> str:
        serializer = VMCreate(data={**GOOD, "cloud_init": "YWJj", "tags": {"a": "1", "b": "2"}, **change})
        assert serializer.is_valid()
        idempotency = spec_from(serializer.validated_data, environment, machine_type, "key").idempotency
        assert idempotency
        return idempotency.digest

    assert digest() == digest(cloud_init="YW\nJj\n") == digest(tags={"b": "2", "a": "1"}) == digest(start=True)
    others = [digest(name="b"), digest(start=False), digest(tags={"a": "1"}), digest(cloud_init="YWI="), digest()]
    assert len(set(others)) == len(others)
