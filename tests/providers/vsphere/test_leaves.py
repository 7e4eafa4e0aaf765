"""Pages of VMs, read from XML."""

from datetime import UTC, datetime

import pytest

from providers.domain import VMStatus
from providers.vsphere.leaves import read_page
from providers.vsphere.machines import LISTED_SINCE_67, Machine, machine_of
from providers.vsphere.properties import Found
from tests.support.soap_proxy import soap

VM = {
    "name": "web1",
    "config.instanceUuid": "5021C8F5-3b1a-4a5e-9a52-6d1b9c1f0d11",
    "config.template": "false",
    "config.annotation": 'notes of people\n{"cloudvm":{"tags":{"team":"a &lt; b"}}}',
    "config.hardware.numCPU": "2",
    "config.hardware.memoryMB": "4096",
    "config.createDate": "2026-11-23T10:00:00.123456789Z",
    "runtime.powerState": "poweredOn",
    "runtime.connectionState": "connected",
    "guest.ipAddress": "10.0.0.4",
}


def page(*vms: dict[str, str], token: str = "") -> bytes:
    """An answer of the property collector."""
    objects = "".join(
        f'<objects><obj type="VirtualMachine">vm-{number}</obj>'
        + "".join(
            f'<propSet><name>{path}</name><val xsi:type="xsd:string">{text}</val></propSet>'
            for path, text in vm.items()
        )
        + "</objects>"
        for number, vm in enumerate(vms)
    )
    token = f"<token>{token}</token>" if token else ""
    inner = f"<returnval>{token}{objects}</returnval>"
    name = "RetrievePropertiesExResponse"
    return soap(f'<{name} xmlns="urn:vim25">{inner}</{name}>').body


def machines(*vms: dict[str, str]) -> list[Machine]:
    """The VMs of a page."""
    rows = read_page(page(*vms), LISTED_SINCE_67).rows
    return [machine_of(Found(None, values)) for _, values in rows]  # type: ignore[arg-type] # the server's own id


def test_read_page_has_every_property_of_each_vm() -> None:
    """Texts with line breaks and entities, numbers, and a date."""
    (machine,) = machines(VM)
    vm = machine.vm
    assert (vm.id, vm.name) == ("5021c8f5-3b1a-4a5e-9a52-6d1b9c1f0d11", "web1")
    assert (vm.status, vm.provider_status) == (VMStatus.RUNNING, "poweredOn")
    assert (vm.cpus, vm.memory_mib, vm.ip_addresses) == (2, 4096, ("10.0.0.4",))
    assert vm.created_at == datetime(2026, 11, 23, 10, 0, 0, 123456, UTC)
    assert vm.tags == {"team": "a < b"}


def test_read_page_token_leads_to_the_next() -> None:
    """And without one there is no next."""
    assert read_page(page(VM, token="t-1"), LISTED_SINCE_67).token == "t-1"
    assert read_page(page(VM), LISTED_SINCE_67).token == ""
    assert read_page(page(), LISTED_SINCE_67).rows == []


def test_read_page_vm_without_config_is_being_made() -> None:
    """Just being made, or not accessible: no crash, and no guess."""
    bare = {path: VM[path] for path in ("name", "runtime.powerState", "runtime.connectionState")}
    bare["summary.config.instanceUuid"] = VM["config.instanceUuid"]
    lost = {**bare, "runtime.connectionState": "inaccessible"}
    nothing = {"name": "x"}
    seen = [(machine.vm.status, machine.vm.provider_status) for machine in machines(bare, lost, nothing)]
    assert seen == [
        (VMStatus.CREATING, "poweredOn"),
        (VMStatus.UNKNOWN, "inaccessible"),
        (VMStatus.CREATING, ""),
    ]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"runtime.powerState": "poweredOff"}, VMStatus.STOPPED),
        ({"runtime.powerState": "suspended"}, VMStatus.SUSPENDED),
        ({"runtime.powerState": "levitating"}, VMStatus.UNKNOWN),
        ({"runtime.connectionState": "disconnected"}, VMStatus.UNKNOWN),
        ({"runtime.connectionState": "orphaned"}, VMStatus.ERROR),
    ],
)
def test_read_page_states_have_a_status(changed: dict[str, str], status: VMStatus) -> None:
    """A word that nobody knows is no error."""
    (machine,) = machines({**VM, **changed})
    assert machine.vm.status is status
    assert machine.vm.provider_status == next(iter(changed.values()))


def test_read_page_names_are_as_people_wrote_them() -> None:
    """The server escapes three signs."""
    (machine,) = machines({**VM, "name": "a%2fb%5cc%25d%252f%2525"})
    assert machine.vm.name == "a/b\\c%d%2f%25"


def test_read_page_odd_signs_do_not_mix_vms_up() -> None:
    """The signs that part properties are taken out of texts."""
    first, second = machines({**VM, "name": "a\ufdd0b\ufdd1c"}, VM)
    assert (first.vm.name, second.vm.name) == ("abc", "web1")


def test_read_page_texts_that_look_like_a_namespace_stay() -> None:
    """Only what stands in a tag is one."""
    tags = '{"cloudvm":{"tags":{"doc":"a xmlns=\'b\' > c"}}}'
    (machine,) = machines({**VM, "name": 'a xmlns="b" c', "config.annotation": tags})
    assert machine.vm.name == 'a xmlns="b" c'
    assert machine.vm.tags == {"doc": "a xmlns='b' > c"}


def test_read_page_epoch_is_no_date() -> None:
    """Of VMs that are older than the property."""
    (machine,) = machines({**VM, "config.createDate": "1970-01-01T00:00:00Z"})
    assert machine.vm.created_at is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"RetrievePropertiesExResponse"])
def test_read_page_what_is_no_xml_is_refused(body: bytes) -> None:
    """Never an empty list."""
    with pytest.raises(ValueError):  # noqa: PT011 - its text is the parser's
        read_page(body, LISTED_SINCE_67)
