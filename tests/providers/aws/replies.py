"""One instance in its states, as EC2 answers, and a caller who gets such answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from providers.aws import CLOUD
from providers.credentials import Credentials
from providers.deadline import Deadline
from providers.domain import Environment
from providers.gateway import Backends, Gateway
from providers.network import Network
from tests.providers.aws.documents import described, failed, instance, run
from tests.providers.aws.endpoint import Endpoint, Reply
from tests.support.limits import LIMITS

VM_ID = "i-00000000000000001"


def in_state(state: str, reason: str = "") -> str:
    """The instance, in a state."""
    text = instance(1).replace("<name>running<", f"<name>{state}<")
    return text.replace("<reason/>", f"<stateReason><code>{reason}</code><message>Why</message></stateReason>")


def shown(state: str, reason: str = "") -> Reply:
    """A look at it."""
    return Reply(described(in_state(state, reason)))


def done(operation: str) -> Reply:
    """An accepted change."""
    return Reply(f"<{operation}Response><requestId>r</requestId></{operation}Response>".encode())


MADE = Reply(run(in_state("pending")))
GONE = Reply(failed("InvalidInstanceID.NotFound"), 400)
LOST = Reply(status=None)


def gateway(
    endpoint: Endpoint,
    *,
    vpc_id: str = "",
    network_id: str = "subnet-0123456789abcdef0",
    name: str = "aws1",
    region: str = "Aws-int/eu-west-3",
    options: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Gateway:
    """A caller in an environment that leads to the endpoint."""
    environment = Environment(
        name,
        CLOUD,
        url=endpoint.url,
        region=region,
        vpc_id=vpc_id,
        network_id=network_id,
        options=options,
    )
    network = Network(connect_timeout_seconds=10, read_timeout_seconds=10)
    return Backends(network, LIMITS).gateway(environment, Credentials("AKIAX", "secret"), Deadline.after(60))
