"""From a VM that is wanted to the instance that EC2 is asked for, and what EC2 could never make."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping

from providers.aws.client import Launch, RootDisk
from providers.aws.instances import Instance
from providers.domain import Environment, VMSpec
from providers.errors import FieldFault, InvalidRequestError, UnprocessableError, in_one_line

IMAGE_PATTERN = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")

NAME_TAG = "Name"
# EC2 compares the content of requests with the same client token. This tag makes it compare the caller's, too, where
# two bodies would ask EC2 for the same instance.
REQUEST_TAG = "cloudvm:request"
# Set before a failed create's instance is terminated: a retry with the same key may then make another one. Its value is
# the instance's id, as people copy tags to other instances.
DISCARDED_TAG = "cloudvm:discarded"
# `aws:` in any case is AWS's own (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html).
RESERVED_PREFIXES = ("aws:", "cloudvm:")
MOST_TAGS = 50
# How many instances of one key may have been discarded before a retry gives up.
MOST_DISCARDED = 10
# Reasons ("StateReason" in the API reference) for which an instance goes down that has run.
_AFTER_LAUNCH = ("Client.UserInitiated", "Client.InstanceInitiated", "Server.Spot", "Server.ScheduledStop")


def check(environment: Environment, spec: VMSpec) -> None:
    """Refuse what EC2 could never make here.

    Raises:
        InvalidRequestError: the tags are at fault.
        UnprocessableError: the environment or the machine type is.

    """
    if not environment.network_id:
        raise UnprocessableError(
            f"No VM can be made in environment {environment.name!r}: fill in the id of a subnet (subnet-…) "
            "as its `network_id`."
        )
    if not IMAGE_PATTERN.fullmatch(spec.offer.image):
        raise UnprocessableError(
            f"The machine type's image on Aws is {spec.offer.image!r}, which is not the id of an AMI; "
            "one looks like ami-0123456789abcdef0."
        )
    faults = tuple(_tag_faults(spec.tags, MOST_TAGS - len(_own_tags(spec))))
    if faults:
        raise InvalidRequestError(f"AWS cannot take these tags: {in_one_line(faults)}", fields=faults)


def launch_of(environment: Environment, spec: VMSpec, root: RootDisk | None) -> Launch:
    """What to ask EC2 for. `root` is the image's own system disk, needed only if the spec wants a size."""
    if root and spec.os.disk_gib:
        root = RootDisk(root.device_name, max(root.size_gib, spec.os.disk_gib))
    name = {NAME_TAG: spec.name}
    return Launch(
        token=_token(environment, spec),
        image=spec.offer.image,
        instance_type=spec.offer.instance_type,
        subnet_id=environment.network_id,
        tags={**spec.tags, **_own_tags(spec)},
        volume_tags={**spec.tags, **name},
        security_group_ids=environment.options.get("security_group_ids", ()),
        user_data=spec.cloud_init or None,
        root=root,
    )


def shown_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that are the user's own."""
    return {key: value for key, value in tags.items() if not _is_reserved(key)}


def _token(environment: Environment, spec: VMSpec) -> str:
    """At most 64 characters; without a key every request is new."""
    return spec.request_key(environment.name) or str(uuid.uuid4())


def tokens(launch: Launch) -> Iterator[str]:
    """Yield the client tokens of a request with a key: EC2 refuses that of a terminated instance for good."""
    yield launch.token
    for number in range(1, MOST_DISCARDED + 1):
        yield hashlib.sha256(f"{launch.token} {number}".encode()).hexdigest()


def is_marked(instance: Instance) -> bool:
    """Return whether a failed create of this service gave an instance up."""
    return instance.tags.get(DISCARDED_TAG) == instance.id


def was_discarded(instance: Instance) -> bool:
    """Return whether a failed create of this service gave an instance up, or EC2 did before it could run.

    An instance that somebody deleted was a finished VM: a retry must not bring it back.
    """
    if is_marked(instance):
        return True
    is_going = instance.state in {"shutting-down", "terminated"}
    return is_going and bool(instance.reason_code) and not instance.reason_code.startswith(_AFTER_LAUNCH)


def _own_tags(spec: VMSpec) -> dict[str, str]:
    request = {REQUEST_TAG: spec.request_digest} if spec.idempotency else {}
    return {NAME_TAG: spec.name, **request}


def _tag_faults(tags: Mapping[str, str], most: int) -> list[FieldFault]:
    faults = [FieldFault("tags", f"{key!r} is reserved") for key in tags if _is_reserved(key)]
    if len(tags) > most:
        faults.append(
            FieldFault("tags", f"{len(tags)} are too many: AWS takes {MOST_TAGS} in all, {most} of them yours")
        )
    return faults


def _is_reserved(key: str) -> bool:
    return key == NAME_TAG or key.lower().startswith(RESERVED_PREFIXES)
