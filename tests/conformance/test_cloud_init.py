"""cloud-init reaches the guest byte for byte, or is refused before anything is made."""

import base64

import pytest

from tests.conformance.harness import Harness
from tests.support.api import Api
from vms.service import current_service

SCRIPTS = {
    "config": b"#cloud-config\nusers:\n- name: dev\n  sudo: ALL=(ALL) NOPASSWD:ALL\n",
    "accents": "#cloud-config\nmotd: Grüße, 世界\n".encode(),
    "carriage returns": b"#!/bin/sh\r\necho hello\r\n",
    "no end of line": b"#!/bin/sh\necho hello",
    "quotes and ampersands": b"#!/bin/sh\necho \"<a href='x'>&amp;</a>\" $HOME `id` %s {{ x }} \\n\n",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_create_with_cloud_init_brings_it_to_the_guest(api: Api, backend: Harness, script: str) -> None:
    """What was sent is what the guest finds."""
    answer = api.create(cloud_init=base64.b64encode(SCRIPTS[script]).decode())
    assert answer.status == 201, answer.body
    assert backend.user_data(answer.json["id"]) == SCRIPTS[script]


def test_create_with_wrapped_cloud_init_brings_it_to_the_guest(api: Api, backend: Harness) -> None:
    """`base64` without `-w 0` breaks its lines."""
    data = b"#cloud-config\n" + b"# a long comment\n" * 50
    answer = api.create(cloud_init=base64.encodebytes(data).decode())
    assert backend.user_data(answer.json["id"]) == data


@pytest.mark.parametrize("cloud_init", [None, "", "  \n"])
def test_create_with_blank_cloud_init_has_none(api: Api, backend: Harness, cloud_init: str | None) -> None:
    """Nothing is nothing."""
    answer = api.create(cloud_init=cloud_init)
    assert answer.status == 201, answer.body
    assert backend.user_data(answer.json["id"]) is None


@pytest.mark.parametrize("cloud_init", ["#cloud-config", "YQ=", "YQ==YQ==", "é", "YWJj\x00", 7, ["YQ=="]])
def test_create_with_cloud_init_that_is_not_base64_is_refused(api: Api, backend: Harness, cloud_init: object) -> None:
    """Before any call, with the field named and the text not quoted."""
    answer = api.create(cloud_init=cloud_init)
    assert (answer.status, answer.code) == (400, "invalid_request"), answer.body
    assert [error["field"] for error in answer.json["errors"]] == ["cloud_init"]
    assert b"cloud-config" not in answer.body
    assert backend.operations() == []


def test_create_with_cloud_init_at_the_limit_passes_and_above_is_refused(api: Api, backend: Harness) -> None:
    """The cloud's limit is a limit on decoded bytes, checked before any call."""
    cloud = current_service().environment("main").cloud
    limit = backend.features.cloud_init_limit_bytes or cloud.cloud_init_limit_bytes
    data = (b"#!/bin/sh\n# " + b"x" * limit)[:limit]
    refused = api.create(cloud_init=base64.b64encode(data + b"x").decode())
    assert refused.code == "invalid_request", refused.body
    assert f"{limit:,}" in refused.json["detail"]
    assert backend.operations() == []
    passed = api.create(cloud_init=base64.b64encode(data).decode())
    assert passed.status == 201, passed.body
    assert backend.user_data(passed.json["id"]) == data
