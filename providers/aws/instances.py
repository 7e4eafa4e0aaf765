"""EC2's description of instances, read from its XML for just the fields that we need.

botocore's parser reads every field of the service's model, and that takes 0.4 ms of CPU per instance: ten times of
what is needed here. The element names are those of the API reference, "Instance" and "InstanceNetworkInterface".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from lxml import etree

# The namespace holds the API's version. Without it the parser is a fifth faster, and no version is asked for.
_NAMESPACE = re.compile(rb"""\sxmlns=("[^"]*"|'[^']*')""")

_BEGIN = b"<instancesSet>"
_END = b"</instancesSet>"

_PARTS = (
    "instanceId",
    "instanceState",
    "instanceType",
    "launchTime",
    "vpcId",
    "privateIpAddress",
    "ipAddress",
    "tagSet",
    "networkInterfaceSet",
    "cpuOptions",
    "stateReason",
)
_INTERFACE_LEAVES = ("privateIpAddress", "publicIp", "ipv6Address", "deviceIndex", "attachTime")


# An interface is attached within seconds of the first launch, and stopping takes longer.
_ONE_START = timedelta(seconds=15)


class NotEC2Error(ValueError):
    """An answer that is not EC2's XML; `str` says what is wrong with it, and never quotes it."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance in EC2's own words; what EC2 left out is empty or None.

    Attributes:
        state: `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
        addresses: private, then public, then IPv6, the primary interface's first.
        made_at: when its primary network interface was attached, which is when it was made.
        launched_at: when it was started last.
        tags: all of them, `Name` and EC2's own too.
        reason_code, reason: why it came to its state, as far as EC2 says.

    """

    id: str
    state: str
    vpc_id: str
    instance_type: str
    cpus: int | None
    addresses: tuple[str, ...]
    made_at: datetime | None
    launched_at: datetime | None
    tags: Mapping[str, str]
    reason_code: str
    reason: str

    @property
    def was_started_again(self) -> bool:
        """Whether this is not its first start."""
        return bool(self.made_at and self.launched_at and self.launched_at - self.made_at > _ONE_START)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the instances that were asked for; `next_token` asks for more and is empty at the end."""

    instances: tuple[Instance, ...]
    next_token: str = ""
    request_id: str = ""


def read_page(body: bytes, answer: str) -> Page:
    """The instances of a DescribeInstances or a RunInstances answer.

    Both hold `instancesSet`: one in each reservation, or the one that was made. Each is parsed by itself, out of what
    encloses them all: small trees stay in the processor's cache, and a tree of a whole page would take ten times of
    its text, and a fifth of the time to free. The text of an element cannot hold the tags, as it has no bare `<`.

    Raises:
        NotEC2Error: see `parse`; or an instance has no id.

    """
    begin, *pieces = body.split(_BEGIN)
    pairs = [piece.partition(_END) for piece in pieces]
    root = parse(b"".join((begin, *(rest for _, _, rest in pairs))), answer)
    parser = _parser()
    sets = chain((_parsed(_BEGIN + inside + end, parser) for inside, end, _ in pairs), root.iter("instancesSet"))
    return Page(
        tuple(_instance(item) for found in sets for item in found.iterchildren("item")),
        next_token=root.findtext("nextToken") or "",
        request_id=root.findtext("requestId") or "",
    )


def parse(body: bytes, answer: str) -> etree._Element:
    """The root of EC2's answer of that name, such as `StartInstancesResponse`.

    Raises:
        NotEC2Error: it is not XML, it is cut off, it is another document, or it brings definitions of its own.

    """
    root = _parsed(_NAMESPACE.sub(b"", body, count=1), _parser())
    if root.getroottree().docinfo.internalDTD is not None:
        raise NotEC2Error("a document with a DOCTYPE, which EC2 never sends")
    if root.tag != answer:
        raise NotEC2Error(f"a document of another kind than {answer}")
    return root


def _parser() -> etree.XMLParser:
    """What is in the XML can neither read a file nor grow by entities. Blanks are half of EC2's text."""
    return etree.XMLParser(
        resolve_entities=False, no_network=True, collect_ids=False, remove_blank_text=True, remove_comments=True
    )


def _parsed(text: bytes, parser: etree.XMLParser) -> etree._Element:
    try:
        return etree.fromstring(text, parser)
    except etree.XMLSyntaxError:
        raise NotEC2Error("no well-formed XML") from None


def _instance(item: etree._Element) -> Instance:
    parts = {part.tag: part for part in item.iterchildren(*_PARTS)}
    texts = {tag: part.text or "" for tag, part in parts.items()}
    if not texts.get("instanceId"):
        raise NotEC2Error("an instance without an id")
    launched_at = _time(texts.get("launchTime"))
    attached_at, addresses = _network(texts, parts.get("networkInterfaceSet"))
    reason = _children(parts.get("stateReason"))
    return Instance(
        id=texts["instanceId"],
        state=_children(parts.get("instanceState")).get("name", ""),
        vpc_id=texts.get("vpcId", ""),
        instance_type=texts.get("instanceType", ""),
        cpus=_cpus(_children(parts.get("cpuOptions"))),
        addresses=addresses,
        made_at=attached_at or launched_at,
        launched_at=launched_at,
        tags=_tags(parts.get("tagSet")),
        reason_code=reason.get("code", ""),
        reason=reason.get("message", ""),
    )


def _children(element: etree._Element | None) -> dict[str, str]:
    return {} if element is None else {child.tag: child.text or "" for child in element}


def _tags(tag_set: etree._Element | None) -> dict[str, str]:
    pairs = (_children(item) for item in (tag_set if tag_set is not None else ()))
    return {pair.get("key", ""): pair.get("value", "") for pair in pairs}


def _cpus(options: Mapping[str, str]) -> int | None:
    try:
        return int(options["coreCount"]) * int(options["threadsPerCore"])
    except (KeyError, ValueError):
        return None


def _network(texts: Mapping[str, str], interfaces: etree._Element | None) -> tuple[datetime | None, tuple[str, ...]]:
    """When the primary interface was attached, and all addresses.

    The instance's own address fields are those of the primary interface, so they lead.
    """
    attached_at = None
    found: dict[str, list[str]] = {"privateIpAddress": [], "publicIp": [], "ipv6Address": []}
    for interface in interfaces if interfaces is not None else ():
        leaves = [(leaf.tag, leaf.text or "") for leaf in interface.iter(*_INTERFACE_LEAVES)]
        if ("deviceIndex", "0") in leaves:
            attached_at = _time(dict(leaves).get("attachTime"))
        for tag, text in leaves:
            if tag in found:
                found[tag].append(text)
    private, public, ipv6 = found.values()
    return attached_at, _distinct(
        [texts.get("privateIpAddress"), *private, texts.get("ipAddress"), *public, *ipv6],
    )


def _distinct(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, texts)))


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
