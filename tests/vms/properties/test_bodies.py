"""Bodies of a create: whatever is sent, the answer is a problem document, and no cloud is asked."""

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.api import Answer, Api
from tests.support.properties import PROPERTY, hostile_texts, json_values, secrets, spellings, spoiled, texts
from vms.serializers import DNS_LABEL

# Azure refuses this machine type after the whole request was read and before any call.
GOOD: dict[str, Any] = {"name": "web-1", "environment": "azure-one", "machinetype": "tiny"}
FIELDS = ["name", "environment", "machinetype", "cloud_init", "admin_password", "tags", "start"]

labels = st.from_regex(DNS_LABEL, fullmatch=True)
tag_maps = st.dictionaries(texts | hostile_texts, texts | spoiled(texts), max_size=4)


def refused(api: Api, body: object) -> Answer:
    """A create that reaches no cloud. `Api` checks the form of the answer, and that it is no 500."""
    answer = api.call("POST", "/vm", body)
    assert 400 <= answer.status < 500
    assert answer.calls == 0
    return answer


@PROPERTY
@given(body=st.binary(max_size=200))
def test_create_with_any_bytes_is_an_invalid_request(api: Api, body: bytes) -> None:
    """Most are no JSON, the others no create."""
    assert refused(api, body).code == "invalid_request"


@PROPERTY
@given(body=json_values(), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"]))
def test_create_with_any_json_is_an_invalid_request(api: Api, body: object, encoding: str) -> None:
    """In UTF-8 and in other encodings."""
    assert refused(api, json.dumps(body).encode(encoding)).code == "invalid_request"


@PROPERTY
@given(changes=st.dictionaries(st.sampled_from(FIELDS), json_values(4) | texts, min_size=1, max_size=3))
def test_create_with_any_values_of_known_fields_is_refused(api: Api, changes: dict[str, object]) -> None:
    """Each field is validated before another one is used."""
    refused(api, {**GOOD, **changes})


@PROPERTY
@given(name=labels | spoiled(labels) | texts)
def test_create_validates_a_name_as_rfc_1123_does(api: Api, name: str) -> None:
    """Letters, digits and dashes of ASCII, 1 to 63, no dash at either end."""
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
    valid = 1 <= len(name) <= 63 and set(name) <= letters and "-" not in {name[0], name[-1]}
    answer = refused(api, {**GOOD, "name": name})
    assert (answer.code == "unprocessable") is valid
    assert valid or [error["field"] for error in answer.json["errors"]] == ["name"]


@PROPERTY
@given(tags=tag_maps)
def test_create_validates_tags_by_their_lengths_and_characters(api: Api, tags: dict[str, str]) -> None:
    """Keys have 1 to 128 characters, values up to 256, and none is a control character."""
    valid = all(
        1 <= len(key) <= 128
        and len(value) <= 256
        and not any(ord(character) < 32 or ord(character) == 127 for character in key + value)
        for key, value in tags.items()
    )
    assert (refused(api, {**GOOD, "tags": tags}).code == "unprocessable") is valid


@PROPERTY
@given(text=texts, secret=secrets(), field=st.sampled_from([*FIELDS, "other"]))
def test_create_tells_no_secret_that_stands_anywhere_in_its_body(api: Api, text: str, secret: str, field: str) -> None:
    """The caller's secret by mistake in a field, as its value, as its key, or within other text."""
    caller = api.as_caller("demo@sandbox", secret)
    for value in (secret, f"{text}{secret}{text}", {secret: secret}, [secret]):
        answer = refused(caller, {**GOOD, field: value, secret: 1})
        told = answer.body.decode() + str(answer.headers)
        assert not [spelling for spelling in spellings(secret) if spelling in told]


@PROPERTY
@given(data=st.binary(min_size=8, max_size=200))
def test_create_tells_nothing_of_its_cloud_init(api: Api, data: bytes) -> None:
    """In base64, and decoded."""
    encoded = base64.b64encode(b"canary-" + data).decode()
    answer = refused(api, {**GOOD, "cloud_init": encoded, "name": "-", "other": encoded})
    assert encoded not in answer.body.decode()
    assert b"canary-" not in answer.body
