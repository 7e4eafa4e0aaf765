"""What is read from PVE's values, and what can never get into them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from providers.deadline import Deadline
from providers.domain import Environment, Offer, VMStatus
from providers.errors import ProviderError, UnprocessableError
from providers.proxmox import CLOUD
from providers.proxmox.records import Config, listed_vm, read_addresses, read_config, read_state, read_task
from providers.proxmox.site import site_of
from tests.providers.proxmox.cluster import BY_TOKEN, Pve, spec
from vms.registries import load_registries

STATES = [
    ({"status": "running"}, VMStatus.RUNNING, "running"),
    ({"status": "stopped"}, VMStatus.STOPPED, "stopped"),
    ({"status": "running", "qmpstatus": "paused"}, VMStatus.SUSPENDED, "paused"),
    ({"status": "running", "qmpstatus": "prelaunch"}, VMStatus.STARTING, "prelaunch"),
    ({"status": "running", "qmpstatus": "io-error"}, VMStatus.ERROR, "io-error"),
    ({"status": "running", "qmpstatus": "shutdown"}, VMStatus.STOPPING, "shutdown"),
    ({"status": "stopped", "lock": "create"}, VMStatus.CREATING, "create"),
    ({"status": "stopped", "lock": "clone"}, VMStatus.CREATING, "clone"),
    ({"status": "running", "lock": "backup"}, VMStatus.RUNNING, "running"),
    ({"status": "stopped", "lock": "suspended"}, VMStatus.SUSPENDED, "suspended"),
    ({"status": "stopped", "lock": "destroyed"}, VMStatus.DELETING, "destroyed"),
    ({"status": "running", "qmpstatus": "colo"}, VMStatus.UNKNOWN, "colo"),
    ({"status": "sleepwalking"}, VMStatus.UNKNOWN, "sleepwalking"),
    ({}, VMStatus.UNKNOWN, ""),
]


@pytest.mark.parametrize(("entry", "status", "word"), STATES)
def test_state_is_told_in_our_words(entry: Mapping[str, Any], status: VMStatus, word: str) -> None:
    """A word that nobody has heard of is unknown, and shown; a lock tells more than a process."""
    vm = listed_vm(read_state({"vmid": 100, "name": "a", **entry}))
    assert (vm.status, vm.provider_status) == (status, word)


@pytest.mark.parametrize("vmid", [100, "100"])
def test_numbers_may_be_texts(vmid: object) -> None:
    """Perl makes either of them."""
    state = read_state({"vmid": vmid, "cpus": "4", "maxmem": "2147483648", "template": "", "status": "running"})
    assert (state.vm_id, state.cpus, state.memory_mib, state.is_template) == ("100", 4, 2048, False)
    assert read_state({"vmid": vmid, "template": "1"}).is_template
    assert read_state({"vmid": vmid, "cpus": 0.5}).cpus == 0


@pytest.mark.parametrize(("status", "running", "good"), [
    ({"status": "running"}, True, False),
    ({"status": "running", "exitstatus": "OK"}, True, False),
    ({"status": "stopped", "exitstatus": "OK"}, False, True),
    ({"status": "stopped", "exitstatus": "WARNINGS: 3"}, False, True),
    ({"status": "stopped", "exitstatus": "OK, but not quite"}, False, False),
    ({"status": "stopped", "exitstatus": "no WARNINGS: 1"}, False, False),
    ({"status": "stopped", "exitstatus": "unexpected status"}, False, False),
    ({"status": "stopped", "exitstatus": ""}, False, False),
    ({"status": "stopped"}, False, False),
])  # fmt: skip
def test_task_is_judged_by_its_exit_status(status: Mapping[str, Any], running: bool, good: bool) -> None:  # noqa: FBT001 - pytest's
    """Warnings are no failure; what ended without a word of its own is one."""
    task = read_task(status)
    assert (task.is_running, task.succeeded) == (running, good)


@pytest.mark.parametrize(("options", "disk", "gib"), [
    ({"scsi0": "local-lvm:vm-1-disk-0,size=8G", "boot": "order=scsi0"}, "scsi0", 8),
    ({"scsi0": "a:disk-0,size=8G", "virtio1": "a:disk-1,size=2T", "boot": "order=ide2;virtio1"}, "virtio1", 2048),
    ({"virtio0": "a:vm-1-disk-0,discard=on,size=512M"}, "virtio0", 0.5),
    ({"ide0": "a:vm-1-disk-0,size=1048576K", "boot": "c", "bootdisk": "ide0"}, "ide0", 1),
    ({"ide2": "local:iso/x.iso,media=cdrom,size=1G"}, None, None),
    ({"ide2": "local-lvm:vm-1-cloudinit,media=cdrom,size=4M", "sata0": "a:b,size=3G"}, "sata0", 3),
    ({"scsi0": "a:vm-1-disk-0"}, "scsi0", None),
    ({"efidisk0": "a:vm-1-disk-0,size=4M", "unused0": "a:vm-1-disk-1"}, None, None),
])  # fmt: skip
def test_system_disk_is_the_one_that_boots(options: dict[str, str], disk: str | None, gib: float | None) -> None:
    """By the boot order, old or new, or the first; with its size, in whatever unit."""
    config = Config(options)
    assert config.system_disk == disk
    assert config.disk_bytes(disk or "x") == (None if gib is None else gib * (1 << 30))


@pytest.mark.parametrize(("options", "cpus", "memory"), [
    ({"cores": 2, "sockets": 2, "memory": "4096"}, 4, 4096),
    ({"cores": 8, "vcpus": 3, "memory": 512}, 3, 512),
    ({}, 1, 512),
    ({"memory": "current=2048"}, 1, 2048),
])  # fmt: skip
def test_size_has_pves_defaults(options: dict[str, object], cpus: int, memory: int) -> None:
    """What is not there is one CPU and 512 MiB."""
    config = read_config(options)
    assert (config.cpus, config.memory_mib) == (cpus, memory)


@pytest.mark.parametrize(("agent", "on"), [
    ("1", True), (1, True), ("enabled=1", True), ("1,fstrim_cloned_disks=1", True), ("enabled=1,type=isa", True),
    ("0", False), ("enabled=0", False), ("0,type=isa", False), (None, False),
])  # fmt: skip
def test_agent_may_be_switched_on_in_several_ways(agent: object, on: bool) -> None:  # noqa: FBT001 - pytest's
    """A property string, a number, or nothing."""
    assert read_config({"agent": agent}).agent_is_on is on


def test_addresses_of_guests_in_any_state_are_read() -> None:
    """Entries lack what they have not got; letters' case differs between guest and host."""
    told: list[dict[str, Any]] = [
        {"name": "lo", "ip-addresses": [{"ip-address": "127.0.0.1"}]},
        {"name": "eth0", "hardware-address": "BC:24:11:00:00:01", "ip-addresses": [{"ip-address": "10.0.0.1"}, {}]},
        {"name": "eth1", "hardware-address": "bc:24:11:00:00:02", "ip-addresses": None},
        {"name": "eth2", "hardware-address": "bc:24:11:00:00:03"},
        {"name": "br-1", "hardware-address": "02:42:00:00:00:01", "ip-addresses": [{"ip-address": "172.17.0.1"}]},
    ]
    config = Config({"net0": "virtio=bc:24:11:00:00:01,bridge=vmbr0", "net1": "e1000=BC:24:11:00:00:02,bridge=vmbr0"})
    assert read_addresses(told, config.macs) == ("10.0.0.1",)


@pytest.mark.parametrize("description", [
    "notes of a person", '{"cloudvm"', '{"cloudvm":[]}', '{"cloudvm":{"tags":[1]}}', '{"cloudvm":{"vm_id":1}}', "",
])  # fmt: skip
def test_notes_that_people_have_changed_are_no_fault(description: str) -> None:
    """They are nobody's tags."""
    assert dict(Config({"description": description}).notes.tags) == {}


INJECTED = ["x,net1=virtio", "a=b", "a b", "a;b", "a\nb", "../x", "a,import-from=/etc/shadow", "a:b:c", "", "-"]


@pytest.mark.parametrize("text", INJECTED)
@pytest.mark.parametrize("key", ["vpc_id", "storage_external_id", "network_id"])
def test_environment_with_more_in_a_value_than_it_names_is_refused(pve: Pve, key: str, text: str) -> None:
    """A comma or an equals sign would be a second property."""
    prefix = {"vpc_id": "node/", "storage_external_id": "storage/pve/", "network_id": "vmbr0,"}[key]
    if key == "network_id" and text == "-":
        text = "tag=1,bridge=vmbr1"
    environment = pve.environment(**{key: prefix + text})
    with pytest.raises(UnprocessableError, match=key):
        site_of(environment)
    with pytest.raises(ProviderError):
        pve.backends.gateway(environment, BY_TOKEN, Deadline.after(5)).list_vms()
    assert pve.operations() == []


@pytest.mark.parametrize(
    "network",
    ["vmbr0", "vmbr0,tag=20", "vmbr0,firewall=1,mtu=1400", "vnet_1", "vmbr0.5", "vmbr0,trunks=1;2-4", "vmbr0,rate=1.5"],
)
def test_network_may_name_what_belongs_to_a_device(network: str) -> None:
    """A list of what may follow the bridge."""
    environment = Environment("e", CLOUD, vpc_id="node/pve", network_id=network)
    assert site_of(environment).network == network


IMAGES = [
    "local:import/x.qcow2,size=1", "local:import/x=y", "local:import/../x", "local:iso/x.iso,media=disk", "/etc/passwd",
    "local:import/a b.qcow2", "template/9000,full=0", "9000;x", "template/0", "template/", "local:", "", "x\n",
]  # fmt: skip


@pytest.mark.parametrize("image", IMAGES)
def test_create_of_an_image_that_is_none_makes_no_call(pve: Pve, image: str) -> None:
    """A machine type is from a file, and yet."""
    with pytest.raises(UnprocessableError, match="image"):
        pve.gateway().create_vm(spec(offer=Offer("c1", image, 1, 1024)))
    assert pve.operations() == []


@pytest.mark.parametrize(("key", "value"), [
    ("iso_storage", "local,x=1"), ("iso_storage", "a:b"), ("iso_storage", "../x"),
    ("cpu_type", "host,flags=+aes"), ("cpu_type", "a b"), ("cpu_type", "x=1"),
])  # fmt: skip
def test_file_with_more_in_an_option_than_it_names_does_not_load(tmp_path: Path, key: str, value: str) -> None:
    """Said at the start, with the key."""
    entry = {"name": "p", "cloud": "Proxmox", "url": "https://pve:8006", "vpc_id": "node/pve"}
    environments, machinetypes = tmp_path / "environments.json", tmp_path / "machinetypes.json"
    machinetypes.write_text("{}")
    environments.write_text(json.dumps([entry]))
    load_registries(environments, machinetypes)
    environments.write_text(json.dumps([{**entry, key: value}]))
    with pytest.raises(Exception, match=key):
        load_registries(environments, machinetypes)


def test_name_is_a_value_of_its_own(pve: Pve) -> None:
    """What the API refuses before would be refused by PVE itself, too, and never be a property."""
    with pytest.raises(ProviderError) as caught:
        pve.create(name="a,net1=virtio")
    assert [fault.field for fault in caught.value.fields] == ["name"]
    assert pve.made() == ([], [])
