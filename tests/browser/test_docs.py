"""The documentation in a browser: authorises with a token and tries every call of the schema."""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ACCESS_KEY, SECRET, photograph

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ENVIRONMENT = "proxmox-sandbox"
TOKEN = base64.b64encode(f"{ACCESS_KEY}:{SECRET}".encode()).decode()
LOCATION = re.compile(r"^\s*location: (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Docs:
    """Swagger UI as a person uses it: opens a call, fills in its parameters, executes it."""

    page: Page
    tried: list[str] = field(default_factory=list)

    def authorise(self, token: str) -> None:
        """By the form behind the button."""
        self.page.get_by_role("button", name="Authorize").first.click()
        self.page.locator(".modal-ux input").fill(token)
        self.page.locator(".modal-ux").get_by_role("button", name="Apply credentials").click()
        self.page.locator(".modal-ux .btn-done").click()

    def execute(self, operation_id: str, body: object = None, /, **parameters: str) -> Locator:
        """Try a call, and close it again; where its answer stood."""
        operation = self.page.locator(f"div[id$='-{operation_id}']")
        operation.locator(".opblock-summary-control").click()
        if operation_id not in self.tried:
            operation.get_by_role("button", name="Try it out").click()
        for name, value in parameters.items():
            row = operation.locator(f"tr[data-param-name='{name}']")
            if row.locator("select").count():
                row.locator("select").select_option(value)
            else:
                row.locator("input").fill(value)
        if body is not None:
            operation.locator("textarea.body-param__text").fill(json.dumps(body))
        operation.get_by_role("button", name="Execute").click()
        self.tried.append(operation_id)
        return operation

    def expect(self, status: int, operation_id: str, body: object = None, /, **parameters: str) -> str:
        """Try a call; the page must show this status. What else it shows of the answer."""
        operation = self.execute(operation_id, body, **parameters)
        answer = operation.locator(".live-responses-table")
        expect(answer.locator("tbody .response-col_status")).to_contain_text(str(status))
        shown = "\n".join(answer.locator("tbody pre").all_inner_texts())
        operation.locator(".opblock-summary-control").click()
        return shown


@pytest.fixture
def docs(page: Page) -> Docs:
    """The documentation, open; under the page's own policy, which its fixture holds it to."""
    page.goto("/docs")
    expect(page.get_by_role("button", name="Authorize").first).to_be_visible()
    return Docs(page)


def location(shown: str) -> str:
    """Where an answer's headers lead."""
    found = LOCATION.search(shown)
    assert found, shown
    return found[1]


def test_docs_authorise_with_a_token_and_try_every_call(docs: Docs) -> None:
    """Each has the status that it should have, shown in the page; none is left out."""
    docs.expect(401, "vm_list", environment=ENVIRONMENT)
    docs.authorise(TOKEN)
    here = {"environment": ENVIRONMENT}
    body = {"name": "docs1", "machinetype": "small-debian", **here}
    made = docs.expect(201, "vm_create", {**body, "cloud_init": "I2Nsb3VkLWNvbmZpZwo="})
    vm_id = location(made).removeprefix("/vm/").partition("?")[0]
    vm = {"id": vm_id, **here}
    assert '"docs1"' in docs.expect(200, "vm_list", **here, name="docs1", status="running")
    assert "docs1" in docs.expect(200, "vm_retrieve", **vm)
    docs.expect(204, "vm_stop_create", **vm, mode="force")
    docs.expect(204, "vm_start_create", **vm)
    docs.expect(204, "vm_restart_create", **vm, mode="force")
    docs.expect(204, "vm_stop_retrieve", **vm)
    docs.expect(204, "vm_start_retrieve", **vm)
    begun = docs.expect(202, "vm_destroy", **vm, Prefer="respond-async")
    operation = docs.expect(200, "operation_retrieve", token=location(begun).removeprefix("/operation/"))
    assert '"verb": "delete"' in operation
    docs.expect(200, "environment_list")
    docs.expect(200, "environment_retrieve", name=ENVIRONMENT)
    docs.expect(200, "machinetype_list", **here)
    docs.expect(200, "machinetype_retrieve", name="small-debian")
    docs.expect(200, "problems_list")
    docs.expect(200, "problems_retrieve", code="conflict")
    docs.expect(200, "livez_retrieve")
    docs.expect(200, "readyz_retrieve")
    answer = docs.page.request.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"})
    schema: dict[str, Any] = answer.json()
    listed = {operation["operationId"] for path in schema["paths"].values() for operation in path.values()}
    assert set(docs.tried) == listed
    photograph(docs.page, "docs")


def test_docs_show_a_refusal_as_the_problem_document_that_it_is(docs: Docs) -> None:
    """A token that no cloud knows, and a VM that is none."""
    docs.authorise(base64.b64encode(b"demo@sandbox:wrong").decode())
    assert '"credentials_rejected"' in docs.expect(401, "vm_list", environment="azure-sandbox")
    docs.page.reload()
    docs.authorise(TOKEN)
    assert '"vm_not_found"' in docs.expect(404, "vm_retrieve", id="999999999", environment=ENVIRONMENT)
