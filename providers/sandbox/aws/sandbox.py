"""The AWS simulator's face: started and stopped, given faults and instances, and looked into, by tests."""

import base64
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from moto.ec2.models.instances import Instance

from providers.sandbox.authority import Authority
from providers.sandbox.aws.actions import Ec2
from providers.sandbox.aws.app import Ec2App
from providers.sandbox.aws.backend import IMAGE_ID, REGION, ROOT_DEVICE, ROOT_GIB, ROOT_VOLUME_TYPE, SUBNET_ID
from providers.sandbox.aws.lifecycle import Failure
from providers.sandbox.aws.signature import AccessKey
from providers.sandbox.simulator import Simulator

ACCESS_KEY = "demo@sandbox"
SECRET = "demo"  # noqa: S105 - the sandbox's own, known to everybody
SESSION_ACCESS_KEY = "ASIADEMO"
SESSION_TOKEN = "demo-session"  # noqa: S105 - as above
EXPIRED_SESSION_TOKEN = "demo-session-expired"  # noqa: S105 - as above
KEYS: Mapping[str, AccessKey] = {
    ACCESS_KEY: AccessKey(SECRET),
    SESSION_ACCESS_KEY: AccessKey(SECRET, SESSION_TOKEN, EXPIRED_SESSION_TOKEN),
}


@dataclass(frozen=True)
class SimulatedVolume:
    """A disk; detached when it has no device."""

    id: str
    size_gib: int
    device: str | None
    delete_on_termination: bool
    tags: Mapping[str, str]


@dataclass(frozen=True)
class SimulatedVM:
    """An instance that is not terminated, as the simulator knows it."""

    id: str
    name: str | None
    state: str
    tags: Mapping[str, str]
    user_data: bytes | None
    vpc_id: str | None
    subnet_id: str | None
    image_id: str
    instance_type: str
    security_group_ids: tuple[str, ...]
    shutdown_behavior: str
    http_tokens: str
    client_token: str | None
    reboots: int
    volumes: tuple[SimulatedVolume, ...]


class AwsSandbox(Simulator):
    """EC2 in eu-west-3 at `url`, from `start` to `stop`; may be used as a context manager.

    Without an authority it speaks plain HTTP. Each sandbox is an account of its own in moto, and shares
    nothing with the others in its process.
    """

    def __init__(self, authority: Authority | None = None, *, transition_seconds: float = 1.0, port: int = 0) -> None:
        super().__init__()
        self._ec2 = Ec2(f"{secrets.randbelow(10**12):012}", transition_seconds)
        self._usual_transition_seconds = transition_seconds
        self._keys = dict(KEYS)
        self.be_served(Ec2App(self._ec2, self._keys, self.faults, self.calls), authority, port)

    def stop(self) -> None:
        """End every connection and thread; calls that are being delayed are dropped."""
        super().stop()
        self._ec2.close()

    def add_access_key(self, access_key: str, secret: str) -> None:
        """Add an access key of the same account, until the next reset."""
        self._keys[access_key] = AccessKey(secret)

    @property
    def transition_seconds(self) -> float:
        """How long a change of state takes from now on; may be set."""
        return self._ec2.lifecycle.transition_seconds

    @transition_seconds.setter
    def transition_seconds(self, seconds: float) -> None:
        self._ec2.lifecycle.transition_seconds = seconds

    def hurry(self) -> None:
        """End the changes of state under way now, whatever time they were to take."""
        with self._ec2.lock:
            self._ec2.lifecycle.hurry()

    def reset(self) -> None:
        """Everything as at the start: no instance, no fault, no knob turned, no call counted."""
        self.faults.clear()
        for access_key in self._keys.keys() - KEYS.keys():
            del self._keys[access_key]
        self._ec2.reset()
        self.transition_seconds = self._usual_transition_seconds
        self.calls.clear()

    def ignore_stop(self, vm_id: str | None = None) -> None:
        """Let this guest, or all guests, ignore a stop that is not forced: it hangs in `stopping`."""
        with self._ec2.lock:
            if vm_id is None:
                self._ec2.lifecycle.guest_ignores_stop = True
            else:
                self._ec2.lifecycle.ignore_stop(vm_id)

    def fail_next_boot(self, code: str = "Server.InternalError", message: str = "Internal error on launch") -> None:
        """Let the next instance that becomes pending fail: a new one ends terminated, another stopped."""
        with self._ec2.lock:
            self._ec2.lifecycle.fail_next_boot(Failure(code, message))

    def age(self, seconds: float) -> None:
        """Make all instances this much older."""
        with self._ec2.lock:
            for instance in self._instances():
                instance.launch_time -= timedelta(seconds=seconds)
                for interface in instance.nics.values():
                    if interface.attach_time is not None:
                        interface.attach_time -= timedelta(seconds=seconds)

    def seed(self, count: int, *, prefix: str = "vm", state: str = "running", subnet_id: str = SUBNET_ID) -> list[str]:
        """Make instances without HTTP, named `<prefix>-0001` and so on; the ids are in that order."""
        with self._ec2.lock:
            return [self._seed_one(f"{prefix}-{number:04}", state, subnet_id) for number in range(1, count + 1)]

    def protect(self, vm_id: str) -> None:
        """Turn an instance's termination protection on."""
        with self._ec2.lock:
            self._ec2.backend.get_instance(vm_id).disable_api_termination = True

    def user_data(self, vm_id: str) -> bytes | None:
        """What the instance's guest would read as its user data."""
        with self._ec2.lock:
            return _user_data(self._ec2.backend.get_instance(vm_id))

    def vms(self) -> tuple[SimulatedVM, ...]:
        """The instances that are not terminated, oldest first."""
        with self._ec2.lock:
            self._ec2.lifecycle.settle()
            return tuple(self._record(instance) for instance in self._instances() if instance.state != "terminated")

    def vm(self, vm_id: str) -> SimulatedVM:
        """One instance that is not terminated; raises `KeyError`."""
        return {vm.id: vm for vm in self.vms()}[vm_id]

    def volumes(self) -> tuple[SimulatedVolume, ...]:
        """All volumes there are, attached or not: what is left when no instance is has leaked."""
        with self._ec2.lock:
            self._ec2.lifecycle.settle()
            return tuple(self._volume(volume_id) for volume_id in self._ec2.backend.volumes)

    def network_interfaces(self) -> tuple[str, ...]:
        """The ids of all network interfaces there are, attached or not."""
        with self._ec2.lock:
            self._ec2.lifecycle.settle()
            return tuple(self._ec2.backend.enis)

    def _instances(self) -> Iterator[Instance]:
        for reservation in self._ec2.backend.reservations.values():
            yield from reservation.instances

    def _seed_one(self, name: str, state: str, subnet_id: str) -> str:
        backend = self._ec2.backend
        group_id = backend.default_security_group(backend.get_subnet(subnet_id).vpc_id)
        reservation = backend.run_instances(
            IMAGE_ID,
            1,
            None,
            [],
            region_name=REGION,
            instance_type="t3.medium",
            # Spares moto a walk through all the region's instance types, for each instance.
            is_instance_type_default=True,
            subnet_id=subnet_id,
            security_group_ids=[group_id],
            tags={"instance": {"Name": name}},
            block_device_mappings=[_root_volume()],
        )
        instance = reservation.instances[0]
        for interface in instance.nics.values():
            interface.delete_on_termination = True
        self._ec2.lifecycle.adopt(instance, state)
        return instance.id

    def _record(self, instance: Instance) -> SimulatedVM:
        tags = dict(self._ec2.backend.tags.get(instance.id, {}))
        return SimulatedVM(
            id=instance.id,
            name=tags.get("Name"),
            state=instance.state,
            tags=tags,
            user_data=_user_data(instance),
            vpc_id=instance.vpc_id,
            subnet_id=instance.subnet_id,
            image_id=instance.image_id,
            instance_type=instance.instance_type,
            security_group_ids=tuple(group.id for group in instance.security_groups),
            shutdown_behavior=instance.instance_initiated_shutdown_behavior,
            http_tokens=instance.metadata_options.http_tokens,
            client_token=instance.client_token,
            reboots=self._ec2.lifecycle.reboots[instance.id],
            volumes=tuple(self._volume(device.volume_id) for _, device in instance.get_block_device_mapping),
        )

    def _volume(self, volume_id: str) -> SimulatedVolume:
        volume = self._ec2.backend.get_volume(volume_id)
        attachment = volume.attachment
        device = attachment.instance.block_device_mapping[attachment.device] if attachment else None
        return SimulatedVolume(
            id=volume_id,
            size_gib=int(volume.size),
            device=attachment.device if attachment else None,
            delete_on_termination=bool(device and device.delete_on_termination),
            tags=dict(self._ec2.backend.tags.get(volume_id, {})),
        )


def _user_data(instance: Instance) -> bytes | None:
    return base64.b64decode(str(instance.user_data)) if instance.user_data else None


def _root_volume() -> dict[str, object]:
    ebs = {"VolumeSize": ROOT_GIB, "VolumeType": ROOT_VOLUME_TYPE, "DeleteOnTermination": True}
    return {"DeviceName": ROOT_DEVICE, "Ebs": ebs}
