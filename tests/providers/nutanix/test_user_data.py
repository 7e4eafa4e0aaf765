"""User data reaches the guest byte for byte by each API, in the form that the API wants, or is refused before."""

from __future__ import annotations

import base64

import pytest

from providers.errors import InvalidRequestError
from providers.nutanix.recipe import check_user_data
from tests.providers.nutanix.prism import CREATE, Prism

SCRIPTS = {
    "accents": "#cloud-config\nmotd: Grüße, 世界 🐧\n".encode(),
    "carriage returns": b"#!/bin/sh\r\necho hello\r\n",
    "no end of line": b"#!/bin/sh\necho hello",
    "what looks like base64": base64.b64encode(b"#!/bin/sh\necho hello\n"),
    "a mark of byte order and a zero": b"\xef\xbb\xbf#cloud-config\n\x00\x01\t\x7f\n",
}
LIMITS = {"v2": 128_000, "v3": 96_000, "v4": 96_000}


@pytest.mark.parametrize("script", SCRIPTS)
def test_create_brings_user_data_to_the_guest_byte_for_byte(prism: Prism, script: str) -> None:
    """By text, or by base64."""
    vm_id = prism.create(cloud_init=SCRIPTS[script])
    assert prism.sandbox.user_data(vm_id) == SCRIPTS[script]


@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
def test_create_with_binary_user_data_works_by_base64(prism: Prism) -> None:
    """A compressed script is no text."""
    data = b"\x1f\x8b\x08\x00\xff\xfe\x00"
    assert prism.sandbox.user_data(prism.create(cloud_init=data)) == data


def test_create_with_binary_user_data_is_refused_by_v2(element: Prism) -> None:
    """v2.0 has no form for it: said before any call, and with nothing of it quoted."""
    with pytest.raises(InvalidRequestError, match="UTF-8") as caught:
        element.create(cloud_init=b"secret \xff\xfe")
    assert [fault.field for fault in caught.value.fields] == ["cloud_init"]
    assert "secret" not in caught.value.detail
    assert element.operations() == []


def test_create_with_binary_user_data_is_refused_by_a_v2_that_was_found(element: Prism) -> None:
    """Where the API has to be found out first: before anything is made."""
    with pytest.raises(InvalidRequestError, match="UTF-8"):
        element.create(element.gateway(options={}), cloud_init=b"\xff\xfe")
    assert CREATE["v2"] not in element.operations()


def test_create_with_user_data_at_the_limit_passes(prism: Prism) -> None:
    """128,000 bytes of text, or 128,000 characters of base64, which are 96,000 bytes."""
    data = b"#" * LIMITS[prism.api]
    assert prism.sandbox.user_data(prism.create(cloud_init=data)) == data


@pytest.mark.parametrize("prism", ["v3", "v4"], indirect=True)
def test_create_with_user_data_above_the_limit_is_refused(prism: Prism) -> None:
    """Before any call; what is too long for v2.0 is refused for all of Nutanix by the HTTP side."""
    with pytest.raises(InvalidRequestError, match="96,001 bytes") as caught:
        prism.create(cloud_init=b"#" * 96_001)
    assert [fault.field for fault in caught.value.fields] == ["cloud_init"]
    assert prism.operations() == []


@pytest.mark.parametrize("api", ["", "v2", "v3", "v4"])
def test_check_without_user_data_passes(api: str) -> None:
    """Nothing to refuse."""
    check_user_data(api, None)
