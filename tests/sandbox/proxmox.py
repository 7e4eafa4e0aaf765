"""A caller of the simulated Proxmox VE, by requests, as PVE's documentation of its API tells to call it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from providers.sandbox.proxmox import PASSWORD, TOKEN_ID, TOKEN_SECRET, USER


@dataclass
class Caller:
    """One session of one user."""

    url: str
    ca_file: str
    headers: dict[str, str] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def call(self, method: str, path: str, *, files: Any = None, **parameters: object) -> requests.Response:
        """One call; parameters with a dash are given with two underscores."""
        named: dict[str, Any] = {name.replace("__", "-"): value for name, value in parameters.items()}
        writes = method in {"POST", "PUT"}
        return self.session.request(
            method,
            f"{self.url}/api2/json{path}",
            headers=self.headers,
            verify=self.ca_file,
            timeout=10,
            files=files,
            data=named if writes else None,
            params=None if writes else named,
        )

    def data(self, method: str, path: str, **parameters: object) -> Any:
        """The data of an answer that is good."""
        response = self.call(method, path, **parameters)
        assert response.status_code == 200, (response.reason, response.text)
        return response.json()["data"]

    def done(self, method: str, path: str, **parameters: object) -> str:
        """How the task of a call ends."""
        upid = self.data(method, path, **parameters)
        node = upid.split(":")[1]
        until = time.monotonic() + 10
        while time.monotonic() < until:
            status = self.data("GET", f"/nodes/{node}/tasks/{upid}/status")
            if status["status"] == "stopped":
                return str(status["exitstatus"])
            time.sleep(0.01)
        raise AssertionError("the task did not end")

    def with_ticket(self, user: str = USER, password: str = PASSWORD) -> "Caller":
        """The same, logged in with a password."""
        ticket: Mapping[str, str] = self.data("POST", "/access/ticket", username=user, password=password)
        headers = {
            "Cookie": f"PVEAuthCookie={ticket['ticket']}",
            "CSRFPreventionToken": ticket["CSRFPreventionToken"],
        }
        return Caller(self.url, self.ca_file, headers)

    def with_token(self, token: str = TOKEN_ID, secret: str = TOKEN_SECRET) -> "Caller":
        """The same with an API token."""
        return Caller(self.url, self.ca_file, {"Authorization": f"PVEAPIToken={token}={secret}"})
