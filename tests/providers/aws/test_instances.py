"""The reader of EC2's XML."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from providers.aws.instances import Instance, NotEC2Error, Page, read_page
from tests.providers.aws.documents import described, instance, run


def read(body: bytes, answer: str = "DescribeInstancesResponse") -> Page:
    """The page in an answer."""
    return read_page(body, answer)


def without(element: str) -> Instance:
    """A whole instance but for one element."""
    text = re.sub(rf"\n {{20}}<{element}>.*?\n {{20}}</{element}>", "", instance(1), flags=re.DOTALL)
    assert text != instance(1)
    return read(described(text)).instances[0]


@pytest.mark.parametrize("indented", [True, False])
def test_read_page_whole_instance_gives_every_field(*, indented: bool) -> None:
    """Indented, as EC2 sends it, or not."""
    assert read(described(instance(7), indented=indented)).instances == (
        Instance(
            id="i-00000000000000007",
            state="running",
            vpc_id="vpc-0123456789abcdef0",
            instance_type="t3.medium",
            cpus=2,
            addresses=("10.0.0.7", "203.0.0.7", "2001:db8::7"),
            made_at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
            launched_at=datetime(2026, 11, 23, 10, tzinfo=UTC),
            tags={"Name": "vm7", "team": "web", "aws:cloudformation:stack-name": "stack"},
            reason_code="",
            reason="",
        ),
    )


def test_read_page_many_reservations_gives_all_and_next_token() -> None:
    """Each instance in a reservation of its own, and two in one."""
    page = read(described(instance(1), instance(2) + instance(3), next_token="more"))
    assert [found.tags["Name"] for found in page.instances] == ["vm1", "vm2", "vm3"]
    assert page.next_token == "more"
    assert page.request_id == "8f7724cf-496f-496e-8fe3-example"


@pytest.mark.parametrize("indented", [True, False])
@pytest.mark.parametrize("number", [1, 30, 150])
def test_read_page_long_answers_give_all_in_order(number: int, *, indented: bool) -> None:
    """What is read some at a time is read whole, to the last reservation with two instances."""
    written = [instance(count) for count in range(number)]
    page = read(described(*written, instance(number) + instance(number + 1), next_token="more", indented=indented))
    assert [found.tags["Name"] for found in page.instances] == [f"vm{count}" for count in range(number + 2)]
    assert len({found.id for found in page.instances}) == number + 2
    assert (page.next_token, page.request_id) == ("more", "8f7724cf-496f-496e-8fe3-example")


def test_read_page_long_answer_that_is_cut_off_is_refused() -> None:
    """Wherever it is cut."""
    whole = described(*map(instance, range(60)))
    for length in (len(whole) - 9, len(whole) // 2, len(whole) // 2 + 777, 1000):
        with pytest.raises(NotEC2Error):
            read(whole[:length])


def test_read_page_no_instances_is_empty() -> None:
    """An empty reservationSet is an empty page."""
    assert read(described()).instances == ()


def test_read_page_sets_written_otherwise_are_read_too() -> None:
    """A blank in a tag must not make a list empty."""
    body = described(instance(1)).replace(b"<instancesSet>", b"<instancesSet >")
    assert [found.tags["Name"] for found in read(body).instances] == ["vm1"]


def test_read_page_run_instances_answer_gives_the_new_one() -> None:
    """RunInstances shows one reservation, without a set of them."""
    assert [found.id for found in read(run(instance(5)), "RunInstancesResponse").instances] == ["i-00000000000000005"]


def test_read_page_other_api_version_is_understood() -> None:
    """No version is asked for."""
    assert len(read(described(instance(1)).replace(b"2016-11-15", b"2099-01-01")).instances) == 1


def test_read_page_without_tags_has_none() -> None:
    """No Name tag either."""
    assert without("tagSet").tags == {}


def test_read_page_without_cpu_options_has_no_cpus() -> None:
    """Some old instance types have none."""
    assert without("cpuOptions").cpus is None


def test_read_page_without_interface_keeps_own_addresses() -> None:
    """A terminated instance has lost its interfaces; then the launch time is all that is known."""
    found = without("networkInterfaceSet")
    assert found.addresses == ("10.0.0.1", "203.0.0.1")
    assert found.made_at == found.launched_at


def test_read_page_two_interfaces_takes_time_of_primary() -> None:
    """The primary has device index 0, wherever it stands; its addresses lead."""
    text = instance(1)
    begin = text.index("<networkInterfaceSet>") + len("<networkInterfaceSet>")
    interface = text[begin : text.index("</networkInterfaceSet>")]
    second = interface.replace("<deviceIndex>0<", "<deviceIndex>1<").replace("2026-03-01", "2026-04-01")
    second = second.replace("10.0.0.1<", "10.0.9.9<").replace("203.0.0.1<", "203.0.9.9<")
    found = read(described(text[:begin] + second + text[begin:])).instances[0]
    assert found.made_at == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    assert found.addresses == ("10.0.0.1", "10.0.9.9", "203.0.0.1", "203.0.9.9", "2001:db8::1")


def test_read_page_odd_time_and_cores_are_left_out() -> None:
    """What cannot be read is unknown, and no error."""
    text = instance(1).replace("2026-", "soon ").replace("<coreCount>1<", "<coreCount>one<")
    found = read(described(text)).instances[0]
    assert (found.made_at, found.launched_at, found.cpus) == (None, None, None)


def test_read_page_stopped_instance_has_reason() -> None:
    """Why it was stopped."""
    reason = "<stateReason><code>Client.UserInitiatedShutdown</code><message>User</message></stateReason>"
    found = read(described(instance(1).replace("<reason/>", reason))).instances[0]
    assert (found.reason_code, found.reason) == ("Client.UserInitiatedShutdown", "User")


def test_read_page_entities_in_tags_are_decoded() -> None:
    """The five that XML knows."""
    assert read(described(instance(1).replace("web", "a &amp; b"))).instances[0].tags["team"] == "a & b"


def test_read_page_instance_without_id_is_refused() -> None:
    """Nobody could use it."""
    with pytest.raises(NotEC2Error, match="without an id"):
        read(described(instance(1).replace("instanceId", "otherId")))


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>
<DescribeInstancesResponse><requestId>&b;</requestId></DescribeInstancesResponse>"""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "well-formed"),
        (b"<html><body>Sign in</body></html>", "another kind"),
        (b"<!DOCTYPE html><html><br></html>", "well-formed"),
        (described(instance(1))[:2000], "well-formed"),
        (described(instance(1))[:-20], "well-formed"),
        (described(instance(1).replace("</tagSet>", "")), "well-formed"),
        (run(instance(1)), "another kind"),
        (BOMB, "DOCTYPE"),
    ],
    ids=["empty", "page", "page-not-xml", "cut-off", "cut-off-late", "broken-inside", "other-answer", "entity-bomb"],
)
def test_parse_what_is_not_ec2s_is_refused(body: bytes, why: str) -> None:
    """Never a crash, and never an empty list."""
    with pytest.raises(NotEC2Error, match=why):
        read(body)
