"""Microsoft's OpenAPI description of Azure, where it lies at hand, and what holds an answer to it."""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import requests
from jsonschema import Draft4Validator  # type: ignore[import-untyped] # it comes with drf-spectacular, its types do not
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.sandbox.azure import COMPUTE, DISKS, NETWORK
from tests.support import vendor

SPECIFICATION = vendor.SPECIFICATIONS / "azure/specification"
MANAGER = "resource-manager/Microsoft."
FILES = {
    COMPUTE: f"compute/{MANAGER}Compute/ComputeRP/stable/{COMPUTE}/virtualMachine.json",
    DISKS: f"compute/{MANAGER}Compute/DiskRP/stable/{DISKS}/disk.json",
    NETWORK: f"network/{MANAGER}Network/stable/{NETWORK}/",
}
NETWORK_FILES = ("networkInterface.json", "virtualNetwork.json")

described = vendor.needs(SPECIFICATION)


@cache
def load(path: Path) -> Any:
    """A file of the description."""
    return json.loads(path.read_text())


def resource(uri: str) -> Resource[Any]:
    """What a reference leads to."""
    return DRAFT4.create_resource(load(Path(uri.removeprefix("file://"))))


REGISTRY: Registry[Any] = Registry(retrieve=resource)  # type: ignore[call-arg] # attrs' alias is unknown to mypy


@cache
def operations() -> dict[str, tuple[str, str, Any, Path]]:
    """Every operation described: method, path, description and file, by its id."""
    network = SPECIFICATION / FILES[NETWORK]
    files = [SPECIFICATION / FILES[COMPUTE], SPECIFICATION / FILES[DISKS], *(network / name for name in NETWORK_FILES)]
    return {
        one["operationId"]: (method.upper(), path, one, file)
        for file in files
        for path, methods in load(file)["paths"].items()
        for method, one in methods.items()
    }


def resolve(schema: Any, file: Path) -> tuple[Any, Path]:
    """A schema, and the file that it is in."""
    while "$ref" in schema:
        place, _, pointer = schema["$ref"].partition("#")
        file = Path(os.path.normpath(file.parent / place)) if place else file
        schema = load(file)
        for part in pointer.strip("/").split("/"):
            schema = schema[part]
    return schema, file


def members(schema: Any, file: Path) -> dict[str, tuple[Any, Path]]:
    """The properties of a schema, its own and those that it takes over."""
    schema, file = resolve(schema, file)
    found: dict[str, tuple[Any, Path]] = {}
    for above in schema.get("allOf", []):
        found |= members(above, file)
    return found | {name: (one, file) for name, one in schema.get("properties", {}).items()}


def unknown(value: Any, schema: Any, file: Path, path: str = "") -> Iterator[str]:
    """What an answer holds that is not described; JSON schema alone would let it pass."""
    schema, file = resolve(schema, file)
    if isinstance(value, list):
        for item in value:
            yield from unknown(item, schema.get("items", {}), file, f"{path}[]")
    elif isinstance(value, dict) and "additionalProperties" not in schema:
        known = members(schema, file)
        for name, item in value.items():
            if name in known:
                yield from unknown(item, *known[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"


def check(operation: str, response: requests.Response) -> None:
    """Hold an answer to its operation's description."""
    _, _, description, file = operations()[operation]
    answers = description["responses"]
    if response.status_code >= 400:
        answer = answers["default"]
    else:
        assert str(response.status_code) in answers, f"{operation} does not answer {response.status_code}"
        answer = answers[str(response.status_code)]
    if "schema" not in answer:
        assert response.content == b"", f"{operation} has no body"
        return
    body = response.json()
    schema = _absolute(answer["schema"], file)
    Draft4Validator(schema, registry=REGISTRY).validate(body)
    assert list(unknown(body, answer["schema"], file)) == []


def _absolute(schema: Any, file: Path) -> Any:
    """A response's schema, with its reference from nowhere in particular."""
    place, _, pointer = schema["$ref"].partition("#")
    target = os.path.normpath(file.parent / place) if place else str(file)
    return {"$ref": f"file://{target}#{pointer}"}
