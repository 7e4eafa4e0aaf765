"""Secrets are masked by value."""

import base64
import html
import json
import re
import threading
import time
import urllib.parse
from xml.sax import saxutils

import pytest

from providers.redaction import MASK, Redactor, header_secrets

SECRETS = [
    "plain-secret",
    " two  blanks ",
    "it's",
    "sl/as+h==",
    "quo\"te'back\\slash",
    'ünïcödé"✓',
    "a&b<c>d",
    "tab\tnew\nline",
    "per%cent",
]


def redactor(*secrets: str) -> Redactor:
    """One that knows these."""
    made = Redactor()
    made.add(*secrets)
    return made


@pytest.mark.parametrize("secret", SECRETS)
def test_redact_masks_a_secret_in_every_form_in_which_it_is_echoed(secret: str) -> None:
    """As it stands, quoted for Python, JSON, URLs, HTML and XML, once or twice, in base64 and in hexadecimal."""
    raw = secret.encode()
    redact = redactor(secret)
    for form in (
        secret,
        repr(secret),
        repr(raw),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        base64.b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode(),
        html.escape(secret),
        " ".join(f" {secret} ".split()),
        raw.decode("latin-1"),
        repr(f"{secret}\"'").removesuffix("\"\\''"),
        raw.hex(),
        raw.hex().upper(),
        json.dumps(json.dumps(secret)),
        json.dumps(json.dumps(secret, ensure_ascii=False), ensure_ascii=False),
        json.dumps(secret).replace("/", r"\/"),
        json.dumps(secret).replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"),
        html.escape(secret, quote=False),
        saxutils.quoteattr(secret.replace("\n", " ").replace("\t", " ")),
        html.escape(secret).replace("&#x27;", "&apos;"),
        html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe=""),
        re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(secret, safe="")),
    ):
        masked = redact(f"before {form} after {form}")
        assert form.strip("'\"b=") not in masked, form
        assert masked.startswith("before ")
        assert MASK in masked


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        (("abcdef", "defghi"), "<abcdefghi>", f"<{MASK}>"),
        (("abcd", "abcdefgh"), "<abcdefgh> <abcd>", f"<{MASK}> <{MASK}>"),
        (("bcde", "abcdefgh"), "<abcdefgh>", f"<{MASK}>"),
        (("abab",), "<ababab>", f"<{MASK}>"),
        (("abcd",), "abcdabcd", MASK + MASK),
        (("****",), "a **** b", f"a {MASK} b"),
    ],
)
def test_redact_of_secrets_that_overlap_leaves_nothing_of_them(
    secrets: tuple[str, ...], text: str, masked: str
) -> None:
    """Whichever is found first."""
    assert redactor(*secrets)(text) == masked


@pytest.mark.parametrize("secret", ["", "a", "abc"])
def test_redact_of_a_short_secret_leaves_the_text(secret: str) -> None:
    """It would mask harmless words all over, and could be guessed from them."""
    assert redactor(secret)("abc abc") == "abc abc"


def test_redact_without_secrets_leaves_the_text() -> None:
    """The usual case costs nothing."""
    text = "GET /vm 200"
    assert redactor()(text) is text
    assert redactor("some-secret")(text) is text


def test_redact_while_another_thread_adds_secrets_masks_what_it_was_given() -> None:
    """The threads of a request share its redactor."""
    redact = redactor("first-secret")
    adding = threading.Thread(target=lambda: list(map(redact.add, (f"secret-{number}" for number in range(2000)))))
    adding.start()
    while adding.is_alive():
        assert redact("a first-secret") == f"a {MASK}"
    adding.join()
    assert redact("secret-0 secret-1999") == f"{MASK} {MASK}"


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ({"Authorization": "Bearer abc.def"}, {"Bearer abc.def", "abc.def"}),
        ({"Authorization": b"Basic YTpi"}, {"Basic YTpi", "YTpi"}),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=k/20261129, Signature=0a1b"}, {"0a1b"}),
        (
            {"Cookie": "PVEAuthCookie=PVE%3Aa%40pam%3A%3Axyz%3D%3D"},
            {"PVE%3Aa%40pam%3A%3Axyz%3D%3D", "PVE:a@pam::xyz=="},
        ),
        ({"Cookie": 'lang=english; vmware_soap_session="52ab-cdef-0123-4567"'}, {"52ab-cdef-0123-4567"}),
        ({"Cookie": "lang=english"}, set()),
        ({"Accept": "application/json"}, set()),
    ],
)
def test_header_secrets_are_what_proves_a_caller(headers: dict[str, str | bytes], secrets: set[str]) -> None:
    """Tokens with and without their scheme, the signature of an AWS request, each cookie as sent and decoded."""
    found = set(header_secrets(headers)) - {""}
    assert secrets <= found
    assert bool(found) is bool(secrets)


def test_redact_with_thousands_of_forms_is_quick() -> None:
    """Each line of a long cloud-init is masked; a log line must not cost seconds for it."""
    redact = Redactor()
    redact.add_plain(f"line number {number} of cloud-init" for number in range(20_000))
    begun = time.perf_counter()
    assert redact("nothing of that" * 20) == "nothing of that" * 20
    assert time.perf_counter() - begun < 5
