"""Mask secrets in texts by their value."""

from __future__ import annotations

import base64
import html
import json
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

MASK = "***"

# A shorter value would mask harmless words all over a text and could be guessed from them.
SHORTEST_SECRET = 4
# No credential is longer. Longer texts, such as cloud-init, are masked in the common forms only.
LONGEST_CREDENTIAL = 8 * 1024
# As encoders escape it whose output may stand in a page.
_MARKUP_IN_JSON: Final = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "&<>"})
# A shorter cookie is no session's, but a load balancer's or a language.
SHORTEST_COOKIE = 16


class Redactor:
    """Masks the secrets that it was given, in the forms in which backends and libraries echo them.

    Threads of one request share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: set[str] = set()
        self._forms: frozenset[str] = frozenset()

    def add(self, *secrets: str) -> None:
        """Mask these values too from now on."""
        with self._lock:
            new = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET} - self._secrets
            self._secrets |= new
        if new:
            self.add_plain(form for secret in new for form in _forms(secret))

    def add_plain(self, texts: Iterable[str]) -> None:
        """Mask these texts too from now on, as they stand."""
        new = frozenset(text for text in texts if text)
        with self._lock:
            self._forms |= new

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


def header_secrets(headers: Mapping[str, str | bytes]) -> Iterator[str]:
    """Return the credentials in the headers of a request."""
    authorization, cookies = (_text(headers.get(name, "")) for name in ("Authorization", "Cookie"))
    yield authorization
    yield authorization.partition(" ")[2]
    # The signature of an AWS request is good for some minutes.
    yield authorization.rpartition("Signature=")[2]
    yield from cookie_secrets(pair.partition("=")[2] for pair in cookies.split("; "))


def cookie_secrets(values: Iterable[str]) -> Iterator[str]:
    """Return those of some cookies' values that may be a session's, as they are and decoded."""
    for value in values:
        if len(value) >= SHORTEST_COOKIE:
            yield value.strip('"')
            yield urllib.parse.unquote(value.strip('"'))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _forms(secret: str) -> Iterable[str]:
    """Return the forms that `.github/SECURITY.md` names."""
    raw = secret.encode()
    encoded = base64.b64encode(raw).decode()
    yield secret
    yield encoded
    yield encoded.rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode()
    is_credential = len(secret) <= LONGEST_CREDENTIAL
    if is_credential:
        yield raw.hex()
        yield raw.hex().upper()
    quoted = urllib.parse.quote(secret, safe="")
    if quoted == secret:
        # It has letters, digits and `-._~` only, which nothing below changes.
        return
    # Backends and libraries trim and fold blanks, and read a header's UTF-8 as Latin-1.
    folded = " ".join(secret.split())
    if len(folded) >= SHORTEST_SECRET:
        yield folded
    yield raw.decode("latin-1")
    yield repr(secret)[1:-1]
    # A text with both kinds of quotes has the single ones escaped.
    yield repr(f"{secret}\"'")[1:-4]
    yield repr(raw)[2:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield html.escape(secret)
    yield quoted
    yield urllib.parse.quote(secret)
    yield urllib.parse.quote_plus(secret)
    if is_credential:
        yield from _json_forms(secret)
        yield from _markup_forms(secret)
        yield from _percent_forms(secret)


def _json_forms(secret: str) -> Iterator[str]:
    """Return a secret in JSON as encoders of other languages escape it, and in JSON within JSON."""
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        for form in (escaped, escaped.replace("/", "\\/"), escaped.translate(_MARKUP_IN_JSON)):
            yield form
            yield form.replace("\\", "\\\\").replace('"', '\\"')


def _markup_forms(secret: str) -> Iterator[str]:
    """Return a secret in HTML and XML: all writers escape `&`, `<` and `>`, and quotes in several ways."""
    text = html.escape(secret, quote=False)
    yield text
    yield text.replace('"', "&quot;")
    for double in ("&quot;", "&#34;"):
        for single in ("&#x27;", "&#39;", "&apos;"):
            yield text.replace('"', double).replace("'", single)


def _percent_forms(secret: str) -> Iterator[str]:
    """Return a secret in URLs and forms, with small hexadecimal digits, and encoded twice."""
    for form in (urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)):
        first, *others = form.split("%")
        small = "%".join([first, *(other[:2].lower() + other[2:] for other in others)])
        yield from (small, form.replace("%", "%25"), small.replace("%", "%25"))
