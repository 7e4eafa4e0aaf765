"""The two files: every fault with its file and path, and what they may say."""

import json
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox.authority import Authority
from tests.vms.conftest import ENVIRONMENTS, MACHINE_TYPES
from vms.registries import Registries, RegistryError, load_registries

ORIGIN = Path(__file__).resolve().parents[2].parent / "shared" / "origin"

AWS: dict[str, Any] = {"name": "a", "cloud": "Aws", "region": "eu-west-3"}
OFFER = {"instance_type": "t3.micro", "image": "ami-1"}


def load(folder: Path, environments: object, machinetypes: object) -> Registries:
    """The registries of two files with this content; bytes are written as they are."""
    for name, content in (("e.json", environments), ("m.json", machinetypes)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return load_registries(folder / "e.json", folder / "m.json")


def faults(folder: Path, environments: object, machinetypes: object) -> list[str]:
    """The lines that two files are refused with, without their folder."""
    with pytest.raises(RegistryError) as caught:
        load(folder, environments, machinetypes)
    lines = str(caught.value).split("\n")
    assert lines == [str(fault) for fault in caught.value.faults]
    return [line.removeprefix(f"{folder}/") for line in lines]


def test_load_of_the_origins_own_files_takes_them_unchanged() -> None:
    """Users of the system that this one replaces bring theirs along."""
    if not ORIGIN.is_dir():
        pytest.skip("the origin's files are not beside the project")
    registries = load_registries(ORIGIN / "environments.json", ORIGIN / "machinetypes.json")
    assert [environment.cloud.name for environment in registries.environments.values()] == [
        "Aws", "Azure", "Nutanix", "Proxmox",
    ]  # fmt: skip
    assert registries.environments["azure-test1"].region == "westeurope"
    assert registries.machine_types["medium-debian"].offers["Proxmox"].memory_mib == 4096


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (1, "e.json: $[0]: must be an object, not a number"),
        (None, "e.json: $[0]: must be an object, not null"),
        ({"name": "a"}, "e.json: $[0]: key 'cloud' is missing"),
        ({"cloud": "Aws", "region": "r"}, "e.json: $[0]: key 'name' is missing"),
        ({"name": "a", "cloud": "Aws"}, "e.json: $[0]: key 'region' is missing or blank; Aws needs it"),
        ({**AWS, "region": " "}, "e.json: $[0]: key 'region' is missing or blank; Aws needs it"),
        ({**AWS, "cloud": "GCP"}, "e.json: $[0].cloud: 'GCP' is no cloud that this service knows; allowed: Aws, Azure"),
        ({**AWS, "cloud": 7}, "e.json: $[0].cloud: must be a text, not a number"),
        ({**AWS, "name": "-a"}, "e.json: $[0].name: must be 1 to 63 letters"),
        ({**AWS, "name": "a" * 64}, "e.json: $[0].name: must be 1 to 63 letters"),
        ({**AWS, "name": "a\n"}, "e.json: $[0].name: must not hold control characters"),
        ({**AWS, "name": "ä"}, "e.json: $[0].name: must be 1 to 63 letters"),
        ({**AWS, "name": "*"}, "e.json: $[0].name: must be 1 to 63 letters"),
        ({**AWS, "vcp_id": "x"}, "e.json: $[0]: unknown key 'vcp_id'; allowed: account_id, ca_file, cloud"),
        ({**AWS, "secret\nkey": "x"}, "e.json: $[0]: unknown key 'secret\\nkey'; allowed"),
        ({**AWS, "vpc_id": 5}, "e.json: $[0].vpc_id: must be a text, not a number"),
        ({**AWS, "tls_verify": "no"}, "e.json: $[0].tls_verify: must be true or false, not a text"),
        ({**AWS, "tls_verify": 0}, "e.json: $[0].tls_verify: must be true or false, not a number"),
        ({**AWS, "ca_file": "none.pem"}, "cannot be read: No such file or directory"),
        ({**AWS, "ca_file": "."}, "cannot be read: Is a directory"),
        ({**AWS, "ca_file": "e.json"}, "holds no certificate in PEM form"),
        ({**AWS, "ca_file": "cut.pem"}, "holds a certificate that is damaged or cut off"),
        ({**AWS, "ca_file": "~nobody-of-this-name/x"}, "begins with the home directory of nobody"),
        ({**AWS, "ca_file": "a\u0000b"}, "e.json: $[0].ca_file: must not hold control characters"),
        ({**AWS, "url": "ec2.example"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "url": "file:///etc/passwd"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "url": "https://"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "url": "https://host:99999"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "url": "https://host:0"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "url": "https://host:x"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "url": "https://[::1"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "url": "https://u:p@host"}, "e.json: $[0].url: must not hold a user"),
        ({**AWS, "url": "https://host?x=1"}, "e.json: $[0].url: must not hold a user, a password, a query"),
        ({**AWS, "url": "AzurePublicCloud"}, "e.json: $[0].url: must be an https:// (or http://) URL"),
        ({**AWS, "security_group_ids": "sg-0123456789"}, "$[0].security_group_ids: must be a list, not a text"),
        ({**AWS, "security_group_ids": ["x"]}, "e.json: $[0].security_group_ids[0]: must be ids of the security"),
        ({**AWS, "iso_storage": "x"}, "e.json: $[0]: unknown key 'iso_storage'"),
    ],
)
def test_load_of_a_wrong_environment_names_file_path_and_fault(tmp_path: Path, entry: object, line: str) -> None:
    """A line with the fault; one that follows from it may stand beside."""
    (tmp_path / "cut.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n")
    told = faults(tmp_path, [entry], {})
    assert any(line in each for each in told), told
    assert all(each.startswith("e.json: $[0]") for each in told)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (1, "m.json: $.x: must be an object, not a number"),
        ({"clouds": {}}, "m.json: $.x: key 'os' is missing"),
        ({"os": {}}, "m.json: $.x: key 'clouds' is missing"),
        ({"os": {"os_type": "BeOS"}, "clouds": {}}, "m.json: $.x.os.os_type: must be one of Linux, Windows"),
        ({"os": {"os_distribution": "D"}, "clouds": {}}, "m.json: $.x.os: key 'os_type' is missing"),
        ({"os": {"os_type": "Linux", "os_disk_size_gb": "20"}, "clouds": {}}, "$.x.os.os_disk_size_gb: must be"),
        ({"os": {"os_type": "Linux", "os_disk_size_gb": 0}, "clouds": {}}, "$.x.os.os_disk_size_gb: must be"),
        ({"os": {"os_type": "Linux", "os_disk_size_gb": True}, "clouds": {}}, "$.x.os.os_disk_size_gb: must be"),
        ({"os": {"os_type": "Linux", "disk": 1}, "clouds": {}}, "m.json: $.x.os: unknown key 'disk'; allowed"),
        ({"os": {"os_type": "Linux"}, "clouds": {"Gcp": OFFER}}, "m.json: $.x.clouds.Gcp: is no cloud"),
        ({"os": {"os_type": "Linux"}, "clouds": {"Aws": {"image": "x"}}}, "key 'instance_type' is missing or blank"),
        ({"os": {"os_type": "Linux"}, "clouds": {"Aws": {**OFFER, "cpus": 2}}}, "unknown key 'cpus'"),
        ({"os": {"os_type": "Linux"}, "clouds": {"Aws": {**OFFER, "image": ""}}}, "key 'image' is missing or blank"),
        ({"os": {"os_type": "Linux"}, "clouds": {"Esxi": OFFER, "vSphere": OFFER}}, "stands here twice"),
        ({"os": {"os_type": "Linux"}, "clouds": {"Proxmox": OFFER}}, "needs 'cpus' and 'memory_mib', or"),
        ({"os": {"os_type": "Linux"}, "clouds": {"Proxmox": {"image": "x", "cpus": 2, "memory_mib": 1.5}}},
         "m.json: $.x.clouds.Proxmox.memory_mib: must be a whole number"),
    ],
)  # fmt: skip
def test_load_of_a_wrong_machine_type_names_file_path_and_fault(tmp_path: Path, entry: object, line: str) -> None:
    """A line with the fault; one that follows from it may stand beside."""
    told = faults(tmp_path, [], {"x": entry})
    assert any(line in each for each in told), told
    assert all(each.startswith("m.json: $.x") for each in told)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "json: is not JSON: Expecting value at line 1 column 1"),
        (b"{", "json: is not JSON"),
        (b"[1,]", "json: is not JSON"),
        (b"\xff\xfe", "json: is not UTF-8 text"),
        (b"[" * 100_000, "json: is nested too deeply"),
        (b"9" * 5000, "json: has a number that is too long to be read"),
        (b'[{"a": {"b": 1, "b\\n": 2, "b": 3}}]', "json: key 'b' stands twice in one object"),
        (b"null", "$: must be "),
        (b"NaN", "$: must be "),
        (b'"text"', "$: must be "),
    ],
)
def test_load_of_a_file_that_cannot_be_used_says_why_in_a_line(tmp_path: Path, content: bytes, line: str) -> None:
    """The same for both files, and both at once."""
    told = faults(tmp_path, content, content)
    assert [each.partition(":")[0] for each in told] == ["e.json", "m.json"]
    assert all(line in each for each in told)


def test_load_of_files_that_are_not_there_says_so(tmp_path: Path) -> None:
    """As the operating system says it."""
    with pytest.raises(RegistryError) as caught:
        load_registries(tmp_path / "e", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/e: cannot be read: No such file or directory\n{tmp_path}: cannot be read: Is a directory"
    )


def test_load_of_many_faults_tells_all_in_the_files_order(tmp_path: Path) -> None:
    """A start shows everything that is to be corrected."""
    told = faults(
        tmp_path,
        [{**AWS, "name": 1, "foo": 1}, AWS, AWS],
        {"-x": {"os": {}, "clouds": {}}, "a\nb": {"os": {}, "clouds": {}, "c\nd": 1}},
    )
    assert [line.split(": ")[0:2] for line in told] == [
        ["e.json", "$[0]"],
        ["e.json", "$[0].name"],
        ["e.json", "$[0].name"],
        ["e.json", "$[2]"],
        ["m.json", '$["-x"]'],
        ["m.json", '$["a\\nb"]'],
        ["m.json", '$["a\\nb"]'],
    ]


def test_load_reads_what_the_contract_allows(tmp_path: Path) -> None:
    """Names of clouds in any case and all their words, prefixes of regions, relative CA files, a byte order mark."""
    Authority(tmp_path / "ca.pem")
    environments = [{**AWS, "cloud": "aWS", "ca_file": "ca.pem", "tls_verify": False}, *ENVIRONMENTS]
    registries = load(tmp_path, b"\xef\xbb\xbf" + json.dumps(environments).encode(), MACHINE_TYPES)
    assert registries.environments["a"].ca_file == str(tmp_path / "ca.pem")
    assert registries.environments["a"].tls_verify is False
    assert registries.environments["aws-one"].region == "eu-west-3"
    assert registries.environments["azure-one"].region == "westeurope"
    assert registries.environments["esxi-one"].cloud.name == "vSphere"
    offer = registries.machine_types["small-debian"].offers["vSphere"]
    assert (offer.cpus, offer.memory_mib) == (2, 4096)


def test_registries_are_read_only(tmp_path: Path) -> None:
    """Loaded once, immutable."""
    registries = load(tmp_path, ENVIRONMENTS, MACHINE_TYPES)
    with pytest.raises(TypeError):
        registries.environments["x"] = registries.environments["aws-one"]  # type: ignore[index] # that is the point
    with pytest.raises(AttributeError):
        registries.environments["aws-one"].url = "x"  # type: ignore[misc] # that is the point
    with pytest.raises(TypeError):
        registries.machine_types["tiny"].offers["x"] = registries.machine_types["tiny"].offers["Azure"]  # type: ignore[index] # that is the point
