"""A client that creates, changes and deletes VMs of its own in a random order, and believes what it is told."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.soak.ledger import Fate, Record

FOLLOW_SECONDS = 20.0
MOST_VMS = 4
TRIES_WITH_A_KEY = 3
CREATE_PREFERENCES = ["", "", "respond-async", "wait=1"]
CHANGE_PREFERENCES = ["", "respond-async", "wait=1", "return=representation"]


@dataclass(frozen=True)
class Answer:
    """An answer over the wire."""

    status: int
    location: str | None
    body: Any

    @property
    def operation(self) -> str | None:
        """The operation to follow, if the work goes on."""
        if self.status == 202:
            return self.location
        found = self.body.get("operation") if self.status >= 400 else None
        return found if isinstance(found, str) else None

    def __str__(self) -> str:
        if self.status < 400:
            return str(self.status)
        backend = self.body.get("backend") or {}
        left = [f"{one['kind']} {one['id']} removed={one['removed']}" for one in self.body.get("leftovers", [])]
        return f"{self.status} {self.body['code']} {backend.get('operation')} {self.body['detail'][:90]!r} {left or ''}"


@dataclass
class Client:
    """One caller in one thread.

    Attributes:
        number: distinguishes the names of its VMs from those of other clients.
        port: the server's.
        tokens: the `Authorization` header for each environment.
        disturb: plans a fault in an environment.
        dice: its random choices.
        records: what it was told, one record per VM.
        violations: answers that contradict what it was told before.

    """

    number: int
    port: int
    tokens: Mapping[str, str]
    disturb: Callable[[str, random.Random], None]
    dice: random.Random
    records: list[Record] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    requests: int = 0

    def run(self, until: float) -> None:
        """Act until the given monotonic time."""
        while time.monotonic() < until:
            environment = self.dice.choice(list(self.tokens))
            if self.dice.random() < 0.5:
                self.disturb(environment, self.dice)
            self.act(environment)

    def act(self, environment: str) -> None:
        """Do one thing in an environment."""
        own = [one for one in self.records if one.environment == environment and one.fate is not Fate.NONE]
        living = [one for one in own if one.fate in {Fate.EXISTS, Fate.UNKNOWN} and one.pending is None]
        if not living or (len(living) < MOST_VMS and self.dice.random() < 0.4):
            self.create(environment)
            return
        record = self.dice.choice(living)
        verb = self.dice.choice(["start", "stop", "restart", "get", "list", "delete", "delete"])
        if verb == "list":
            self.list(environment)
        else:
            self.change(record, verb)

    def create(self, environment: str) -> None:
        """Ask for a VM; with a key also again, as long as the answer says that this can help."""
        name = f"s{self.number}-{len(self.records)}"
        record = Record(environment, name, f"key-{name}" if self.dice.random() < 0.6 else None)
        self.records.append(record)
        for _ in range(TRIES_WITH_A_KEY if record.key else 1):
            problem = self.try_create(record)
            if not problem.get("retryable"):
                return

    def try_create(self, record: Record) -> dict[str, Any]:
        """Send one create and return its problem, empty for none."""
        body = {
            "name": record.name,
            "environment": record.environment,
            "machinetype": record.environment,
            "cloud_init": "I2Nsb3VkLWNvbmZpZwo=",
        }
        headers = {"Prefer": self.dice.choice(CREATE_PREFERENCES)}
        if record.key:
            headers["Idempotency-Key"] = record.key
        answer = self.call(record.environment, "POST", "/vm", body=body, headers=headers)
        return self.take(record, "create", answer)

    def change(self, record: Record, verb: str) -> dict[str, Any]:
        """Get, start, stop, restart or delete a VM and return the problem, empty for none."""
        path, query = f"/vm/{record.vm_id}", {"environment": record.environment}
        method = {"get": "GET", "delete": "DELETE"}.get(verb, "POST")
        if method == "POST":
            path += f"/{verb}"
        if verb in {"stop", "restart"}:
            query |= self.dice.choice([{"mode": "force"}, {"mode": "auto", "timeout": "1"}])
        headers = {} if verb == "get" else {"Prefer": self.dice.choice(CHANGE_PREFERENCES)}
        answer = self.call(record.environment, method, path, query=query, headers=headers)
        return self.take(record, verb, answer)

    def list(self, environment: str) -> None:
        """List VMs, among which those must be that were told as created."""
        answer = self.call(environment, "GET", "/vm", query={"environment": environment})
        if answer.status != 200:
            return
        shown = {vm["id"] for vm in answer.body}
        for record in self.records:
            expected = record.environment == environment and record.fate is Fate.EXISTS and not record.pending
            if expected and record.vm_id not in shown:
                self.fail(f"lost from the list: {record}")

    def take(self, record: Record, verb: str, answer: Answer) -> dict[str, Any]:
        """Record what an answer tells, follow its operation, and return its problem, empty for none."""
        record.answers.append(f"{verb} {answer}")
        if answer.status == 404 and answer.body["code"] == "vm_not_found":
            if record.fate is Fate.EXISTS:
                self.fail(f"lost: {record}")
            record.fate = Fate.GONE
        if answer.status >= 400:
            record.failed(verb, answer.body)
        if answer.operation:
            record.pending = (verb, answer.operation)
            return self.follow(record, FOLLOW_SECONDS)
        if answer.status < 400:
            record.done(verb, answer.body)
            return {}
        problem: dict[str, Any] = answer.body
        return problem

    def fail(self, violation: str) -> None:
        """Keep a violation, once."""
        if violation not in self.violations:
            self.violations.append(violation)

    def follow(self, record: Record, seconds: float) -> dict[str, Any]:
        """Follow the pending operation to its end, and return its problem, empty for none or if it goes on."""
        until = time.monotonic() + seconds
        while record.pending and time.monotonic() < until:
            verb, path = record.pending
            answer = self.call(record.environment, "GET", path)
            if answer.status == 200 and answer.body["done"]:
                record.pending = None
                return self.take_end(record, verb, answer.body)
            time.sleep(0.1)
        return {}

    def take_end(self, record: Record, verb: str, operation: dict[str, Any]) -> dict[str, Any]:
        """Record how an operation ended."""
        problem: dict[str, Any] = operation["error"] or {}
        if problem:
            record.answers.append(f"{verb} ended: {Answer(problem['status'], None, problem)}")
            record.failed(verb, problem)
        else:
            record.answers.append(f"{verb} done")
            record.done(verb, operation["vm"])
        return problem

    def call(
        self,
        environment: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request over a connection of its own."""
        self.requests += 1
        sent = {
            "Authorization": self.tokens[environment],
            **{key: text for key, text in (headers or {}).items() if text},
        }
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            url = path + (f"?{urlencode(query)}" if query else "")
            connection.request(method, url, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status == 500:
            self.fail(f"internal error: {method} {path}")
        return Answer(response.status, response.headers["Location"], json.loads(content) if content else None)
