"""Azure through the whole service: what a caller of the HTTP API sees, and what reaches Azure."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from providers.network import Network
from providers.redaction import MASK
from providers.sandbox import azure
from providers.sandbox.authority import Authority
from providers.sandbox.azure import AzureSandbox
from providers.sandbox.faults import Fault
from tests.conformance.test_secrets import assert_hidden
from tests.providers.azure.recorder import Record
from tests.providers.azure.simulated import CREATE, GROUP, objects, operations
from tests.support.api import Answer, Api, bearer
from tests.support.log_lines import Lines
from vms.service import current_service

PASSWORD = "canary-P4ssw0rd"
CLOUD_INIT = "#cloud-config\npassword: canary-cloud-init\n"
ENCODED = base64.b64encode(CLOUD_INIT.encode()).decode()
STRANGER = "99999999-9999-9999-9999-999999999999"
NETWORKS = f"{GROUP}/providers/Microsoft.Network/virtualNetworks"
# What somebody has typed wrongly, and the code and a word of the answer to a list, a get and a create.
MISTYPED: dict[str, tuple[dict[str, str], tuple[str, str, str], str]] = {
    "tenant": (
        {"vpc_id": f"{STRANGER}/{azure.SUBSCRIPTION}"},
        ("credentials_rejected",) * 3,
        "AADSTS90002",
    ),
    "subscription": (
        {"vpc_id": f"{azure.TENANT}/{STRANGER}"},
        ("unprocessable",) * 3,
        "SubscriptionNotFound",
    ),
    "group": ({"project": "oj-tset"}, ("unprocessable",) * 3, "ResourceGroupNotFound"),
    "network": ({"network_id": f"{NETWORKS}/no-net/subnets/first-subnet"}, ("", "vm_not_found", "unprocessable"), ""),
    "subnet": ({"network_id": f"{NETWORKS}/azure-vnet/subnets/x"}, ("", "vm_not_found", "unprocessable"), ""),
    "no network": ({"network_id": ""}, ("", "vm_not_found", "unprocessable"), "network_id"),
    "region": ({"region": "westeurpoe"}, ("", "vm_not_found", "unprocessable"), ""),
}
IMAGES = {
    "no such image": "Debian/debian-12/no-such-sku/latest",
    "no such image of ours": azure.CUSTOM_IMAGE_ID + "x",
    "not an image": "debian-12",
}


@pytest.fixture
def api(
    sandbox: AzureSandbox, authority: Authority, record: Record, settings: Settings, tmp_path: Path
) -> Iterator[Api]:
    """The service, with environments and machine types for all cases."""
    main: dict[str, Any] = {
        "cloud": "Azure", "url": record.url, "ca_file": str(authority.ca_file), "region": azure.LOCATION,
        "vpc_id": f"{azure.TENANT}/{azure.SUBSCRIPTION}", "project": azure.RESOURCE_GROUP,
        "network_id": azure.SUBNET_ID,
    }  # fmt: skip
    wrong = [{**main, **changes, "name": name.replace(" ", "-")} for name, (changes, _, _) in MISTYPED.items()]
    kinds = {"small-debian": ("Linux", "Standard_B1s", azure.IMAGE)}
    kinds["windows"] = ("Windows", "Standard_B2s", azure.WINDOWS_IMAGE)
    kinds["no-such-size"] = ("Linux", "Standard_Nothing", azure.IMAGE)
    kinds |= {name.replace(" ", "-"): ("Linux", "Standard_B1s", image) for name, image in IMAGES.items()}
    types = {
        name: {"os": {"os_type": system}, "clouds": {"Azure": {"instance_type": size, "image": image}}}
        for name, (system, size, image) in kinds.items()
    }
    (tmp_path / "environments.json").write_text(json.dumps([{**main, "name": "main"}, *wrong]))
    (tmp_path / "machinetypes.json").write_text(json.dumps(types))
    settings.CLOUDVM_ENVIRONMENTS_FILE = tmp_path / "environments.json"
    settings.CLOUDVM_MACHINETYPES_FILE = tmp_path / "machinetypes.json"
    settings.CLOUDVM_NETWORK = Network(connect_timeout_seconds=2, read_timeout_seconds=10)
    yield Api("main", bearer(azure.CLIENT_ID, azure.SECRET))
    current_service().backends.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every line that is logged, by libraries, too, which the service's settings keep from talking."""
    handler = Lines()
    loggers = {name: logging.getLogger(name) for name in ("", "msal", "azure", "urllib3", "requests")}
    levels = {name: one.level for name, one in loggers.items()}
    for one in loggers.values():
        one.setLevel(logging.DEBUG)
    loggers[""].addHandler(handler)
    yield handler.lines
    loggers[""].removeHandler(handler)
    for name, one in loggers.items():
        one.setLevel(levels[name])


def windows(api: Api, password: object = PASSWORD, headers: dict[str, str] | None = None, **fields: object) -> Answer:
    """A create of a VM with Windows."""
    return api.create("win-1", machinetype="windows", admin_password=password, headers=headers, **fields)


@pytest.mark.parametrize("wrong", MISTYPED)
def test_verbs_in_a_mistyped_environment_say_what_is_wrong(sandbox: AzureSandbox, api: Api, wrong: str) -> None:
    """Azure's own code where Azure found out; nothing is made, and no group appears."""
    _, codes, word = MISTYPED[wrong]
    there = api.within(wrong.replace(" ", "-"))
    answers = (there.list(), there.get("nobody"), there.create())
    assert tuple(answer.code for answer in answers) == codes, [answer.body for answer in answers]
    assert all(word in answer.json["detail"] for answer in answers if answer.code == codes[2])
    assert objects(sandbox) == []


@pytest.mark.parametrize("kind", [*IMAGES, "no such size"])
def test_create_with_a_mistyped_machine_type_is_unprocessable(sandbox: AzureSandbox, api: Api, kind: str) -> None:
    """No `vm_not_found` for an image; what is no image at all is found out before any call."""
    answer = api.create(machinetype=kind.replace(" ", "-"))
    assert (answer.status, answer.code) == (422, "unprocessable"), answer.body
    assert answer.json.get("leftovers", []) == []
    assert objects(sandbox) == []
    word = {"not an image": "publisher/offer/sku/version", "no such image": "no-such-sku"}.get(kind, "")
    assert word in answer.json["detail"]
    assert (operations(sandbox) == []) is (kind == "not an image")


@pytest.mark.parametrize("name", ["ends-", "-begins", "under_score", "with.dot", "a" * 64, "ü", "a/b", "a%2fb", ""])
def test_create_with_a_name_that_azure_refuses_is_refused_before_any_call(
    sandbox: AzureSandbox, api: Api, name: str
) -> None:
    """With the field named."""
    answer = api.create(name)
    assert [error["field"] for error in answer.json["errors"]] == ["name"]
    assert answer.code == "invalid_request"
    assert operations(sandbox) == []


@pytest.mark.parametrize("name", ["12345", "a", "9a", "a" * 63, "a--b", "windows", "azure"])
def test_create_with_any_other_name_makes_a_vm_of_that_name(sandbox: AzureSandbox, api: Api, name: str) -> None:
    """Exactly as it was given; Azure's own reserved words are for Azure to refuse."""
    answer = api.create(name)
    assert answer.status == 201, answer.body
    assert (answer.json["id"], sandbox.vm(name).name, sandbox.vm(name).computer_name) == (name, name, name)


@pytest.mark.parametrize("name", ["12345", "a" * 16])
def test_create_of_windows_with_a_name_for_linux_only_is_refused(sandbox: AzureSandbox, api: Api, name: str) -> None:
    """Its own rule is narrower."""
    answer = api.create(name, machinetype="windows", admin_password=PASSWORD)
    assert [error["field"] for error in answer.json["errors"]] == ["name"]
    assert operations(sandbox) == []


@pytest.mark.parametrize(
    "tags",
    [
        {"a<b": "x"}, {"a%b": "x"}, {"a&b": "x"}, {"a\\b": "x"}, {"a?b": "x"}, {"a/b": "x"}, {"k" * 513: "x"},
        {"k": "x" * 257}, {"Team": "1", "team": "2"}, {"cloudvm:creation": "x"}, {"windows-x": "x"},
        {f"k{number}": "" for number in range(50)},
    ],
)  # fmt: skip
def test_create_with_tags_that_azure_refuses_is_refused_before_any_call(
    sandbox: AzureSandbox, api: Api, tags: dict[str, str]
) -> None:
    """With the field named."""
    answer = api.create(tags=tags)
    assert answer.code == "invalid_request", answer.body
    assert {error["field"].partition(".")[0] for error in answer.json["errors"]} == {"tags"}
    assert operations(sandbox) == []


def test_create_with_tags_at_the_limits_shows_them_and_none_of_ours(sandbox: AzureSandbox, api: Api) -> None:
    """In create, get and list."""
    tags = {"k" * 128: "v" * 256, "cost centre": "4711 / é <>%&", "empty": ""}
    answer = api.create(tags=tags)
    assert answer.status == 201, answer.body
    assert answer.json["tags"] == tags
    assert api.get("test1").json["tags"] == tags
    assert [one["tags"] for one in api.list().json] == [tags]
    assert set(sandbox.vm("test1").tags) > set(tags)


@pytest.mark.parametrize("size", [65_535, 65_536])
def test_create_with_cloud_init_at_the_limit(sandbox: AzureSandbox, api: Api, record: Record, size: int) -> None:
    """65,535 bytes reach the guest, one more is refused before any call."""
    data = b"#!/bin/sh\n".ljust(size, b"#")
    answer = api.create(cloud_init=base64.b64encode(data).decode())
    if size == 65_536:
        assert answer.code == "invalid_request", answer.body
        assert "65,535" in answer.json["detail"]
        assert record.exchanges == []
    else:
        assert answer.status == 201, answer.body
        assert sandbox.custom_data("test1") == data


def test_create_of_linux_switches_password_log_in_off(api: Api, record: Record) -> None:
    """In the body that Azure got: a key that nobody has, no password."""
    assert api.create().status == 201
    (put,) = record.sent("PUT")
    profile = put.body["properties"]["osProfile"]
    assert profile["linuxConfiguration"]["disablePasswordAuthentication"] is True
    assert len(profile["linuxConfiguration"]["ssh"]["publicKeys"]) == 1
    assert "adminPassword" not in profile
    assert put.headers["if-none-match"] == "*"


@pytest.mark.parametrize("password", [None, "", "short1!", "alllowercase", "P@ssw0rd"])
def test_create_of_windows_without_a_good_password_is_refused_before_any_call(
    api: Api, record: Record, password: str | None
) -> None:
    """The field is named, the password not quoted."""
    answer = windows(api, password)
    assert answer.code == "invalid_request", answer.body
    assert [error["field"] for error in answer.json["errors"]] == ["admin_password"]
    assert not password or password not in answer.body.decode()
    assert record.exchanges == []


def test_create_of_linux_with_a_password_is_refused_before_any_call(api: Api, record: Record) -> None:
    """It would not be set."""
    answer = api.create(admin_password=PASSWORD)
    assert [error["field"] for error in answer.json["errors"]] == ["admin_password"]
    assert PASSWORD not in answer.body.decode()
    assert record.exchanges == []


def test_password_of_windows_reaches_azure_once_and_nobody_else(
    sandbox: AzureSandbox, api: Api, record: Record, lines: list[str]
) -> None:
    """Not in answers, headers, operation tokens, tags or any line of the log, at DEBUG, whatever happens to the VM."""
    answers = [windows(api, headers={"Prefer": "respond-async", "Idempotency-Key": "key-1"}, cloud_init=ENCODED)]
    assert answers[0].status == 202, answers[0].body
    answers.append(api.follow(answers[0]))
    sandbox.finish_operations()
    answers += [api.follow(answers[0]), api.get("win-1"), api.list()]
    answers += [windows(api, headers={"Idempotency-Key": "key-1"}, cloud_init=ENCODED), windows(api)]
    assert [answer.status for answer in answers[2:]] == [200, 200, 200, 201, 409]
    answers += [windows(api, headers={"Idempotency-Key": "key-1"}, password=f"{PASSWORD}-2", cloud_init=ENCODED)]
    assert answers[-1].status == 422
    token = answers[0].headers["Location"].rpartition("/")[2]
    parts = [part + "=" * (-len(part) % 4) for part in token.replace(":", ".").split(".")]
    read = [base64.urlsafe_b64decode(part) for part in parts if part.replace("=", "").replace("-", "").isalnum()]
    assert not [part for part in read if PASSWORD.encode() in part]
    assert [one.body["properties"]["osProfile"]["adminPassword"] for one in record.sent("PUT")] == [PASSWORD]
    assert PASSWORD not in json.dumps(dict(sandbox.vm("win-1").tags))
    assert any("msal" in line for line in lines), "the libraries say nothing"
    assert_hidden(answers, lines, PASSWORD, "canary-cloud-init", ENCODED)


@pytest.mark.parametrize("later", [True, False])
def test_password_that_azure_quotes_in_its_refusal_is_masked(
    sandbox: AzureSandbox,
    api: Api,
    lines: list[str],
    later: bool,  # noqa: FBT001 - a case
) -> None:
    """At once, and in an operation that fails."""
    said = f"The password {PASSWORD} is not complex enough, nor is {ENCODED}."
    if later:
        sandbox.fail_next_operation(CREATE, "InvalidParameter", said)
    else:
        sandbox.faults.add(Fault(CREATE, status=400, code="InvalidParameter", message=said))
    answer = windows(api, cloud_init=ENCODED)
    assert answer.code == "unprocessable"
    assert f"The password {MASK} is" in answer.json["detail"]
    assert_hidden([answer], lines, PASSWORD, "canary-cloud-init", ENCODED)
    assert objects(sandbox) == []


def test_verbs_take_an_id_in_any_case_of_letters(sandbox: AzureSandbox, api: Api) -> None:
    """Every verb, in every form; what is shown is the VM's own spelling."""
    assert api.create("Web-1").json["id"] == "Web-1"
    assert api.get("WEB-1").json["id"] == "Web-1"
    query = {"environment": "main"}
    done = [
        api.verb("stop", "web-1"),
        api.call("GET", "/vm/wEB-1/start", query=query),
        api.verb("restart", "WEB-1", mode="graceful"),
        api.verb("restart", "weB-1", mode="force"),
        api.verb("stop", "WEB-1", mode="force"),
        api.verb("start", "WeB-1"),
        api.call("GET", "/vm/WEB-1/stop", query=query),
    ]
    assert [answer.status for answer in done] == [204] * 7, [answer.body for answer in done]
    shown = api.verb("start", "WEB-1", headers={"Prefer": "return=representation"})
    assert (shown.json["id"], shown.json["status"]) == ("Web-1", "running")
    going = api.verb("stop", "WEB-1", headers={"Prefer": "respond-async"})
    sandbox.finish_operations()
    assert api.follow(going).json["done"]
    assert api.create("web-1").code == "name_taken"
    assert api.delete("wEb-1").status == 204
    assert (api.get("Web-1").code, objects(sandbox)) == ("vm_not_found", [])


def test_wrong_secret_is_told_with_entras_code_after_one_request(
    sandbox: AzureSandbox, api: Api, record: Record
) -> None:
    """One to the token endpoint, none to Azure."""
    answer = api.as_caller(azure.CLIENT_ID, "wrong-secret").create()
    assert (answer.status, answer.code) == (401, "credentials_rejected")
    assert answer.json["backend"]["code"] == "AADSTS7000215"
    assert len(record.sent("POST")) == 1
    assert "VirtualMachines" not in " ".join(operations(sandbox))
