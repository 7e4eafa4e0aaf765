"""cloud-init as callers send it."""

import base64

import pytest

from providers.cloudinit import CloudInitError, decode

DATA = b"#cloud-config\n\x00\xff binary, too\n" * 5


@pytest.mark.parametrize("separator", ["", "\n", "\r\n", " ", "\t"])
def test_decode_takes_line_breaks_and_blanks(separator: str) -> None:
    """As `base64` wraps its lines."""
    text = base64.b64encode(DATA).decode()
    wrapped = separator.join(text[start : start + 76] for start in range(0, len(text), 76)) + separator
    assert decode(wrapped, 1024) == DATA


@pytest.mark.parametrize("text", ["%%%", "canary", "Y2FuYXJ5*", "é", "=", "====", "Y2Fu-_==", "\ud800"])
def test_decode_of_what_is_not_base64_does_not_quote_it(text: str) -> None:
    """Not in the message, and not in a cause that a log would show."""
    with pytest.raises(CloudInitError) as caught:
        decode(text, 1024)
    assert text not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_decode_measures_the_decoded_bytes() -> None:
    """Up to the limit, and not one more."""
    limit = len(DATA)
    assert decode(base64.b64encode(DATA).decode(), limit) == DATA
    with pytest.raises(CloudInitError, match=f"at most {limit - 1:,}"):
        decode(base64.b64encode(DATA).decode(), limit - 1)
