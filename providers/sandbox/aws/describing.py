"""DescribeInstances: which instances a call is about, its filters and its pages.

Pages are counted in instances, as the service counts them; moto counts reservations.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import groupby

from moto.ec2.models.instances import Instance, Reservation

from providers.sandbox.aws.backend import SandboxBackend
from providers.sandbox.aws.rendering import reservation_item
from providers.sandbox.aws.wire import Ec2Error, Ec2Request, Value

INSTANCE_ID = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")
MAX_RESULTS = range(5, 1001)

Found = tuple[Reservation, Instance]

FILTERS: dict[str, Callable[[Found], Sequence[str | None]]] = {
    "architecture": lambda found: [found[1].architecture],
    "availability-zone": lambda found: [found[1].placement.availability_zone],
    "client-token": lambda found: [found[1].client_token],
    "image-id": lambda found: [found[1].image_id],
    "instance-id": lambda found: [found[1].id],
    "instance-state-code": lambda found: [str(found[1].state_code)],
    "instance-state-name": lambda found: [found[1].state],
    "instance-type": lambda found: [found[1].instance_type],
    "instance.group-id": lambda found: [group.id for group in found[1].security_groups],
    "key-name": lambda found: [found[1].key_name],
    "private-ip-address": lambda found: [_of_network(found, found[1].private_ip)],
    "reservation-id": lambda found: [found[0].id],
    "subnet-id": lambda found: [_of_network(found, found[1].subnet_id)],
    "vpc-id": lambda found: [_of_network(found, found[1].vpc_id)],
}


def describe_instances(backend: SandboxBackend, request: Ec2Request) -> dict[str, Value]:
    """The body of an answer to DescribeInstances."""
    ids = request.values("InstanceId")
    limit = _limit(request, ids)
    request.refuse_dry_run()
    found = _found(backend, ids)
    matching = [each for each in _after(found, request) if _passes(backend, each, request.filters())]
    page = matching[:limit]
    return {
        "reservationSet": [
            reservation_item(backend, reservation, [instance for _, instance in members])
            for reservation, members in groupby(page, key=lambda each: each[0])
        ],
        "nextToken": _token(page[-1][1]) if len(matching) > len(page) else None,
    }


def find_instances(backend: SandboxBackend, ids: Sequence[str]) -> list[Instance]:
    """The instances that an action names, in its order; raises as the service does for what is not there."""
    if not ids:
        raise Ec2Error("MissingParameter", "The request must contain the parameter InstanceId")
    return [instance for _, instance in _found(backend, ids)]


def _found(backend: SandboxBackend, ids: Sequence[str]) -> list[Found]:
    everything = {instance.id: (reservation, instance) for reservation, instance in _everything(backend)}
    for instance_id in ids:
        if not INSTANCE_ID.fullmatch(instance_id):
            raise Ec2Error("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
    missing = [instance_id for instance_id in ids if instance_id not in everything]
    if len(missing) == 1:
        raise Ec2Error("InvalidInstanceID.NotFound", f"The instance ID '{missing[0]}' does not exist")
    if missing:
        raise Ec2Error("InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(missing)}' do not exist")
    return [everything[instance_id] for instance_id in ids] if ids else list(everything.values())


def _everything(backend: SandboxBackend) -> Iterator[Found]:
    for reservation in backend.reservations.values():
        for instance in reservation.instances:
            yield reservation, instance


def _limit(request: Ec2Request, ids: Sequence[str]) -> int | None:
    text = request.text("MaxResults")
    if text is None:
        return MAX_RESULTS[-1] if request.text("NextToken") else None
    if ids:
        message = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise Ec2Error("InvalidParameterCombination", message)
    if not text.isdecimal() or int(text) < MAX_RESULTS[0]:
        message = f"Value ( {text} ) for parameter maxResults is invalid. Expecting a value greater than 5."
        raise Ec2Error("InvalidParameterValue", message)
    if int(text) > MAX_RESULTS[-1]:
        message = f"Value ( {text} ) for parameter maxResults is invalid. Expecting a value smaller than 1000."
        raise Ec2Error("InvalidParameterValue", message)
    return int(text)


def _after(found: list[Found], request: Ec2Request) -> list[Found]:
    token = request.text("NextToken")
    if token is None:
        return found
    last = _last_seen(token)
    for index, (_, instance) in enumerate(found):
        if instance.id == last:
            return found[index + 1 :]
    raise Ec2Error("InvalidNextToken", "The specified NextToken is not valid.")


def _token(instance: Instance) -> str:
    return base64.urlsafe_b64encode(f"after {instance.id}".encode()).decode()


def _last_seen(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode().removeprefix("after ")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _passes(backend: SandboxBackend, found: Found, filters: dict[str, list[str]]) -> bool:
    for name, accepted in filters.items():
        values = _filter_values(backend, found, name)
        if not any(_matches(value, pattern) for value in values if value is not None for pattern in accepted):
            return False
    return True


def _filter_values(backend: SandboxBackend, found: Found, name: str) -> Sequence[str | None]:
    tags = backend.tags.get(found[1].id, {})
    if name.startswith("tag:"):
        return [tags.get(name.removeprefix("tag:"))]
    if name == "tag-key":
        return list(tags)
    if name not in FILTERS:
        raise Ec2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
    return FILTERS[name](found)


def _matches(value: str, pattern: str) -> bool:
    # Only * and ? are wildcards in EC2's filters; a bracket is a bracket.
    return value == pattern or fnmatchcase(value, pattern.replace("[", "[[]"))


def _of_network(found: Found, value: str | None) -> str | None:
    return None if found[1].state == "terminated" else value
