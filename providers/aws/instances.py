"""EC2's description of instances, read from its XML for just the fields that we need.

botocore's parser reads every field of the service's model, and that takes 0.4 ms of CPU per instance: ten times of
what is needed here. The element names are those of the API reference, "Instance" and "InstanceNetworkInterface".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain

from lxml import etree

# The namespace holds the API's version. Without it the parser is a fifth faster, and no version is asked for.
_NAMESPACE = re.compile(rb"""\sxmlns=("[^"]*"|'[^']*')""")

_RESERVATIONS = b"<reservationSet>"
_ITEM = b"<item>"
_END = b"</instancesSet>"
_BATCH_BYTES = 128 * 1024

# The fields of an instance, by XPath from its element; what stands more than once is given with a blank after each.
_ONCE = (
    "instanceId",
    "instanceState/name",
    "vpcId",
    "instanceType",
    "cpuOptions/coreCount",
    "cpuOptions/threadsPerCore",
    "launchTime",
    "networkInterfaceSet/item/attachment[deviceIndex='0']/attachTime",
    "stateReason/code",
    "stateReason/message",
)
# Private, public and IPv6. The instance's own fields are those of its primary interface, so they lead.
_MANY = (
    "privateIpAddress",
    "networkInterfaceSet/item/privateIpAddressesSet/item/privateIpAddress",
    "ipAddress",
    "networkInterfaceSet/item/privateIpAddressesSet/item/association/publicIp",
    "ipv6Address",
    "networkInterfaceSet/item/ipv6AddressesSet/item/ipv6Address",
)

# Between fields, between keys and values, and after each instance: code points that Unicode reserves for use inside of
# a program ("noncharacters"). Texts are rid of them.
_FIELD, _PAIR, _INSTANCE = SEPARATORS = "\ufdd0\ufdd1\ufdd2"

# EC2 attaches the primary interface at the first launch. To boot, stop and start again takes longer than this.
_ONE_START = timedelta(seconds=5)


class NotEC2Error(ValueError):
    """An answer that is not EC2's XML; `str` says what is wrong with it, and never quotes it."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance in EC2's own words; what EC2 left out is empty or None.

    Attributes:
        state: `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
        addresses: private, then public, then IPv6, the primary interface's first.
        made_at: when its primary network interface was attached, which is when it was launched first.
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

    Both hold `instancesSet`: one in each reservation, or the one that was made. libxslt picks the fields out, in C: to
    walk through the elements in Python takes as long as to parse them.

    Raises:
        NotEC2Error: see `parse`; or an instance has no id.

    """
    batches, rest = _divided(body)
    root = parse(rest, answer)
    instances = chain.from_iterable(
        _instances(_parsed(b"<reservationSet>%b</reservationSet>" % batch)) for batch in batches
    )
    return Page(
        (*instances, *_instances(root)),
        next_token=root.findtext("nextToken") or "",
        request_id=root.findtext("requestId") or "",
    )


def _divided(body: bytes) -> tuple[list[bytes], bytes]:
    """Reservations taken out of a long answer, some at a time, and the answer that is left.

    Small trees stay in the processor's cache, and a tree of a whole page would take ten times of its text. The text of
    an element cannot hold the tags, as it has no bare `<`; between the instances of a reservation and the next
    reservation's begin there is no other `item`.
    """
    reservations = body.find(_RESERVATIONS)
    begin = cut = body.find(_ITEM, reservations)
    batches: list[bytes] = []
    while reservations >= 0 and begin >= 0:
        following = body.find(_ITEM, body.find(_END, cut + _BATCH_BYTES)) if len(body) > cut + _BATCH_BYTES else -1
        if following <= cut:
            return batches, body[:begin] + body[cut:]
        batches.append(body[cut:following])
        cut = following
    return batches, body


def parse(body: bytes, answer: str) -> etree._Element:
    """The root of EC2's answer of that name, such as `StartInstancesResponse`.

    Raises:
        NotEC2Error: it is not XML, it is cut off, it is another document, or it brings definitions of its own.

    """
    root = _parsed(_NAMESPACE.sub(b"", body, count=1))
    if root.getroottree().docinfo.internalDTD is not None:
        raise NotEC2Error("a document with a DOCTYPE, which EC2 never sends")
    if root.tag != answer:
        raise NotEC2Error(f"a document of another kind than {answer}")
    return root


def _parsed(text: bytes) -> etree._Element:
    # What is in the XML can neither read a file nor grow by entities. Blanks are half of EC2's text.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, collect_ids=False, remove_blank_text=True, remove_comments=True
    )
    try:
        return etree.fromstring(text, parser)
    except etree.XMLSyntaxError:
        raise NotEC2Error("no well-formed XML") from None


def _instances(root: etree._Element) -> Iterator[Instance]:
    *instances, _ = str(_extractor()(root)).split(_INSTANCE)
    return map(_instance, instances)


@cache
def _extractor() -> etree.XSLT:
    """The stylesheet that makes one text of all instances."""
    field, pair, instance = (f"<xsl:text>{separator}</xsl:text>" for separator in SEPARATORS)
    once = "".join(f'<xsl:value-of select="{path}"/>{field}' for path in _ONCE)
    many = "".join(
        f'<xsl:for-each select="{path}"><xsl:value-of select="."/><xsl:text> </xsl:text></xsl:for-each>'
        for path in _MANY
    )
    tag = "".join(
        f"<xsl:value-of select=\"translate({part}, '{SEPARATORS}', '')\"/>{pair}" for part in ("key", "value")
    )
    return etree.XSLT(
        etree.XML(
            f"""
            <xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
              <xsl:output method="text"/>
              <xsl:template match="/">
                <xsl:for-each select="/*/item/instancesSet/item | /*/*/item/instancesSet/item | /*/instancesSet/item">
                  {once}{many}{field}<xsl:for-each select="tagSet/item">{tag}</xsl:for-each>{instance}
                </xsl:for-each>
              </xsl:template>
            </xsl:stylesheet>
            """
        ),
    )


def _instance(line: str) -> Instance:
    """One instance from the extractor's text."""
    *once, addresses, tags = line.split(_FIELD)
    vm_id, state, vpc_id, instance_type, cores, threads, launched, attached, reason_code, reason = once
    if not vm_id:
        raise NotEC2Error("an instance without an id")
    launched_at = _time(launched)
    pairs = iter(tags.split(_PAIR))
    return Instance(
        id=vm_id,
        state=state,
        vpc_id=vpc_id,
        instance_type=instance_type,
        cpus=int(cores) * int(threads) if cores.isdecimal() and threads.isdecimal() else None,
        addresses=tuple(dict.fromkeys(addresses.split())),
        made_at=_time(attached) or launched_at,
        launched_at=launched_at,
        # The text ends with a separator, so that what is left over at the end is no key.
        tags=dict(zip(pairs, pairs, strict=False)),
        reason_code=reason_code,
        reason=reason,
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
