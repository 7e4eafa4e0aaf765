"""Passwords of administrators: taken where cloud and system ask for one, and told nowhere."""

import hashlib
import json
from pathlib import Path

import orjson
import pytest

from tests.support.api import Answer, Api
from tests.vms.conftest import ENVIRONMENTS, MACHINE_TYPES
from vms.creation import spec_from
from vms.registries import load_registries
from vms.serializers import VMCreate

GOOD = {"name": "a", "environment": "aws-one", "machinetype": "small-debian"}
AZURE = {
    "name": "azure-win",
    "cloud": "Azure",
    "url": "https://127.0.0.1:9",
    "region": "westeurope",
    "project": "group-1",
    "vpc_id": "11111111-1111-1111-1111-111111111111/22222222-2222-2222-2222-222222222222",
    "network_id": "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/group-1/providers/"
    "Microsoft.Network/virtualNetworks/net/subnets/first",
}
IMAGE = "MicrosoftWindowsServer/WindowsServer/2022-datacenter/latest"
MACHINE = {"os": {"os_type": "Windows"}, "clouds": {"Azure": {"instance_type": "Standard_B2s", "image": IMAGE}}}
WINDOWS: dict[str, object] = {"name": "a", "environment": "azure-win", "machinetype": "windows"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The usual two files, and Windows on Azure."""
    folder = tmp_path_factory.mktemp("passwords")
    environments, machinetypes = folder / "environments.json", folder / "machinetypes.json"
    environments.write_text(json.dumps([*ENVIRONMENTS, AZURE]))
    machinetypes.write_text(json.dumps({**MACHINE_TYPES, "windows": MACHINE}))
    return environments, machinetypes


def post(api: Api, body: dict[str, object]) -> Answer:
    """A create."""
    return api.call("POST", "/vm", body)


def fields(answer: Answer) -> list[str]:
    """The fields at fault."""
    assert answer.code == "invalid_request", answer.body
    return [error["field"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    "change",
    [{}, {"environment": "azure-one", "machinetype": "tiny"}, {"environment": "esxi-one"}],
    ids=["linux-on-aws", "linux-on-azure", "linux-on-esxi"],
)
def test_create_with_a_password_where_none_is_taken_names_the_field(api: Api, change: dict[str, str]) -> None:
    """Other clouds, and other systems on the same cloud; the password is not quoted."""
    answer = post(api, {**GOOD, **change, "admin_password": "canary-P4ssw0rd"})
    assert answer.code == "invalid_request"
    assert fields(answer) == ["admin_password"]
    assert "canary" not in answer.body.decode()
    assert answer.calls == 0


@pytest.mark.parametrize("password", [None, 7, ["x"], "", "short", "onlysmallletters"])
def test_create_with_windows_on_azure_demands_a_password_that_azure_takes(api: Api, password: object) -> None:
    """Missing, no text, too short, too simple: before any call."""
    answer = post(api, {**WINDOWS, "admin_password": password})
    assert answer.code == "invalid_request", answer.body
    assert fields(answer) == ["admin_password"]
    assert answer.calls == 0


def test_create_with_windows_on_azure_without_a_password_names_the_field(api: Api) -> None:
    """The same for a body that has no such member."""
    assert fields(post(api, WINDOWS)) == ["admin_password"]


def test_spec_from_bodies_with_other_passwords_differs_without_telling_them(files: tuple[Path, Path]) -> None:
    """The digest is shown to others by the cloud: it takes more than a hash of the body to find the password."""
    registries = load_registries(*files)
    environment, machine_type = registries.environments["azure-win"], registries.machine_types["windows"]

    def digest(password: str | None, key: str = "key") -> str:
        serializer = VMCreate(data={**WINDOWS, "admin_password": password})
        assert serializer.is_valid()
        idempotency = spec_from(serializer.validated_data, environment, machine_type, key).idempotency
        assert idempotency
        return idempotency.digest

    assert digest("canary-P4ssw0rd") == digest("canary-P4ssw0rd")
    others = [digest("canary-P4ssw0rd"), digest("canary-P4ssw0re"), digest("canary-P4ssw0rd", "key-2"), digest(None)]
    assert len(set(others)) == len(others)
    content = {**WINDOWS, "admin_password": "canary-P4ssw0rd", "start": True, "tags": {}}
    content["cloud_init"] = hashlib.sha256(b"").hexdigest()
    assert hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest() not in others
