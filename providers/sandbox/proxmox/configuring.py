"""A VM's configuration: read, checked and changed, at once or at the next start.

`update_vm_api` and `$check_vm_modify_config_perm` in qemu-server's src/PVE/API2/Qemu.pm
"""

import secrets
from collections.abc import Iterable, Mapping

from providers.sandbox.proxmox import drives, formats, options
from providers.sandbox.proxmox.accounts import Caller
from providers.sandbox.proxmox.cluster import Cluster, Request
from providers.sandbox.proxmox.disks import Disks
from providers.sandbox.proxmox.machines import Machine
from providers.sandbox.proxmox.tasks import Hold, Task, TaskError, Work
from providers.sandbox.proxmox.wire import DeniedError, ParameterError, PveError, Value

NEEDS_NETWORK_PRIVILEGE = (8, 0)


class Configuring:
    """The actions on /config."""

    def __init__(self, cluster: Cluster, disks: Disks) -> None:
        self._cluster = cluster
        self._disks = disks

    def show(self, request: Request) -> Value:
        """The configuration with what waits for the next start, or with `current` without."""
        machine = self._cluster.machines.on(request.node, request.vm_id)
        if snapshot := request.text("snapshot"):
            return _snapshot(machine, snapshot)
        values = dict(machine.config)
        if not request.flag("current"):
            values.update({name: value for name, value in machine.pending.items() if value is not None})
            for name in [name for name, value in machine.pending.items() if value is None]:
                values.pop(name, None)
        return {
            **{name: options.typed(name, value) for name, value in sorted(values.items())},
            "digest": machine.digest(),
        }

    def list_snapshots(self, request: Request) -> Value:
        """The snapshots, and the VM as it is now under the name `current`."""
        machine = self._cluster.machines.on(request.node, request.vm_id)
        shown = [{"name": name, "description": ""} for name in machine.snapshots]
        return [*shown, {"name": "current", "description": "You are here!", "running": int(machine.runs)}]

    def change(self, request: Request) -> Value:
        """Change it before the answer."""
        machine, wanted, deleted = self._prepare(request)
        try:
            self._apply(machine, wanted, deleted)
        except TaskError as error:
            raise PveError(str(error)) from error
        return None

    def change_later(self, request: Request) -> Value:
        """Change it in a task."""
        machine, wanted, deleted = self._prepare(request)

        def work(task: Task) -> Work:
            del task
            yield Hold(machine.id)
            machine.refuse_locked()
            yield self._cluster.knobs.task_seconds
            self._apply(machine, wanted, deleted)

        return self._cluster.fork(request, "qmconfig", machine.id, work)

    def check_privileges(self, caller: Caller, vm_id: int, names: Iterable[str]) -> None:
        """Refuse options that the caller may not set; drives are looked at elsewhere."""
        path = f"/vms/{vm_id}"
        for name in sorted(names):
            if name in options.PRIVILEGES:
                _check_any(caller, path, options.PRIVILEGES[name])
            elif name == "tags":
                caller.check(path, "VM.Config.Options")
            elif name == "vmgenid":
                raise PveError(f"only root can set '{name}' config")
            if name == "startup":
                caller.check("/", "Sys.Modify")

    def check_serial(self, caller: Caller, vm_id: int, wanted: Mapping[str, str]) -> None:
        """Refuse serial ports that are the host's."""
        for name in sorted(wanted):
            if name.startswith("serial"):
                if wanted[name] != "socket":
                    raise PveError(f"only root can set '{name}' config for real devices")
                caller.check(f"/vms/{vm_id}", "VM.Config.HWType")

    def check_bridges(self, caller: Caller, wanted: Mapping[str, str]) -> None:
        """Refuse bridges that the caller may not use; before PVE 8 there was no privilege for them."""
        if self._cluster.version < NEEDS_NETWORK_PRIVILEGE:
            return
        for name in sorted(wanted):
            net = options.NET(wanted[name]) if name.startswith("net") else {}
            if "bridge" in net:
                path = f"/sdn/zones/localnetwork/{net['bridge']}"
                vlans = [*([net["tag"]] if "tag" in net else []), *_vlans(net.get("trunks", ""))]
                for place in [f"{path}/{vlan}" for vlan in vlans] or [path]:
                    caller.check(place, "SDN.Use")

    def _prepare(self, request: Request) -> tuple[Machine, dict[str, str], list[str]]:
        refuse_root_only(request, "skiplock")
        wanted = with_macs({name: value for name, value in request.parameters.items() if name in options.OPTIONS})
        deleted = formats.split_list(request.text("delete") or "")
        self._check_names(wanted, deleted)
        self._disks.check_parameters(wanted)
        self.check_privileges(request.caller, request.vm_id, [*deleted, *wanted])
        self._disks.check_access(request.caller, request.vm_id, wanted)
        self.check_bridges(request.caller, wanted)
        machine = self._cluster.machines.on(request.node, request.vm_id)
        if request.text("digest") not in {None, "", machine.digest()}:
            raise PveError("checksum mismatch (file change by other user?)")
        machine.refuse_locked()
        _check_balloon(machine, wanted)
        self._check_drives(request.caller, machine, wanted, deleted)
        self.check_serial(request.caller, machine.id, wanted)
        _check_boot(machine, wanted, deleted)
        return machine, wanted, deleted

    def _check_names(self, wanted: Mapping[str, str], deleted: list[str]) -> None:
        if not wanted and not deleted:
            raise PveError("no options specified")
        for name in deleted:
            if name in wanted:
                raise ParameterError({"delete": f"you can't use '-{name}' and -delete {name}' at the same time"})
            if name not in options.OPTIONS:
                raise ParameterError({"delete": f"unknown option '{name}'"})

    def _check_drives(
        self, caller: Caller, machine: Machine, wanted: Mapping[str, str], deleted: Iterable[str]
    ) -> None:
        for name in [*deleted, *wanted]:
            if name.startswith("unused"):
                caller.check(f"/vms/{machine.id}", "VM.Config.Disk")
            if not drives.is_slot(name):
                continue
            for value in (machine.config.get(name), wanted.get(name)):
                if value is not None:
                    _check_drive(caller, machine.id, drives.parse(name, value))

    def _apply(self, machine: Machine, wanted: Mapping[str, str], deleted: Iterable[str]) -> None:
        for name in deleted:
            self._refuse_protected(machine, name)
        for name in deleted:
            self._delete(machine, name)
        for name, value in wanted.items():
            self._set(machine, name, value)

    def _refuse_protected(self, machine: Machine, name: str) -> None:
        """Refuse to take a drive from a protected VM, also where its protection goes in the same request."""
        if name.startswith("unused") and name in machine.config:
            machine.refuse_protected(f"can't remove unused disk '{options.UNUSED(machine.config[name])['file']}'")
        elif drives.is_slot(name) and name in machine.config:
            machine.refuse_protected(f"can't remove drive '{name}'")

    def _delete(self, machine: Machine, name: str) -> None:
        value = machine.config.get(name)
        if value is None:
            machine.pending.pop(name, None)
            return
        if name.startswith("unused"):
            self._cluster.storages.remove(machine.node, options.UNUSED(value)["file"])
        elif drives.is_slot(name):
            self._detach(machine, drives.parse(name, value))
        if machine.runs and name not in options.HOTPLUGGED:
            machine.pending[name] = None
        else:
            del machine.config[name]

    def _detach(self, machine: Machine, drive: drives.Drive) -> None:
        """What becomes of a drive's volume: a disk stays with the VM as unused."""
        order = [slot for slot in _boot_order(machine.config) if slot != drive.slot]
        if order != _boot_order(machine.config):
            machine.config["boot"] = f"order={';'.join(order)}"
        if drive.is_cloud_init:
            self._cluster.storages.remove(machine.node, drive.file)
        elif not drive.is_cdrom and not drive.is_empty:
            number = next(number for number in range(256) if f"unused{number}" not in machine.config)
            machine.config[f"unused{number}"] = drive.file

    def _set(self, machine: Machine, name: str, value: str) -> None:
        if drives.is_slot(name):
            self._attach(machine, drives.parse(name, value))
        elif machine.runs and name not in options.HOTPLUGGED:
            machine.pending[name] = value
        else:
            machine.config[name] = value

    def _attach(self, machine: Machine, drive: drives.Drive) -> None:
        made = self._disks.create(machine.node, machine.id, [drive])
        before = machine.config.get(drive.slot)
        if before is not None and drives.parse(drive.slot, before).file != drive.file:
            self._detach(machine, drives.parse(drive.slot, before))
        machine.config.update(made.options)
        order = _boot_order(machine.config)
        if order and drive.is_cdrom and not drive.is_cloud_init and drive.slot not in order:
            # A CD drive that comes later is made bootable, if the order is of the new kind.
            machine.config["boot"] = f"order={';'.join([*order, drive.slot])}"


def refuse_root_only(request: Request, *names: str) -> None:
    """Refuse parameters that are root's alone; nobody is root here."""
    for name in names:
        if request.flag(name):
            raise ParameterError({name: "Only root may use this option."})


def _snapshot(machine: Machine, name: str) -> Value:
    if name not in machine.snapshots:
        raise PveError(f"snapshot '{name}' does not exist")
    return {option: options.typed(option, value) for option, value in sorted(machine.snapshots[name].items())}


def with_macs(wanted: Mapping[str, str]) -> dict[str, str]:
    """The same options with an address for each network device that has none, as PVE writes them."""
    return {name: _with_mac(value) if name.startswith("net") else value for name, value in wanted.items()}


def new_mac() -> str:
    """An address with the prefix that is Proxmox's own."""
    return ":".join(["BC", "24", "11", *(f"{byte:02X}" for byte in secrets.token_bytes(3))])


def net_text(net: Mapping[str, str]) -> str:
    """A network device as PVE writes it: its model with its address, and the rest in order of the names."""
    rest = {key: value for key, value in net.items() if key not in {"model", "macaddr"}}
    return ",".join([f"{net['model']}={net['macaddr']}", *(f"{key}={rest[key]}" for key in sorted(rest))])


def _with_mac(value: str) -> str:
    net = options.NET(value)
    return net_text({"macaddr": new_mac(), **net})


def _vlans(trunks: str) -> list[str]:
    """The VLANs of `10;20-22`."""
    ranges = [part.partition("-") for part in trunks.split(";") if part]
    return [str(vlan) for first, _, last in ranges for vlan in range(int(first), int(last or first) + 1)]


def _check_any(caller: Caller, path: str, privileges: tuple[str, ...]) -> None:
    if not any(caller.may(path, privilege) for privilege in privileges):
        raise DeniedError(f"{path}, {'|'.join(privileges)}")


def _check_drive(caller: Caller, vm_id: int, drive: drives.Drive) -> None:
    path = f"/vms/{vm_id}"
    if drive.is_cloud_init:
        caller.check(path, "VM.Config.Cloudinit", "VM.Config.CDROM")
    elif drive.is_cdrom:
        caller.check(path, "VM.Config.CDROM")
    else:
        caller.check(path, "VM.Config.Disk")


def _boot_order(config: Mapping[str, str]) -> list[str]:
    order = options.BOOT(config["boot"]).get("order", "") if "boot" in config else ""
    return formats.split_list(order)


def _check_balloon(machine: Machine, wanted: Mapping[str, str]) -> None:
    if not {"memory", "balloon"} & set(wanted):
        return
    memory = options.MEMORY(wanted.get("memory", machine.config.get("memory", "512")))["current"]
    # What is to be deleted in the same request counts as well.
    if int(wanted.get("balloon", machine.config.get("balloon", 0))) > int(memory):
        raise PveError("balloon value too large (must be smaller than assigned memory)")


def _check_boot(machine: Machine, wanted: Mapping[str, str], deleted: Iterable[str]) -> None:
    for device in _boot_order(wanted):
        if device in deleted or not (device in machine.config or device in wanted):
            # The quote that closes nothing is qemu-server's.
            raise PveError(f"invalid bootorder: device '{device}' does not exist'")
