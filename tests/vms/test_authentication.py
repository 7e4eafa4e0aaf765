"""The Bearer token's form."""

import base64

import pytest

from providers.credentials import Credentials
from providers.errors import ErrorCode
from providers.redaction import MASK
from providers.trace import Trace, tracing
from tests.support.api import Api
from vms.authentication import LONGEST_HEADER, parse_header
from vms.problems import Problem


def header(text: str | bytes) -> str:
    """A header around the base64 of a text."""
    return "Bearer " + base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_parse_token_with_one_line_break_at_the_end_strips_it(end: str) -> None:
    """`echo` ends its text with one, on whatever system."""
    assert parse_header(header(f"key:secret{end}")) == Credentials("key", "secret")


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\n\r\n", "\r", "\r\r\n", "\n\r", "\t\n", "\x00"])
def test_parse_token_with_more_than_one_line_break_is_refused(end: str) -> None:
    """Nothing else is stripped, and what is left is no part of any secret."""
    with pytest.raises(Problem) as caught:
        parse_header(header(f"key:secret{end}"))
    assert caught.value.code is ErrorCode.CREDENTIALS_MALFORMED


@pytest.mark.parametrize(
    ("text", "key", "secret"),
    [
        ("key:a:b::c", "key", "a:b::c"),
        ("user@realm!id:uuid", "user@realm!id", "uuid"),
        ("key: secret ", "key", " secret "),
        (" key:secret", " key", "secret"),
        ("schlüssel:geheim✓", "schlüssel", "geheim✓"),
        ("k::", "k", ":"),
    ],
)
def test_parse_token_splits_at_the_first_colon(text: str, key: str, secret: str) -> None:
    """Secrets may hold colons, blanks and any letter."""
    assert parse_header(header(text)) == Credentials(key, secret)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
def test_parse_header_takes_the_scheme_in_any_case(scheme: str) -> None:
    """RFC 7235: schemes are compared without regard to case."""
    assert parse_header(f"{scheme} {base64.b64encode(b'k:secret').decode()}") == Credentials("k", "secret")


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer   "])
def test_parse_header_without_a_token_asks_for_the_variable(header: str) -> None:
    """What a shell makes of `Bearer $TOKEN` in a new window."""
    with pytest.raises(Problem, match=r"no token behind `Bearer`; a variable may be empty\.$"):
        parse_header(header)


def test_parse_token_without_secret_shown_hides_it_in_repr() -> None:
    """A secret in a repr would be in a log one day."""
    assert "hidden-value" not in repr(parse_header(header("key:hidden-value")))


REFUSED = {
    "empty": "",
    "scheme only": "Bearer",
    "scheme and blank": "Bearer ",
    "other scheme": "Basic " + base64.b64encode(b"key:secret").decode(),
    "no scheme": base64.b64encode(b"key:secret").decode(),
    "tab for a blank": "Bearer\t" + base64.b64encode(b"key:secret").decode(),
    "not base64": "Bearer !!!!",
    "no padding": "Bearer " + base64.b64encode(b"key:secrets").decode().rstrip("="),
    "blank within": "Bearer a2V5 OnNlY3JldA==",
    "letters beyond ASCII": "Bearer ключ",
    "url-safe alphabet": "Bearer " + base64.urlsafe_b64encode(b"key:\xc3\xbf\xc3\xbe\xc3\xbf").decode(),
    "not UTF-8": header(b"key:\xff\xfe"),
    "lone surrogate": header(b"key:\xed\xa0\x80"),
    "no colon": header("keysecret"),
    "empty key": header(":secret"),
    "empty secret": header("key:"),
    "empty secret and line break": header("key:\n"),
    "only a colon": header(":"),
    "line break within": header("key:sec\nret"),
    "NUL within": header("key:sec\x00ret"),
    "DEL within": header("key:sec\x7fret"),
    "sent twice": header("key:secret") + "," + header("key:secret"),
    "sent twice with a blank": header("key:secret") + ", " + header("key:secret"),
    "too long": header("key:" + "s" * LONGEST_HEADER),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_list_with_a_malformed_token_is_refused_without_quoting_it(api: Api, value: str) -> None:
    """401, the challenge, no call to any backend, and nothing of what was sent."""
    answer = api.call("GET", "/vm", query={"environment": "aws-one"}, headers={"Authorization": value})
    assert answer.code == "credentials_malformed"
    assert answer.calls == 0
    for part in value.replace(",", " ").split():
        if part.lower() not in {"bearer", "basic"}:
            assert part not in answer.body.decode() + repr(answer.headers)


def test_list_with_a_token_of_exactly_the_longest_header_is_taken(api: Api) -> None:
    """8 KiB are allowed; one byte more is not."""
    fill = (LONGEST_HEADER - len("Bearer ")) // 4 * 3
    longest = header("key:" + "s" * (fill - len("key:")))
    assert parse_header(longest).access_key == "key"
    with pytest.raises(Problem, match="longer than"):
        parse_header(longest + "A" * (LONGEST_HEADER + 1 - len(longest)))


def test_list_without_a_token_is_refused(stranger: Api) -> None:
    """Another code than for one that is malformed, and a hint at the form."""
    answer = stranger.list()
    assert answer.code == "credentials_missing"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/vm", "/vm/x", "/vm/x/start", "/vm/x/stop", "/vm/x/restart", "/operation/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_call_without_a_token_is_refused_before_anything_else(stranger: Api, method: str, path: str) -> None:
    """No fact about names, ids or methods for those who bring no token."""
    assert stranger.call(method, path).code == "credentials_missing"


@pytest.mark.parametrize("parameter", ["token", "access_token", "Authorization"])
def test_list_with_a_token_in_the_url_is_refused(stranger: Api, parameter: str) -> None:
    """URLs end up in logs and histories."""
    assert stranger.list(**{parameter: header("key:secret")}).code == "credentials_missing"


def test_parse_header_masks_what_it_saw_even_when_it_refuses() -> None:
    """The token, the secret and its parts are masked in whatever leaves us, malformed or not."""
    sent = header("key:part-one:part-two\x00")
    with tracing(Trace("test")) as trace:
        with pytest.raises(Problem):
            parse_header(sent)
        told = trace.redact(f"part-one {sent} part-two\x00")
    assert told == f"{MASK} Bearer {MASK} {MASK}"
