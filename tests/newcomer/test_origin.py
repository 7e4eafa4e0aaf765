"""Users of the Go service that this one replaces change a host name: their files and their curl lines work."""

import base64
import json
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.sandbox import aws, nutanix, proxmox
from providers.sandbox.authority import Authority
from tests.support.guests import read_user_data
from tests.support.proxy import connect_proxy
from tests.support.sandbox import ROOT, clean_environment, free_port, serving, shell

ORIGIN = Path(os.environ.get("CLOUDVM_ORIGIN", ROOT.parent / "shared/origin"))
EC2 = "ec2.eu-west-3.amazonaws.com"
PVE = "192.168.8.136"
PRISM = "nutanix.domain.local"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ORIGIN / "environments.json").exists(), reason="../shared/origin is not there"),
]


class OriginAuthority(Authority):
    """Vouches for the names in the Go service's files."""

    def server_context(self, *names: str) -> ssl.SSLContext:
        return super().server_context(EC2, PVE, PRISM, *names)


@dataclass(frozen=True)
class Replacement:
    """This service with the Go service's files; the hosts in them lead to the simulators."""

    port: int
    aws: aws.AwsSandbox
    pve: proxmox.ProxmoxSandbox
    prism: nutanix.NutanixSandbox

    def curl(self, heading: str, **replaced: str) -> str:
        """What the lines under a heading of the Go service's README print, with their placeholders filled in."""
        script: str
        (script,) = re.findall(rf"^### {heading}$.*?^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        script = script.replace("localhost:8080", f"127.0.0.1:{self.port}").replace("curl ", "curl -sS --noproxy '*' ")
        for placeholder, value in {"<Bearer token>": token(), "i-048501077e53646ed": "$VM", **replaced}.items():
            script = script.replace(placeholder, value)
        return script


README = (ORIGIN / "README.md").read_text() if (ORIGIN / "README.md").exists() else ""


def token() -> str:
    """Made as that README tells: with a line break within."""
    return shell(f"echo '{aws.ACCESS_KEY}:{aws.SECRET}' | base64 -w 0")


@pytest.fixture(scope="module")
def replacement(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replacement]:
    """The service, started with nothing but its customary variables set."""
    authority = OriginAuthority(tmp_path_factory.mktemp("origin") / "ca.pem")
    with (
        aws.AwsSandbox(authority, transition_seconds=0.05) as ec2,
        proxmox.ProxmoxSandbox(authority, task_seconds=0.05) as pve,
        nutanix.NutanixSandbox(authority, kind="element", task_seconds=0.05) as prism,
    ):
        routes = {f"{EC2}:443": ec2.url, f"{PVE}:8006": pve.url, f"{PRISM}:9440": prism.url}
        with connect_proxy({host: url.removeprefix("https://") for host, url in routes.items()}) as proxy:
            port = free_port()
            with serving(
                port,
                CLOUDVM_ENVIRONMENTS_FILE=str(ORIGIN / "environments.json"),
                CLOUDVM_MACHINETYPES_FILE=str(ORIGIN / "machinetypes.json"),
                HTTPS_PROXY=proxy.url,
                REQUESTS_CA_BUNDLE=str(authority.ca_file),
                NO_PROXY="login.microsoftonline.com",
            ):
                yield Replacement(port, ec2, pve, prism)
            # Another process may run the tests of the other hosts.
            assert proxy.asked
            assert set(proxy.asked) <= set(routes)


def test_curl_lines_of_the_go_service_work(replacement: Replacement) -> None:
    """List, create, stop, start and delete, as they stand in its README."""
    assert shell(replacement.curl("List VMs")) == "[]"
    create = replacement.curl(
        "Create VM", **{"<env name>": "aws-test1", '"<base64 encoded cloud init>"': '"\'"$(echo $cloud_init)"\'"'}
    )
    _, made = shell(create).strip().rsplit("\n", 1)
    vm = json.loads(made)
    assert (vm["name"], vm["status"]) == ("test1", "running")
    assert replacement.aws.user_data(vm["id"]) == (
        b"#cloud-config\nusers:\n- name: dev\n  sudo: ALL=(ALL) NOPASSWD:ALL\n"
    )
    for heading, state in (("Stop VM", "stopped"), ("Start VM", "running")):
        assert shell(replacement.curl(heading), VM=vm["id"]) == ""
        assert replacement.aws.vm(vm["id"]).state == state
    assert [listed["id"] for listed in json.loads(shell(replacement.curl("List VMs")))] == [vm["id"]]
    assert shell(replacement.curl("Delete VM"), VM=vm["id"]) == ""
    assert replacement.aws.vms() == ()


def test_curl_lines_of_the_go_service_work_on_proxmox(replacement: Replacement) -> None:
    """The same with the environment that its README leaves to the reader; cloud-init arrives, which it never did."""

    def curl(heading: str, **replaced: str) -> str:
        return replacement.curl(heading, **{"aws-test1": "pve-test1", **replaced})

    create = curl(
        "Create VM", **{"<env name>": "pve-test1", '"<base64 encoded cloud init>"': '"\'"$(echo $cloud_init)"\'"'}
    )
    vm = json.loads(shell(create).strip().rsplit("\n", 1)[1])
    assert (vm["name"], vm["status"], vm["cpus"]) == ("test1", "running", 2)
    drives = replacement.pve.vm(vm["id"]).config
    image = replacement.pve.data(drives["ide3"].partition(",")[0])
    assert image
    assert read_user_data(image) == b"#cloud-config\nusers:\n- name: dev\n  sudo: ALL=(ALL) NOPASSWD:ALL\n"
    assert drives["ide2"].startswith("local:iso/debian12.iso,")
    for heading, state in (("Stop VM", "stopped"), ("Start VM", "running")):
        assert shell(curl(heading), VM=vm["id"]) == ""
        assert replacement.pve.vm(vm["id"]).state == state
    assert [listed["id"] for listed in json.loads(shell(curl("List VMs")))] == [vm["id"]]
    assert shell(curl("Delete VM"), VM=vm["id"]) == ""
    assert (replacement.pve.vms(), replacement.pve.volumes()) == ((), ())


def test_curl_lines_of_the_go_service_work_on_nutanix(replacement: Replacement) -> None:
    """All but the create: its sample has no machine type for Nutanix. VMs of every host are there, on or off."""

    def curl(heading: str) -> str:
        return replacement.curl(heading, **{"aws-test1": "ntnx-test1"})

    (vm_id,) = replacement.prism.seed(1)
    assert [(vm["id"], vm["status"]) for vm in json.loads(shell(curl("List VMs")))] == [(vm_id, "running")]
    for heading, state in (("Stop VM", "OFF"), ("Start VM", "ON")):
        assert shell(curl(heading), VM=vm_id) == ""
        assert replacement.prism.vm(vm_id).state == state
    assert shell(curl("Delete VM"), VM=vm_id) == ""
    assert replacement.prism.vms() == ()


def test_token_of_the_go_service_is_read_with_its_line_break() -> None:
    """`echo` leaves one, and it is no part of the secret."""
    assert base64.b64decode(token()).endswith(b"\n")
    assert "CLOUDVM_SECRET_KEY" not in clean_environment()
