"""A browser without a window: keeps cookies, fills in forms as they stand on the page, and says where it comes from."""

import html
import re
from dataclasses import dataclass, field
from http.cookies import Morsel
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from tests.support import application

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True)
class Shown:
    """What a browser got."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def leads_to(self) -> str:
        """Where it is led next."""
        assert self.status == 303, self.text
        return self.headers["Location"]

    def hidden(self) -> dict[str, str]:
        """The hidden fields of the page."""
        return {name: html.unescape(value) for name, value in HIDDEN.findall(self.text)}


@dataclass
class Browser:
    """One browser, by default at an https address; Django's checks of CSRF are on."""

    secure: bool = True
    host: str = "testserver"
    client: Client = field(default_factory=lambda: application.client(enforce_csrf_checks=True))
    headers: dict[str, str] = field(default_factory=lambda: {"Accept": ACCEPT, "Sec-Fetch-Site": "same-origin"})

    @property
    def origin(self) -> str:
        """The origin of the server's pages."""
        return f"{'https' if self.secure else 'http'}://{self.host}"

    def go(self, path: str, **headers: str) -> Shown:
        """Open a page."""
        return self._shown(self.client.get(path, secure=self.secure, headers=self._headers(headers)))

    def send(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Shown:
        """Send a form, with the CSRF token that the pages have, as a page of ours would."""
        content = {"csrfmiddlewaretoken": self.token(), **(fields or {})}
        return self.post(path, content, **{"Origin": self.origin, **headers})

    def post(self, path: str, content: dict[str, str], **headers: str) -> Shown:
        """Send a form as it is."""
        response = self.client.post(
            path,
            urlencode(content),
            content_type="application/x-www-form-urlencoded",
            secure=self.secure,
            headers=self._headers(headers),
        )
        return self._shown(response)

    def token(self) -> str:
        """The CSRF token of the sign-in page."""
        return self.go("/signin").hidden()["csrfmiddlewaretoken"]

    def sign_in(self, environment: str, access_key: str, secret: str, **more: str) -> Shown:
        """Sign in by the form."""
        return self.send("/signin", {"environment": environment, "access_key": access_key, "secret": secret, **more})

    def cookies(self) -> dict[str, Morsel[Any]]:
        """What it keeps of credentials."""
        return {name: morsel for name, morsel in self.client.cookies.items() if "cloudvm-in-" in name and morsel.value}

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        named = {**self.headers, "Host": self.host, **{name.replace("_", "-"): value for name, value in more.items()}}
        return {name: value for name, value in named.items() if value}

    def _shown(self, response: Any) -> Shown:
        return Shown(response.status_code, dict(response.headers), response.content.decode())
