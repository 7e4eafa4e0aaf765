"""Secrets are taken out of texts by their value, at the few places where texts leave the process."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections.abc import Iterable, Iterator

MASK = "***"

# A shorter value would mask harmless words all over a text and could be guessed from them.
SHORTEST_SECRET = 4


class Redactor:
    """Masks the secrets that it was given, in the forms in which backends and libraries echo them."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def add(self, *secrets: str) -> None:
        """From now on, mask these values too."""
        self.add_plain(form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in _forms(secret))

    def add_plain(self, texts: Iterable[str]) -> None:
        """From now on, mask these texts too, as they stand."""
        self._forms.update(text for text in texts if text)

    def __call__(self, text: str) -> str:
        """The text with every known secret masked, also where two of them overlap."""
        spans = sorted(span for form in self._forms if form in text for span in _spans(form, text))
        masked, end = "", 0
        for begin, stop in spans:
            if begin >= end:
                masked += text[end:begin] + MASK
            end = max(end, stop)
        return masked + text[end:] if spans else text


def _spans(form: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a form stands in a text, from and to."""
    begin = text.find(form)
    while begin >= 0:
        yield begin, begin + len(form)
        begin = text.find(form, begin + 1)


def _forms(secret: str) -> Iterable[str]:
    raw = secret.encode()
    encoded = base64.b64encode(raw).decode()
    yield secret
    yield repr(secret)[1:-1]
    yield repr(raw)[2:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield html.escape(secret)
    yield encoded
    yield encoded.rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode()
    yield urllib.parse.quote(secret)
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
