"""The OpenAPI schema: checked in as a snapshot, complete, and true for what is answered."""

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it comes with drf-spectacular, its types do not
import pytest
import yaml
from django.core.management import call_command

from providers.errors import ErrorCode
from tests.support.api import Api
from vms.creation import KEY
from vms.problems import MEDIA_TYPE
from vms.serializers import VMCreate

SNAPSHOT = Path(__file__).with_name("openapi.yaml")
RENEW = "CLOUDVM_DEBUG=1 .venv/bin/python manage.py spectacular --validate --fail-on-warn --file tests/vms/openapi.yaml"
METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}


@pytest.fixture(scope="module")
def written() -> str:
    """The schema as the code makes it now; a warning is an error."""
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    return out.getvalue()


@pytest.fixture(scope="module")
def schema(written: str) -> dict[str, Any]:
    """The same, read."""
    loaded = yaml.safe_load(written)
    assert isinstance(loaded, dict)
    return loaded


def resolved(node: Any, schema: Mapping[str, Any]) -> Any:
    """What a node says, its reference followed."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its method and path."""
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", operation


def check(value: object, node: Any, schema: Mapping[str, Any]) -> None:
    """Refuse a value that is not as the schema says."""
    validator = jsonschema.Draft202012Validator({**node, "components": schema["components"]})
    validator.validate(value)


def bodies(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body in the schema, sent or answered, with where it stands."""
    for name, operation in operations(schema):
        for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{name} {media_type}", body
        for status, response in operation["responses"].items():
            for media_type, body in resolved(response, schema).get("content", {}).items():
                yield f"{name} {status} {media_type}", body


def answer_schema(schema: Mapping[str, Any], path: str, status: int, media_type: str = "application/json") -> Any:
    """What a GET of a path says it answers."""
    response = resolved(schema["paths"][path]["get"]["responses"][str(status)], schema)
    return response["content"][media_type]["schema"]


def test_schema_is_the_snapshot(written: str) -> None:
    """So that a change of the API is seen, and meant."""
    assert written == SNAPSHOT.read_text(), f"If the change is meant, renew the snapshot: {RENEW}"


def test_schema_has_every_path_of_the_contract(schema: dict[str, Any]) -> None:
    """And no other."""
    assert {name for name, _ in operations(schema)} == {
        "GET /vm", "POST /vm", "GET /vm/{id}", "DELETE /vm/{id}",
        "GET /vm/{id}/start", "POST /vm/{id}/start", "GET /vm/{id}/stop", "POST /vm/{id}/stop",
        "POST /vm/{id}/restart", "GET /operation/{token}",
        "GET /environment", "GET /environment/{name}", "GET /machinetype", "GET /machinetype/{name}",
        "GET /problems", "GET /problems/{code}", "GET /livez", "GET /readyz",
    }  # fmt: skip
    assert schema["openapi"].startswith("3.1")


def test_schema_marks_the_older_forms_as_deprecated(schema: dict[str, Any]) -> None:
    """They act by GET."""
    deprecated = {name for name, operation in operations(schema) if operation.get("deprecated")}
    assert deprecated == {"GET /vm/{id}/start", "GET /vm/{id}/stop"}


def test_schema_asks_for_a_token_where_a_cloud_is_asked(schema: dict[str, Any]) -> None:
    """And nowhere else."""
    secured = {name for name, operation in operations(schema) if {"cloudToken": []} in operation.get("security", [])}
    assert secured == {name for name, _ in operations(schema) if name.split("/")[1] in {"vm", "operation"}}


def test_schema_documents_every_error_on_every_operation(schema: dict[str, Any]) -> None:
    """With an example of each."""
    for name, operation in operations(schema):
        examples = [
            example["value"]["code"]
            for response in operation["responses"].values()
            for example in resolved(response, schema)
            .get("content", {})
            .get(MEDIA_TYPE, {})
            .get("examples", {})
            .values()
        ]
        assert set(examples) == set(ErrorCode), name


def test_schema_has_examples_that_are_true(schema: dict[str, Any]) -> None:
    """Each example is valid by the schema beside it; every answer with a body has one."""
    for name, body in bodies(schema):
        examples = [example["value"] for example in body.get("examples", {}).values()]
        assert examples, name
        for example in examples:
            check(example, body["schema"], schema)


def test_schema_says_how_headers_are_called(schema: dict[str, Any]) -> None:
    """Where to find what was made, when to come back, what every answer carries."""
    for name, operation in operations(schema):
        for status, response in operation["responses"].items():
            headers = set(resolved(response, schema).get("headers", {}))
            assert {"X-Request-ID", "Server-Timing"} <= headers, (name, status)
            if status in {"201", "202"}:
                assert "Location" in headers, (name, status)
            if status in {"202", "429", "503"}:
                assert "Retry-After" in headers, (name, status)


def test_schema_has_operation_ids_that_differ(schema: dict[str, Any]) -> None:
    """Generated clients name their functions by them."""
    ids = [operation["operationId"] for _, operation in operations(schema)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/environment", "/environment"),
        ("/environment/aws-one", "/environment/{name}"),
        ("/machinetype", "/machinetype"),
        ("/machinetype?environment=esxi-one", "/machinetype"),
        ("/machinetype/tiny", "/machinetype/{name}"),
        ("/problems", "/problems"),
        ("/problems/conflict", "/problems/{code}"),
        ("/livez", "/livez"),
        ("/readyz", "/readyz"),
    ],
)
def test_answer_is_as_the_schema_says(stranger: Api, schema: dict[str, Any], url: str, path: str) -> None:
    """What needs no cloud, live."""
    answer = stranger.call("GET", url)
    assert answer.status == 200
    check(answer.json, answer_schema(schema, path, 200), schema)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/vm", "/vm"),
        ("/vm?environment=none", "/vm"),
        ("/vm?environment=aws-one", "/vm"),
        ("/vm?environment=azure-one", "/vm"),
        ("/vm/x?environment=aws-one", "/vm/{id}"),
        ("/vm/x/start?environment=aws-one", "/vm/{id}/start"),
        ("/vm/x/stop?environment=aws-one&timeout=x", "/vm/{id}/stop"),
        ("/operation/x", "/operation/{token}"),
        ("/environment/none", "/environment/{name}"),
        ("/machinetype/none", "/machinetype/{name}"),
        ("/problems/none", "/problems/{code}"),
    ],
)
def test_problem_is_as_the_schema_says(api: Api, schema: dict[str, Any], url: str, path: str) -> None:
    """Under its status, with nothing beside what is documented."""
    answer = api.call("GET", url)
    assert answer.code
    node = answer_schema(schema, path, answer.status, MEDIA_TYPE)
    check(answer.json, node, schema)
    assert set(answer.json) <= set(resolved(node, schema)["properties"])


def test_served_schema_is_the_written_one(stranger: Api, schema: dict[str, Any]) -> None:
    """In both forms; the one that Swagger UI reads."""
    answer = stranger.call("GET", "/schema", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert answer.json == schema
    assert yaml.safe_load(stranger.call("GET", "/schema").body) == schema


def test_schema_names_the_headers_that_a_client_acts_on(schema: dict[str, Any]) -> None:
    """When to look again, where to look, and what was honoured: generated clients know no others."""
    stop, follow = schema["paths"]["/vm/{id}/stop"]["post"], schema["paths"]["/operation/{token}"]["get"]
    assert {"Location", "Retry-After", "Preference-Applied"} <= set(stop["responses"]["202"]["headers"])
    assert "Preference-Applied" in stop["responses"]["200"]["headers"]
    assert "Retry-After" in follow["responses"]["200"]["headers"]


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"tags": None}, True),
        ({"tags": {"k" * 128: "v" * 256}}, True),
        ({"tags": {"k": ""}}, True),
        ({"name": "a" * 63}, True),
        ({"name": "a" * 64}, False),
        ({"name": "-a"}, False),
        ({"name": "a_b"}, False),
        ({"tags": {"": "v"}}, False),
        ({"tags": {"k" * 129: "v"}}, False),
        ({"tags": {"k": "v" * 257}}, False),
        ({"tags": {"k\tx": "v"}}, False),
        ({"tags": {"k": "v\x7f"}}, False),
        ({"tags": {str(number): "" for number in range(51)}}, False),
        ({"other": 1}, False),
    ],
)
def test_schema_states_the_limits_of_a_create(schema: dict[str, Any], change: dict[str, object], valid: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A body is valid by the schema if the service takes it."""
    body = {"name": "web-1", "environment": "aws-one", "machinetype": "tiny", **change}
    node = {"$ref": "#/components/schemas/VMCreateRequest", "components": schema["components"]}
    assert jsonschema.Draft202012Validator(node).is_valid(body) is valid
    assert VMCreate(data=body).is_valid() is valid


@pytest.mark.parametrize(
    ("key", "valid"), [("a", True), ("~" * 255, True), ("", False), ("a b", False), ("é", False), ("a" * 256, False)]
)
def test_schema_states_the_form_of_an_idempotency_key(schema: dict[str, Any], key: str, valid: bool) -> None:  # noqa: FBT001 - as above
    """Visible ASCII characters."""
    parameters = {parameter["name"]: parameter for parameter in schema["paths"]["/vm"]["post"]["parameters"]}
    assert jsonschema.Draft202012Validator(parameters["Idempotency-Key"]["schema"]).is_valid(key) is valid
    assert (KEY.fullmatch(key) is not None) is valid
