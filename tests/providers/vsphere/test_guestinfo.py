"""cloud-init as a guest on vSphere finds it."""

import base64
import gzip
import json
import random

import pytest

from providers.errors import InvalidRequestError
from providers.vsphere import guestinfo


def decoded(text: str) -> bytes:
    """What cloud-init reads."""
    return gzip.decompress(base64.b64decode(text))


def test_variables_hold_what_was_sent_byte_for_byte() -> None:
    """User data and metadata, each with its encoding."""
    data = "#cloud-config\r\nmotd: Grüße\n".encode() + b"\x00\xff"
    found = guestinfo.variables("id-1", "web1", data)
    assert decoded(found["guestinfo.userdata"]) == data
    assert json.loads(decoded(found["guestinfo.metadata"])) == {"instance-id": "id-1", "local-hostname": "web1"}
    assert {found[f"guestinfo.{name}.encoding"] for name in ("userdata", "metadata")} == {"gzip+base64"}


@pytest.mark.parametrize("nothing", [None, b""])
def test_variables_without_user_data_still_tell_who_the_guest_is(nothing: bytes | None) -> None:
    """A copy of a template must know that it is another machine."""
    assert set(guestinfo.variables("id-1", "web1", nothing)) == {"guestinfo.metadata", "guestinfo.metadata.encoding"}


def test_encoded_twice_is_the_same() -> None:
    """No time of day within: a retry asks for the same VM."""
    assert guestinfo.encoded(b"x" * 99) == guestinfo.encoded(b"x" * 99)


def test_check_counts_encoded_bytes() -> None:
    """What compresses well may be large; what does not may have 47 KiB or so."""
    noise = random.Random(1).randbytes(64 * 1024)  # noqa: S311 # no secret
    guestinfo.check(b"x" * 512 * 1024)
    guestinfo.check(noise[: 47 * 1024])
    guestinfo.check(None)
    with pytest.raises(InvalidRequestError, match="65,536") as raised:
        guestinfo.check(noise)
    assert [fault.field for fault in raised.value.fields] == ["cloud_init"]
