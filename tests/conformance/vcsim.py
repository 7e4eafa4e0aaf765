"""vSphere in the suite, by the peer that others wrote: govmomi's simulator, as vCenter and as a standalone host.

It cannot count or fail on demand, so a proxy before it does. Where it does less than its vendor's documents say, a
completion of the proxy's does the rest, and says so.
"""

import base64
import gzip
import json
import re
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import trustme
from pyVmomi import vim, vmodl

from tests.conformance.harness import Budgets, Features, Harness, Trouble
from tests.support.api import Api
from tests.support.soap_proxy import Completion, Reply, Rule, SoapProxy, fault, soap
from tests.support.vcsim import PASSWORD, USERNAME, Place, Vcsim, find_vcsim

NO_PERMISSION = fault(
    "NoPermission",
    "Permission to perform this operation was denied.",
    '<object type="Folder">group-d1</object><privilegeId>VirtualMachine.Interact.PowerOn</privilegeId>',
)
RULES = {
    Trouble.PERMISSION_DENIED: Rule(reply=NO_PERMISSION),
    Trouble.QUOTA: Rule(reply=fault("NotEnoughLicenses", "There are not enough licenses to perform the operation.")),
    Trouble.SERVER_ERROR: Rule(reply=fault("SystemError", "A general system error occurred.", "<reason>x</reason>")),
    Trouble.HTML: Rule(reply=Reply(200, b"<html><body>Welcome to the proxy</body></html>")),
    Trouble.CUT: Rule(cut=True),
    Trouble.LOST_ANSWER: Rule(cut=True, after=True),
    Trouble.SLOW: Rule(delay_seconds=20.0),
}
# vcsim lets a clone whose disk is changed have the template's own file, and deletes that with the clone.
TEMPLATE = "debian-12"
TASK_LOOKS = "a look at a task"
VSPHERE_GAPS = {
    "test_create_beyond_a_limit_fails_with_its_own_code:NO_CAPACITY": "vSphere tells a full host and an impossible "
    "size by the same faults, so that it is `unprocessable`"
}
HOST_GAPS = {"test_verb_on_a_vm_outside_of_the_environment_is_not_found": "a standalone host is one datacenter"}
CHANGES = re.compile(r".*_Task|MakeDirectory|ShutdownGuest|RebootGuest")
SEARCHES = frozenset({"SearchDatastore_Task"})
ANNOTATION = re.compile(rb"<annotation>([^<]*)</annotation>")
SET_ANNOTATION = (
    rb'<extraConfig><key>SET.config.annotation</key><value xsi:type="xsd:string">\g<1></value></extraConfig>'
)
FAILED_TASK = (
    '<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="Task">{task}</obj>'
    '<propSet><name>info.error</name><val xsi:type="LocalizedMethodFault"><fault xsi:type="GenericVmConfigFault">'
    "<reason>no</reason></fault><localizedMessage>Failed to start the machine.</localizedMessage></val></propSet>"
    '<propSet><name>info.state</name><val xsi:type="TaskInfoState">error</val></propSet>'
    "</objects></returnval></RetrievePropertiesExResponse>"
)


class VcsimHarness(Harness):
    """What both modes share."""

    cloud = "vSphere"
    access_key = USERNAME
    secret = PASSWORD
    unknown_id = "00000000-0000-4000-8000-000000000000"
    malformed_ids = ("vm-12", "00000000-0000-4000-8000-00000000000", "00000000000040008000000000000000", "5021c8f5")
    poll_operations = frozenset({TASK_LOOKS})
    prelude = frozenset({"RetrieveServiceContent"})
    arguments: ClassVar[tuple[str, ...]]
    boot: ClassVar[str]
    datacenter: ClassVar[str]
    pool: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        find_vcsim()
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(served)
        trusted = ssl.create_default_context()
        authority.configure_trust(trusted)
        self.server = Vcsim(self.arguments, authority, Path(self._folder.name))
        self.proxy = SoapProxy(served, trusted)
        self._retry_after = 7
        self._seeded = 0
        self._usual: Completion | None = None
        self._have_run: set[str] = set()

    def start(self) -> None:
        self._start_server()
        self.proxy.start()

    def stop(self) -> None:
        self.proxy.stop()
        self.server.stop()
        self._folder.cleanup()

    def reset(self) -> None:
        self._retry_after = 7
        self.watch_calls(None)
        self.reset_trouble()
        if self._seeded or set(self.proxy.calls()) - {"Logout"}:
            self.server.stop()
            self._start_server()
        self._seeded = 0
        self.forget_operations()

    def _start_server(self) -> None:
        self.server.start()
        self.proxy.upstream = ("127.0.0.1", self.server.port)
        self._have_run.clear()
        self.proxy.completions = {
            "RebootGuest": _with_tools,
            "Destroy_Task": self._with_files,
            "CloneVM_Task": self._without_log,
            "CreateVM_Task": self._without_log,
            "PowerOnVM_Task": self._with_log,
            "PowerOffVM_Task": self._without_new_log,
        }
        self.proxy.preparations = {"CloneVM_Task": _with_notes}
        self.furnish()

    def furnish(self) -> None:
        """Make what the environment needs."""

    @property
    def url(self) -> str:
        return self.proxy.url

    @property
    def ca_file(self) -> str:
        return str(Path(self._folder.name) / "ca.pem")

    def place(self, datacenter: str = "") -> Place:
        """Where VMs are made behind the API's back."""
        client, where = self.server.client, datacenter or self.datacenter
        pool = (part.replace(self.datacenter, where) for part in self.pool)
        return Place(client.find(where, "vm"), client.find(where, "host", *pool))

    def seed(self, count: int, *, state: str = "running") -> list[str]:
        names = [f"seed-{self._seeded + number:04}" for number in range(count)]
        self._seeded += count
        return list(self.server.client.make_many(self.place(), names, running=state == "running"))

    def trouble(self, trouble: Trouble, operation: str = "*", *, times: int | None = None, skip: int = 0) -> None:
        match trouble:
            case Trouble.GUEST_DEAF:
                self.proxy.add(Rule("ShutdownGuest", reply=soap('<ShutdownGuestResponse xmlns="urn:vim25"/>')))
            case Trouble.BOOT_FAILS:
                self.fail_boot()
            case Trouble.SLOW_LOG_IN:
                self.proxy.add(Rule("Login", delay_seconds=1.0))
            case Trouble.THROTTLED:
                headers = (("Retry-After", str(self._retry_after)),)
                self._go_wrong(Rule(reply=Reply(429, b"", headers)), operation, times, skip)
            case _:
                self._go_wrong(RULES[trouble], operation, times, skip)

    def _go_wrong(self, rule: Rule, operation: str, times: int | None, skip: int) -> None:
        if operation == TASK_LOOKS:
            rule = replace(rule, operation="RetrievePropertiesEx", about=b'<obj type="Task">')
        else:
            rule = replace(rule, operation=operation)
        self.proxy.add(replace(rule, times=times, skip=skip))

    def leave_behind(self, api: Api) -> None:
        """Leave a VM behind that was made, and could not be started. vcsim's clones share the template's disk."""
        del api
        client = self.server.client
        vm_id, ref = client.make(self.place(), "left", running=False)
        notes = {"vm_id": vm_id, "created_at": int(time.time()), "start": True}
        written = json.dumps({"cloudvm": notes}, separators=(",", ":"))
        client.wait(ref.ReconfigVM_Task(vim.vm.ConfigSpec(annotation=written)))
        self._log_of(ref).unlink()

    def _failing(self, request: bytes, reply: Reply) -> Reply:
        """The task of a boot takes effect, and only then says that it failed."""
        del self.proxy.completions[self.boot]
        if self._usual is not None:
            self.proxy.completions[self.boot] = self._usual
            self._usual(request, reply)
        task = self.finish(reply)
        self.proxy.add(
            Rule("RetrievePropertiesEx", about=f">{task}<".encode(), reply=soap(FAILED_TASK.format(task=task)))
        )
        return reply

    def finish(self, reply: Reply) -> str:
        """Wait for the task that an answer names; its id."""
        task = _task(reply)
        self.server.client.wait(vim.Task(task, self.server.client.stub))
        return task

    def _with_files(self, _: bytes, reply: Reply) -> Reply:
        """Let a VM's destruction end with its files, and not before."""
        if reply.status == 200:
            with suppress(vmodl.MethodFault):
                self.finish(reply)
            self.server.client.settle()
        return reply

    def _without_log(self, request: bytes, reply: Reply) -> Reply:
        """Make a VM without a log, which vSphere writes when the VM runs and vcsim when it is made."""
        if reply.status == 200 and b"<powerOn>true<" not in request:
            with suppress(vmodl.MethodFault):
                made = self.server.client.wait(vim.Task(_task(reply), self.server.client.stub))
                self._log_of(made).unlink()
        return reply

    def _with_log(self, request: bytes, reply: Reply) -> Reply:
        """Write the log of a VM that runs."""
        vm = _vm(request)
        if reply.status == 200 and vm:
            self._have_run.add(vm)
            with suppress(vmodl.MethodFault):
                self._log_of(vim.VirtualMachine(vm)).touch()
        return reply

    def _without_new_log(self, request: bytes, reply: Reply) -> Reply:
        """Write no log of a VM that is off, and never ran, when its power is cut."""
        vm = _vm(request)
        if reply.status != 200 or not vm or vm in self._have_run:
            return reply
        try:
            self.finish(reply)
        except vmodl.MethodFault:
            self._log_of(vim.VirtualMachine(vm)).unlink(missing_ok=True)
        return reply

    def _log_of(self, ref: Any) -> Path:
        client = self.server.client
        path = client.read(vim.VirtualMachine(ref._moId, client.stub), "config.files.vmPathName")
        store, _, file = path[1:].partition("] ")
        (folder,) = Path(self._folder.name).rglob(f"*{store}/{file.rpartition('/')[0]}")
        return folder / "vmware.log"

    def reset_trouble(self) -> None:
        self.proxy.clear_rules()

    def retry_after(self, seconds: int) -> None:
        self._retry_after = seconds

    def change_secret(self, secret: str) -> None:
        raise NotImplementedError("vcsim has one password for life")

    def rejected_log_ins(self) -> int:
        """Count all log-ins: a session's first call, when it was refused, is all there is."""
        return self.operations().count("Login")

    def echo_in_errors(self, text: str, operation: str = "*") -> None:
        self.proxy.add(Rule(operation, reply=fault("SystemError", text)))

    def fail_boot(self, message: str = "") -> None:
        self._usual = self.proxy.completions.get(self.boot)
        self.proxy.completions[self.boot] = self._failing

    def operations(self) -> list[str]:
        return self.proxy.calls()

    def forget_operations(self) -> None:
        self.proxy.forget_calls()

    @property
    def waiting_operations(self) -> frozenset[str]:
        return frozenset({"RetrievePropertiesEx"})

    def calls_answered(self) -> int:
        return self.proxy.answered

    def watch_calls(self, on_arrival: Callable[[str], None] | None) -> None:
        self.proxy.on_arrival = on_arrival

    def connections(self) -> int:
        return self.proxy.connections

    def costly(self) -> list[str]:
        """All but the looks at what was changed before."""
        costly: list[str] = []
        for operation in self.operations():
            changed = any(CHANGES.fullmatch(one) and one not in SEARCHES for one in costly)
            if operation != "RetrievePropertiesEx" or not changed:
                costly.append(operation)
        return costly

    def user_data(self, vm_id: str) -> bytes | None:
        for _, values in self.server.client.vms(["config.instanceUuid", "config.extraConfig"]):
            if values["config.instanceUuid"] == vm_id:
                found = {option.key: option.value for option in values.get("config.extraConfig", ())}
                return _decoded(found.get("guestinfo.userdata"), found.get("guestinfo.userdata.encoding"))
        return None

    def objects(self) -> frozenset[str]:
        folder = Path(self._folder.name)
        files = (path for path in folder.rglob("*") if "LocalDS" in str(path) and path.parent.name != TEMPLATE)
        return frozenset([*self.states(), *(str(path.relative_to(folder)) for path in files)])

    def states(self) -> dict[str, str]:
        words = {"poweredOn": "running", "poweredOff": "stopped"}
        found = self.server.client.vms(["config.instanceUuid", "config.template", "runtime.powerState"])
        return {
            values["config.instanceUuid"]: words.get(values["runtime.powerState"], values["runtime.powerState"])
            for _, values in found
            if not values["config.template"]
        }


class VcenterHarness(VcsimHarness):
    """A vCenter with two datacenters, a cluster and a host beside it."""

    name = "vcsim-vcenter"
    arguments = ("-dc", "2", "-ds", "1", "-vm", "0")
    boot = "CloneVM_Task"
    datacenter = "DC0"
    pool = ("DC0_C0", "Resources")
    # Two of a create's look for the template, one for where it goes: once in a session.
    budgets = Budgets(list_page=1, list_page_size=1000, get=2, start=2, stop=2, restart=2, delete=3, create=1 + 3)
    features = Features(unique_names=True, shares_creates=False)
    verb_operations: ClassVar[Mapping[str, str]] = {
        "list": "RetrievePropertiesEx",
        "get": "RetrievePropertiesEx",
        "create": "CloneVM_Task",
        "start": "PowerOnVM_Task",
        "stop": "ShutdownGuest",
        "restart": "RebootGuest",
        "delete": "Destroy_Task",
    }
    known_gaps: ClassVar[Mapping[str, str]] = {
        **VSPHERE_GAPS,
        "test_create_whose_answer_is_lost_while_the_work_is_slow_leaves_nothing": "vcsim's tasks take no time",
        "test_create_whose_slow_start_is_not_answered_leaves_nothing": "vcsim's tasks take no time",
        "test_create_of_a_vm_that_fails_to_boot_leaves_nothing_when_followed": "vcsim's VM runs all the same",
        "test_list_after_the_secret_was_changed_is_rejected": "vcsim has one password for life",
        "test_list_after_the_right_secret_was_refused_for_a_moment_works_at_once": "vcsim has one password for life",
    }

    def __init__(self) -> None:
        super().__init__()
        self._elsewhere: set[str] = set()

    @property
    def environment(self) -> dict[str, object]:
        return {"cloud": "VMware", "region": "DC0", "vpc_id": "cluster/DC0_C0", "network_id": "DC0_DVPG0"}

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "c1m1", "image": TEMPLATE}

    def furnish(self) -> None:
        self._elsewhere.clear()
        self.proxy.completions |= {
            "FindByUuid": self._within,
            "FindAllByUuid": self._within,
        }
        devices = template_devices()
        _, template = self.server.client.make(self.place(), TEMPLATE, running=False, devices=devices)
        template.MarkAsTemplate()

    def seed_elsewhere(self) -> str:
        self._seeded += 1
        vm_id, ref = self.server.client.make(self.place("DC1"), "elsewhere", running=True)
        self._elsewhere.add(ref._moId)
        return str(vm_id)

    def _within(self, request: bytes, reply: Reply) -> Reply:
        """Find in the datacenter that is named, and not, as vcsim does, anywhere."""
        found = re.search(rb"<returnval[^>]*>([^<]+)</returnval>", reply.body)
        if found and found[1].decode() in self._elsewhere and b"<datacenter " in request:
            operation = "FindByUuid" if b"<FindByUuid " in request else "FindAllByUuid"
            return soap(f'<{operation}Response xmlns="urn:vim25"/>')
        return reply


class EsxiHarness(VcsimHarness):
    """A standalone host."""

    name = "vcsim-esxi"
    arguments = ("-esx", "-ds", "1", "-vm", "0")
    boot = "PowerOnVM_Task"
    datacenter = "ha-datacenter"
    pool = ("localhost.localdomain", "Resources")
    # Places and image are looked up once in a session; folder, copy, growth, VM and start are made.
    budgets = Budgets(list_page=1, list_page_size=1000, get=2, start=2, stop=2, restart=2, delete=3, create=5 + 4)
    features = Features(shares_creates=False)
    verb_operations: ClassVar[Mapping[str, str]] = {**VcenterHarness.verb_operations, "create": "CreateVM_Task"}
    known_gaps: ClassVar[Mapping[str, str]] = {**VcenterHarness.known_gaps, **HOST_GAPS}

    @property
    def environment(self) -> dict[str, object]:
        return {"cloud": "ESXi"}

    @property
    def offer(self) -> dict[str, object]:
        return {"instance_type": "c1m1", "image": "[LocalDS_0] images/debian-12.vmdk"}

    def furnish(self) -> None:
        content, client = self.server.client.content, self.server.client
        content.fileManager.MakeDirectory("[LocalDS_0] images", client.find("ha-datacenter"))
        disk = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin", adapterType="lsiLogic", capacityKb=2 * 1024 * 1024
        )
        image = "[LocalDS_0] images/debian-12.vmdk"
        client.wait(content.virtualDiskManager.CreateVirtualDisk_Task(image, client.find("ha-datacenter"), disk))

    def leave_behind(self, api: Api) -> None:
        for operation in (self.boot, "Destroy_Task"):
            self.trouble(Trouble.PERMISSION_DENIED, operation)
        assert api.create("left").status == 403

    def put_file(self, folder: str, name: str) -> None:
        """Put a small file on the datastore."""
        (found,) = Path(self._folder.name).rglob(f"*LocalDS_0/{folder}")
        (found / name).write_bytes(b"\x01CD001")

    def disk_sectors(self, name: str) -> int:
        """The size of a disk by its description on the datastore."""
        (found,) = Path(self._folder.name).rglob(name)
        size = re.search(r"^RW (\d+) ", found.read_text(), re.MULTILINE)
        assert size
        return int(size[1])

    def seed_elsewhere(self) -> str:
        raise NotImplementedError("a standalone host is one datacenter")


def as_if_to_run(notes: str) -> str:
    """Return the notes of a VM that was made to stay off as if it was to run."""
    assert '"created_at":' in notes
    return notes.replace('"created_at":', '"start":true,"created_at":')


def template_devices() -> Iterable[vim.vm.device.VirtualDeviceSpec]:
    """A controller, a disk of 2 GiB and an interface on the standard network."""
    kinds = vim.vm.device
    controller = kinds.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing")
    backing = kinds.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True)
    disk = kinds.VirtualDisk(key=2000, controllerKey=1000, unitNumber=0, backing=backing, capacityInKB=2 * 1024 * 1024)
    plug = kinds.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    nic = kinds.VirtualVmxnet3(key=4000, backing=plug)
    yield kinds.VirtualDeviceSpec(operation="add", device=controller)
    yield kinds.VirtualDeviceSpec(operation="add", device=disk, fileOperation="create")
    yield kinds.VirtualDeviceSpec(operation="add", device=nic)


def _task(reply: Reply) -> str:
    found = re.search(rb"<returnval[^>]*>([^<]+)</returnval>", reply.body)
    assert found, reply.body
    return found[1].decode()


def _vm(request: bytes) -> str:
    found = re.search(rb"<_this [^>]*>([^<]+)</_this>", request)
    return found[1].decode() if found else ""


def _with_notes(request: bytes) -> bytes:
    """A clone's specification, with its notes as vcsim 0.56 takes them before anybody can see the clone.

    It leaves out `annotation`, but sets any property by an `extraConfig` of its own.
    """
    return ANNOTATION.sub(rb"\g<0>" + SET_ANNOTATION, request)


def _with_tools(request: bytes, reply: Reply) -> Reply:
    """Reboot a guest whose Tools run, which vcsim's never do."""
    return soap('<RebootGuestResponse xmlns="urn:vim25"/>') if b"ToolsUnavailable" in reply.body else reply


def _decoded(text: str | None, encoding: str | None) -> bytes | None:
    if text is None:
        return None
    assert encoding == "gzip+base64"
    return gzip.decompress(base64.b64decode(text))
