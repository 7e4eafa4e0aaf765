"""Credentials show their secret only to code that asks for it."""

import base64
import copy
import dataclasses
import json
import logging
import pickle
from dataclasses import replace

import pytest

from providers.credentials import Credentials, Secret, SecretBytes
from providers.domain import Offer, OperatingSystem, VMSpec
from providers.proxmox.access import Ticket
from vms.cookies import SignedIn

HIDDEN = "vK2mqX7w"
SPEC = VMSpec(
    "vm1",
    OperatingSystem("Windows"),
    Offer("small", "image"),
    cloud_init=HIDDEN.encode(),
    tags={},
    admin_password=Secret(HIDDEN),
)
HOLDERS = [
    Secret(HIDDEN),
    SecretBytes(HIDDEN.encode()),
    Credentials("key", HIDDEN),
    SignedIn("key", HIDDEN, "main", 1.0, 0.5),
    Ticket(Secret(HIDDEN), Secret(HIDDEN)),
    SPEC,
    replace(SPEC, start=False),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_no_general_way_to_show_an_object_shows_the_secret(holder: object) -> None:
    """`repr`, `str`, f-strings, both styles of format, a log record, and copies of all these."""
    record = logging.LogRecord("x", logging.INFO, "", 1, "%s %r", (holder, holder), None)
    for one in (holder, copy.copy(holder), copy.deepcopy(holder)):
        shown = [repr(one), str(one), f"{one} {one!r} {one!s} {one:}", "{}".format(one), "%s" % (one,)]  # noqa: UP031, UP032
        assert not [text for text in (*shown, record.getMessage()) if HIDDEN in text]
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(one)


@pytest.mark.parametrize("holder", HOLDERS[2:], ids=lambda holder: type(holder).__name__)
def test_fields_of_an_object_do_not_show_the_secret(holder: Credentials) -> None:
    """`vars` and `asdict`, and what is made of them."""
    for fields in (vars(holder), dataclasses.asdict(holder)):
        assert HIDDEN not in repr(fields) + json.dumps(fields, default=str)


def test_secret_bytes_are_used_as_bytes() -> None:
    """Drivers encode, decode and join them."""
    assert SPEC.cloud_init == HIDDEN.encode()
    assert SPEC.cloud_init is not None
    assert SPEC.cloud_init.decode() == f"{SPEC.cloud_init.decode():s}" == HIDDEN
    assert base64.b64encode(SPEC.cloud_init) == base64.b64encode(HIDDEN.encode())
    assert b"".join([b"<", SPEC.cloud_init, b">"]) == f"<{HIDDEN}>".encode()


def test_copies_of_credentials_are_good() -> None:
    """The secret is still in there."""
    credentials = SignedIn("key", HIDDEN, "main", 1.0, 0.5)
    for one in (copy.copy(credentials), copy.deepcopy(credentials)):
        assert one == credentials
        assert one.secret == HIDDEN


def test_credentials_are_equal_if_all_their_parts_are() -> None:
    """The secret is compared, too."""
    assert Credentials("key", HIDDEN) == Credentials("key", HIDDEN)
    assert len({Credentials("key", HIDDEN), Credentials("key", HIDDEN)}) == 1
    assert Credentials("key", HIDDEN) != Credentials("key", HIDDEN[:-1])
    assert Secret(HIDDEN) != HIDDEN


def test_fields_of_credentials_cannot_be_changed() -> None:
    """They are the key of a session."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Credentials("key", HIDDEN).access_key = "other"  # type: ignore[misc] # what is tested
