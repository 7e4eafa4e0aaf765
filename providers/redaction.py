"""Secrets are taken out of texts by their value, at the few places where texts leave the process."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable

MASK = "***"

# A shorter value would mask harmless words all over a text and could be guessed from them.
SHORTEST_SECRET = 4


class Redactor:
    """Masks the secrets that it was given, in the forms in which backends and libraries echo them."""

    def __init__(self) -> None:
        self._forms: list[str] = []

    def add(self, *secrets: str) -> None:
        """From now on, mask these values too."""
        self.add_plain(form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in _forms(secret))

    def add_plain(self, texts: Iterable[str]) -> None:
        """From now on, mask these texts too, as they stand."""
        # Longest first: a secret that contains another one must be masked whole.
        self._forms = sorted({*self._forms, *texts}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text with every known secret masked."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text


def _forms(secret: str) -> Iterable[str]:
    raw = secret.encode()
    encoded = base64.b64encode(raw).decode()
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield encoded
    yield encoded.rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode()
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
