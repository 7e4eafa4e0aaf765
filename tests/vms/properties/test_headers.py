"""Headers: whatever they hold, the answer is no 500, and no secret comes back."""

from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from providers.credentials import Credentials
from providers.trace import Trace, tracing
from tests.support.api import Api
from tests.support.properties import PROPERTY, header_texts, secrets, spellings, texts, token_of
from vms.authentication import parse_header
from vms.creation import KEY
from vms.preferences import parse_prefer
from vms.problems import Problem

# Azure refuses this machine type after all headers were read and before any call.
CREATE = {"name": "web-1", "environment": "azure-one", "machinetype": "tiny"}
HEADERS = [
    "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Type", "Cookie", "Forwarded", "Host",
    "Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "Origin", "Prefer", "Purpose", "Range",
    "Referer", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Purpose", "Traceparent", "Tracestate", "X-CSRFToken",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-HTTP-Method-Override", "X-Request-ID",
    "X-Requested-With",
]  # fmt: skip
words = st.sampled_from([
    "application/json", "text/html", "*/*", ";q=0", ";q=1.1", "; indent=", "; charset=", "wait=", "respond-async",
    "return=representation", "handling=", "bytes=0-", "W/", '"', "\\", ",", ";", "=", "00-", "Bearer ", "Basic ",
])  # fmt: skip
values = header_texts | st.lists(words | header_texts, max_size=6).map("".join)


@PROPERTY
@given(headers=st.dictionaries(st.sampled_from(HEADERS), values, max_size=5))
@example(headers={"Content-Type": "application/json; charset=\xff"})
def test_create_with_any_headers_is_refused_before_any_call(api: Api, headers: dict[str, str]) -> None:
    """The machine type cannot be used, so no header makes a success of it."""
    answer = api.call("POST", "/vm", CREATE, headers=headers)
    assert 400 <= answer.status < 500
    assert answer.calls == 0


@PROPERTY
@given(
    headers=st.dictionaries(st.sampled_from([name for name in HEADERS if name != "Host"]), values, max_size=5),
    path=st.sampled_from(["/environment", "/machinetype/tiny", "/problems", "/livez"]),
)
def test_public_path_with_any_headers_is_answered(stranger: Api, headers: dict[str, str], path: str) -> None:
    """As JSON, whatever is accepted: nobody sends a browser's `Accept` here."""
    headers.pop("Accept", None)
    answer = stranger.call("GET", path, headers=headers)
    assert answer.status == 200
    assert answer.json is not None


@PROPERTY
@given(key=values)
def test_create_takes_a_key_of_visible_characters_only(api: Api, key: str) -> None:
    """1 to 255 of them."""
    valid = 1 <= len(key) <= 255 and all("!" <= character <= "~" for character in key)
    assert (KEY.fullmatch(key) is not None) is valid
    answer = api.call("POST", "/vm", CREATE, headers={"Idempotency-Key": key})
    assert answer.code == ("unprocessable" if valid else "invalid_request")


@PROPERTY
@given(secret=secrets(), text=texts, header=st.sampled_from(sorted({*HEADERS} - {"X-Request-ID"})))
def test_no_header_path_or_query_brings_the_secret_back(api: Api, secret: str, text: str, header: str) -> None:
    """Wherever the caller has put it by mistake."""
    headers = {header: (text + secret).encode().decode("latin-1").replace("\r", "").replace("\n", "").replace("\0", "")}
    headers["Authorization"] = token_of("demo@sandbox", secret)
    for url in (
        f"/vm/{quote(secret, safe='')}?environment=aws-one",
        f"/vm?environment={quote(secret)}",
        f"/vm?environment=aws-one&status={quote(secret)}",
        f"/vm?environment=aws-one&{quote(secret)}=1",
        f"/operation/{quote(secret, safe='')}",
        f"/nowhere/{quote(secret)}",
    ):
        answer = api.call("GET", url, headers=headers)
        assert answer.calls == 0
        told = answer.body.decode() + str(answer.headers)
        assert not [spelling for spelling in spellings(secret) if spelling in told], url


@PROPERTY
@given(header=header_texts | header_texts.map("Bearer ".__add__) | st.binary(max_size=60).map(bytes.hex))
def test_parse_header_takes_credentials_or_says_what_is_wrong(header: str) -> None:
    """No other error leaves it, and what it says quotes no token."""
    said = ""
    with tracing(Trace("test")):
        try:
            credentials = parse_header(header)
            assert credentials.access_key
            assert credentials.secret
        except Problem as problem:
            said = problem.detail
    token = header.partition(" ")[2].strip()
    assert len(token) < 12 or token not in said


@PROPERTY
@given(access_key=texts.filter(bool), secret=texts.filter(bool))
def test_parse_header_gives_back_what_a_token_was_made_of(access_key: str, secret: str) -> None:
    """The access key has no colon, and neither has a control character."""
    assume(":" not in access_key)
    assume(not any(ord(character) < 32 or ord(character) == 127 for character in access_key + secret))
    with tracing(Trace("test")):
        assert parse_header(token_of(access_key, f"{secret}\n")) == Credentials(access_key, secret)


@PROPERTY
@given(header=values)
@pytest.mark.parametrize("wait", [None, 5])
def test_parse_prefer_reads_any_header(header: str, wait: int | None) -> None:
    """What it does not understand changes nothing that stands before."""
    if wait is None:
        seconds = parse_prefer(header).wait_seconds
        assert seconds is None or 0 <= seconds <= 86_400
    else:
        assert parse_prefer(f"wait={wait}, {header}").wait_seconds == wait
