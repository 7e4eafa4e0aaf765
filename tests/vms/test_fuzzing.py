"""Schemathesis: requests generated from the schema, against the application and a simulated cloud."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.proxmox import ProxmoxHarness
from tests.support.api import bearer
from tests.support.properties import PROPERTY

METHODS = ("get", "post", "delete")
SCHEMA: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text())
OPERATIONS = [(path, method) for path, item in SCHEMA["paths"].items() for method in METHODS if method in item]
# The schema cannot know what is configured here. Names that do not exist would be all that is generated.
CONFIGURED: dict[str, list[object]] = {
    "environment": ["main"],
    "machinetype": ["small-debian"],
    "cloud_init": [None, "", "I2Nsb3VkLWNvbmZpZwo="],
    "admin_password": [None],
    "timeout": [1],
}


def narrowed(node: Any) -> Any:
    """The schema without its examples, and with the values that this test has configured."""
    if isinstance(node, list):
        return [narrowed(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    made = {key: narrowed(inner) for key, inner in node.items() if key not in {"example", "examples"}}
    if "in" in made and made.get("name") in CONFIGURED:
        made["schema"] = {"enum": CONFIGURED[made["name"]]}
    return made


def schema_for(vm_ids: list[str]) -> dict[str, Any]:
    """The schema whose paths lead to these VMs."""
    schema: dict[str, Any] = narrowed(deepcopy(SCHEMA))
    request = schema["components"]["schemas"]["VMCreateRequest"]["properties"]
    request.update({name: {"enum": values} for name, values in CONFIGURED.items() if name in request})
    for item in schema["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path" and parameter["name"] == "id":
                    parameter["schema"] = {"enum": vm_ids}
    return schema


@pytest.fixture
def cases(cloud: ProxmoxHarness, path: str, method: str) -> Any:
    """The operation, as Schemathesis sees it."""
    # Only this test imports it: that takes a second.
    import schemathesis  # noqa: PLC0415 - as said above

    schema = schemathesis.openapi.from_dict(schema_for(cloud.seed(3)))
    schema.app = WSGIHandler()
    return schema[path][method.upper()]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_to_generated_requests_are_as_the_schema_says(cases: Any, cloud: ProxmoxHarness) -> None:
    """Statuses, types, headers and bodies; what the schema allows is accepted, and what it forbids is refused."""
    from schemathesis import GenerationMode  # noqa: PLC0415 - as above

    headers = {"Authorization": bearer(cloud.access_key, cloud.secret), "Host": "localhost"}
    made = 0

    @settings(PROPERTY, max_examples=8)
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        nonlocal made
        case = data.draw(cases.as_strategy(data.draw(st.sampled_from(list(GenerationMode)))))
        case.call_and_validate(headers=headers)
        made += 1

    each()
    assert made
