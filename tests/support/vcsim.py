"""govmomi's simulator of vSphere as a process of ours, and a client of pyvmomi's own that looks behind the API's back.

`vcsim` is looked for in CLOUDVM_VCSIM and on PATH; BUILD makes one.
"""

import os
import shutil
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SoapStubAdapter

USERNAME = "demo@sandbox"
PASSWORD = "Pa55-of-the-sandbox"
UNDER_WAY = frozenset({"queued", "running"})
BUILD = "go build -C tests/support/govmomi -o ~/.local/bin/vcsim ."


def find_vcsim() -> str:
    """The program, or a skip that says how to get it; a failure where CLOUDVM_REQUIRE_VCSIM is set."""
    found = os.environ.get("CLOUDVM_VCSIM") or shutil.which("vcsim")
    if found:
        return found
    reason = f"there is no vcsim on PATH or in CLOUDVM_VCSIM; `{BUILD}` makes one (Go 1.25 or newer)"
    if os.environ.get("CLOUDVM_REQUIRE_VCSIM") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Vcsim:
    """A running one; `client` is logged in at it."""

    def __init__(self, arguments: Sequence[str], authority: trustme.CA, folder: Path) -> None:
        self._arguments = arguments
        self._program = find_vcsim()
        self._folder = folder
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        issued.private_key_pem.write_to_path(str(folder / "key.pem"))
        self._trusted = ssl.create_default_context()
        authority.configure_trust(self._trusted)
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.client: Any = None

    def start(self) -> None:
        """Start it on a free port."""
        command = [self._program, "-l", "127.0.0.1:0", "-username", USERNAME, "-password", PASSWORD, *self._arguments]
        command += ["-tlscert", str(self._folder / "cert.pem"), "-tlskey", str(self._folder / "key.pem")]
        environment = {**os.environ, "TMPDIR": str(self._folder)}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
        self.client = Client(self.port, self._trusted)

    def stop(self) -> None:
        """End it; it removes its files."""
        if self._process is None:
            return
        self.client.close()
        self._process.terminate()
        self._process.communicate(timeout=20)
        self._process = None


class Client:
    """What tests see of the server directly."""

    def __init__(self, port: int, trusted: ssl.SSLContext) -> None:
        self.stub = SoapStubAdapter(
            host="127.0.0.1", port=port, sslContext=trusted, version="vim.version.version12", poolSize=4
        )
        self.content = vim.ServiceInstance("ServiceInstance", self.stub).RetrieveContent()
        assert self.content.sessionManager is not None
        self.content.sessionManager.Login(USERNAME, PASSWORD, None)

    def close(self) -> None:
        """Close the connections."""
        self.stub.DropConnections()

    def find(self, *path: str) -> Any:
        """What stands at an inventory path, such as `DC0`, `vm`."""
        assert self.content.searchIndex is not None
        return self.content.searchIndex.FindByInventoryPath("/".join(path))

    def sessions(self) -> int:
        """How many sessions there are beside this one."""
        return len(self.others())

    def others(self) -> list[str]:
        """Their keys."""
        manager = self.content.sessionManager
        assert manager is not None
        own = self.read(manager, "currentSession").key
        return [session.key for session in self.read(manager, "sessionList") if session.key != own]

    def read(self, ref: Any, path: str) -> Any:
        """One property."""
        return self.read_many(ref, [path]).get(path)

    def read_many(self, ref: Any, paths: list[str]) -> dict[str, Any]:
        """Some properties, those that are set."""
        collector = vmodl.query.PropertyCollector
        question = collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=ref)], propSet=[collector.PropertySpec(type=type(ref), pathSet=paths)]
        )
        (found,) = self.content.propertyCollector.RetrieveContents([question])
        return {one.name: one.val for one in found.propSet}

    def vms(self, paths: Iterable[str]) -> list[tuple[Any, dict[str, Any]]]:
        """All VMs and templates, with some properties."""
        assert self.content.viewManager is not None
        kind = vim.VirtualMachine
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], recursive=True)
        collector = vmodl.query.PropertyCollector
        step = collector.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
        question = collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[step])],
            propSet=[collector.PropertySpec(type=kind, pathSet=list(paths))],
        )
        found = self.content.propertyCollector.RetrieveContents([question])
        view.DestroyView()
        return [(one.obj, {prop.name: prop.val for prop in one.propSet}) for one in found]

    def wait(self, task: Any) -> Any:
        """The result of a task."""
        while (found := self.read_many(task, ["info.state", "info.error", "info.result"]))["info.state"] in UNDER_WAY:
            time.sleep(0.005)
        if "info.error" in found:
            raise found["info.error"]
        return found.get("info.result")

    def destroy(self, vm: Any) -> None:
        """Destroy a VM, files and all."""
        self.wait(vm.Destroy_Task())
        self.settle()

    def settle(self) -> None:
        """Wait for all tasks: vcsim 0.56 removes a VM's files in one that outlives the VM's destruction."""
        for task in self.read(self.content.taskManager, "recentTask") or ():
            with suppress(vmodl.MethodFault):
                self.wait(task)

    def make(self, place: "Place", name: str, *, running: bool, devices: Any = ()) -> tuple[str, Any]:
        """Make a VM; its instance UUID, and itself."""
        spec = self._spec(place, name)
        spec.deviceChange = list(devices)
        ref = self.wait(place.folder.CreateVM_Task(spec, place.pool))
        if running:
            self.wait(ref.PowerOnVM_Task())
        return spec.instanceUuid, ref

    def make_many(self, place: "Place", names: Iterable[str], *, running: bool) -> list[str]:
        """Make VMs, without waiting for each."""
        specs = [self._spec(place, name) for name in names]
        made = [place.folder.CreateVM_Task(spec, place.pool) for spec in specs]
        started = [self.wait(task).PowerOnVM_Task() for task in made if running]
        for task in started or made:
            self.wait(task)
        return [spec.instanceUuid for spec in specs]

    @staticmethod
    def _spec(place: "Place", name: str) -> Any:
        files = vim.vm.FileInfo(vmPathName=f"[{place.store}] {name}/{name}.vmx")
        return vim.vm.ConfigSpec(
            name=name,
            guestId="otherLinux64Guest",
            numCPUs=1,
            memoryMB=1024,
            files=files,
            instanceUuid=str(uuid.uuid4()),
        )


@dataclass(frozen=True)
class Place:
    """Where VMs are made: folder and resource pool, and the name of a datastore."""

    folder: Any
    pool: Any
    store: str = "LocalDS_0"
