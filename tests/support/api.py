"""A caller of the API, in process but through the whole of the service, that checks what all answers have."""

import base64
import json
import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from tests.support.application import client
from vms.problems import KINDS

SERVER_TIMING = re.compile(r'backend;dur=\d+\.\d;desc="(\d+) calls?", app;dur=\d+\.\d')


def bearer(access_key: str, secret: str) -> str:
    """The header's value, made as the README says, line break and all."""
    return "Bearer " + base64.b64encode(f"{access_key}:{secret}\n".encode()).decode()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; empty if it is none."""
        return str(self.json["code"]) if self.status >= 400 else ""

    @property
    def calls(self) -> int:
        """Backend calls, as Server-Timing counts them."""
        found = SERVER_TIMING.fullmatch(self.headers["Server-Timing"])
        assert found, self.headers["Server-Timing"]
        return int(found[1])


@dataclass(frozen=True)
class Api:
    """Calls as one caller, by default about one environment."""

    environment: str
    authorization: str | None

    def as_caller(self, access_key: str, secret: str) -> "Api":
        """The same with other credentials."""
        return replace(self, authorization=bearer(access_key, secret))

    def within(self, environment: str) -> "Api":
        """The same about another environment."""
        return replace(self, environment=environment)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request; a body that is not bytes goes out as JSON."""
        sent = dict(headers or {})
        if self.authorization is not None:
            sent.setdefault("Authorization", self.authorization)
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        url = path + (f"?{urlencode(query)}" if query else "")
        # A client of its own for each call: it keeps state, and threads share this object.
        response = client().generic(
            method, url, content, content_type=sent.pop("Content-Type", "application/json"), headers=sent
        )
        answer = Answer(response.status_code, dict(response.headers), bytes(response.content))
        check_common(answer, has_body=method != "HEAD")
        return answer

    def list(self, **query: str) -> Answer:
        """List VMs."""
        return self.call("GET", "/vm", query={"environment": self.environment, **query})

    def get(self, vm_id: str) -> Answer:
        """Show a VM."""
        return self.call("GET", f"/vm/{vm_id}", query={"environment": self.environment})

    def create(self, name: str = "test1", *, headers: dict[str, str] | None = None, **fields: object) -> Answer:
        """Create a VM of the machine type `small-debian`, unless told otherwise."""
        body = {"name": name, "environment": self.environment, "machinetype": "small-debian", **fields}
        return self.call("POST", "/vm", body, headers=headers)

    def verb(self, verb: str, vm_id: str, headers: dict[str, str] | None = None, **query: str) -> Answer:
        """Start, stop or restart a VM."""
        query = {"environment": self.environment, **query}
        return self.call("POST", f"/vm/{vm_id}/{verb}", query=query, headers=headers)

    def delete(self, vm_id: str, headers: dict[str, str] | None = None) -> Answer:
        """Delete a VM."""
        return self.call("DELETE", f"/vm/{vm_id}", query={"environment": self.environment}, headers=headers)

    def follow(self, answer: Answer) -> Answer:
        """Ask for the operation that an answer leads to, once."""
        return self.call("GET", answer.headers["Location"])


def check_common(answer: Answer, *, has_body: bool) -> None:
    """What holds for every answer, whatever was asked."""
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answer.headers["X-Request-ID"])
    assert SERVER_TIMING.fullmatch(answer.headers["Server-Timing"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if answer.status < 400 or not has_body:
        return
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    kind = KINDS[problem["code"]]
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["title"] == kind.title
    assert problem["status"] == answer.status
    is_temporary = problem["code"] == "conflict" and "Retry-After" in answer.headers
    assert problem["retryable"] is (kind.retryable or is_temporary)
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["detail"]
    assert answer.status != 500, problem
    if answer.status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    if answer.status in {429, 503}:
        assert int(answer.headers["Retry-After"]) >= 1
