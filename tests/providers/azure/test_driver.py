"""The driver's verbs through the gateway, against answers that no simulator gives on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from providers import trace
from providers.domain import Operation, StopMode, Verb, VMStatus
from providers.errors import (
    BackendFailureError,
    BackendUnreachableError,
    ConflictError,
    CredentialsRejectedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
    VMNotFoundError,
)
from providers.gateway import Backends, Gateway
from providers.work import Wish
from tests.providers.azure.documents import (
    DONE,
    LINK,
    MISSING,
    NETWORK,
    OPERATION,
    RUNNING,
    accepted,
    caller,
    failed,
    operation,
    vm,
    vms,
)
from tests.providers.azure.endpoint import SUBSCRIPTION, Answering, Reply, Request, answering, script, table
from tests.support.limits import LIMITS
from tests.support.threads import at_once

ALL = "GET virtualMachines"
POLL = "GET locations/westeurope/operations/op-1"
AT_ONCE = Wish(patience_seconds=0)


def lists(group: Reply, subscription: Reply) -> Answering:
    """The two lists by their paths."""
    return lambda request: group if "/resourceGroups/" in request.path else subscription


def test_list_vms_merges_two_lists_whatever_the_case_of_ids() -> None:
    """Names and tags from one, power from the other; other regions and our own tags are not shown."""
    one = vm("Web-1", tags={"team": "web", "cloudvm:creation": "0123", "CloudVM:request-key": "k"})
    state = vm("Web-1", power="deallocated")
    state["id"] = state["id"].upper()
    with answering(lists(vms(one, vm("far", location="North Europe"), vm("new")), vms(state))) as endpoint:
        found = caller(endpoint, region="Azure-int/West Europe").list_vms()
    assert [(one.id, one.name, one.status, one.provider_status) for one in found] == [
        ("Web-1", "Web-1", VMStatus.STOPPED, "deallocated"),
        ("new", "new", VMStatus.UNKNOWN, "Succeeded"),
    ]
    assert (found[0].instance_type, found[0].tags) == ("Standard_B1s", {"team": "web"})
    assert found[0].created_at is not None
    assert found[0].created_at.isoformat() == "2024-02-06T22:07:09.954156+00:00"


def test_list_vms_asks_twice_side_by_side_and_both_are_counted() -> None:
    """Each list waits for the other to be asked for: in a row, neither would be answered."""
    both = threading.Barrier(2, timeout=5)

    def meet(_: Request) -> Reply:
        both.wait()
        return vms()

    with answering(meet) as endpoint, trace.tracing(trace.Trace("r")) as running:
        assert caller(endpoint).list_vms() == []
        assert running.calls == 4
    assert [request.query for request in sorted(endpoint.requests, key=lambda one: len(one.query))] == [
        {"api-version": "2024-07-01"},
        {"api-version": "2024-07-01", "statusOnly": "true"},
    ]


def test_list_vms_pages_are_followed() -> None:
    """By Azure's own link."""
    pages = script(vms(vm("b"), following="{url}/page-2?$skiptoken=x%2By"), vms(vm("a")))
    with answering(lambda request: vms() if "statusOnly" in request.query else pages(request)) as endpoint:
        assert [one.name for one in caller(endpoint).list_vms()] == ["a", "b"]
    assert [one.query["$skiptoken"] for one in endpoint.requests if one.path == "/page-2"] == ["x+y"]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (vms(following="https://elsewhere.example/x"), "elsewhere.example, which is not followed"),
        (vms(following="{url}/again"), "not Azure's"),
        (Reply({"value": None}), "not Azure's"),
        (Reply({"value": ["vm1", None]}), "not Azure's"),
        (Reply({"value": [], "nextLink": {"href": "x"}}), "nowhere, which is not followed"),
        (Reply(b"<html>Sign in</html>"), "not Azure's"),
        (Reply(b"[]"), "not Azure's"),
        (Reply(None, 302, {"Location": "https://elsewhere.example/"}), "redirect, which is not followed"),
    ],
    ids=["other-host", "same-page-twice", "no-list", "no-objects", "no-link", "html", "json-list", "redirect"],
)
def test_list_vms_answer_that_is_not_azures_fails(page: Reply, words: str) -> None:
    """Never an empty list, and never a call to another host."""
    with answering(lambda _: page) as endpoint, pytest.raises(BackendFailureError, match=words):
        caller(endpoint).list_vms()


def test_list_vms_without_the_subscription_asks_for_each_eight_at_a_time_and_remembers() -> None:
    """403 at the subscription: the group's list, then one look for each VM; the second time nobody asks in vain."""
    busy, most, lock = 0, 0, threading.Lock()
    names = [f"vm{number:02}" for number in range(20)]

    def arm(request: Request) -> Reply:
        nonlocal busy, most
        if "statusOnly" in request.query:
            return failed("AuthorizationFailed", "does not have authorization", 403)
        if request.call == ALL:
            return vms(*map(vm, names))
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.05)
        with lock:
            busy -= 1
        name = request.path.rpartition("/")[2]
        return MISSING if name == "vm07" else Reply(vm(name, power="running"))

    backends = Backends(NETWORK, LIMITS)
    with answering(arm) as endpoint, trace.tracing(trace.Trace("r")) as running:
        for _ in range(2):
            found = caller(endpoint, backends).list_vms()
            assert [one.name for one in found] == [name for name in names if name != "vm07"]
            assert {one.status for one in found} == {VMStatus.RUNNING}
        assert running.calls == 2 + 2 + 20 + 1 + 20
        at_once(3, lambda _: caller(endpoint, backends).list_vms())
        backends.close()
    assert 1 < most <= 8
    assert sum("statusOnly" in request.query for request in endpoint.requests) == 1


def test_list_vms_one_look_refused_fails() -> None:
    """A caller who may list and not look is told so."""
    refused = failed("AuthorizationFailed", "does not have authorization", 403)
    lists_only: Answering = lambda one: vms(vm()) if one.call == ALL and "statusOnly" not in one.query else refused  # noqa: E731
    with answering(lists_only) as endpoint, pytest.raises(PermissionDeniedError):
        caller(endpoint).list_vms()


def test_get_vm_answered_404_by_a_proxy_is_a_backend_error() -> None:
    """Only Azure itself can say that there is no such VM."""
    with answering(script(Reply(b"<html>Not here</html>", 404))) as endpoint, pytest.raises(BackendFailureError):
        caller(endpoint).get_vm("vm1")


def test_get_vm_in_other_letters_shows_its_own_spelling() -> None:
    """Azure finds it whatever the case."""
    with answering(script(Reply(vm("Web-1", power="stopped")))) as endpoint:
        found = caller(endpoint).get_vm("WEB-1")
    assert (found.id, found.status, found.provider_status) == ("Web-1", VMStatus.STOPPED, "stopped")
    assert [request.query for request in endpoint.requests] == [
        {"$expand": "instanceView", "api-version": "2024-07-01"}
    ]


VERBS: dict[str, Callable[[Gateway], object]] = {
    "start": lambda azure: azure.start_vm("vm1"),
    "stop": lambda azure: azure.stop_vm("vm1", StopMode.AUTO, 1),
    "stop-force": lambda azure: azure.stop_vm("vm1", StopMode.FORCE, 1),
    "restart": lambda azure: azure.restart_vm("vm1", StopMode.GRACEFUL, 1),
    "restart-force": lambda azure: azure.restart_vm("vm1", StopMode.FORCE, 1),
    "delete": lambda azure: azure.delete_vm("vm1"),
    "get": lambda azure: azure.get_vm("vm1"),
}


@pytest.mark.parametrize("listed_before", [True, False])
@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_vm_of_another_region_is_not_found(verb: str, listed_before: bool) -> None:  # noqa: FBT001 - a case
    """A list does not show it; nothing but looks goes out."""
    far = vm("vm1", location="northeurope", power="running")

    def arm(request: Request) -> Reply:
        return vms(far, vm("vm2")) if request.call == ALL else Reply(far)

    backends = Backends(NETWORK, LIMITS)
    with answering(arm) as endpoint:
        if listed_before:
            assert [one.name for one in caller(endpoint, backends).list_vms()] == ["vm2"]
        with pytest.raises(VMNotFoundError):
            VERBS[verb](caller(endpoint, backends))
        backends.close()
    assert {request.method for request in endpoint.requests} == {"GET"}


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_a_vm_that_was_made_in_another_region_since_is_not_found(verb: str) -> None:
    """A list that did not hold it says nothing about where it is."""
    found = [vms(vm("vm2"))]

    def arm(request: Request) -> Reply:
        return found[0] if request.call == ALL else Reply(vm("vm1", location="northeurope", power="running"))

    backends = Backends(NETWORK, LIMITS)
    with answering(arm) as endpoint:
        assert [one.name for one in caller(endpoint, backends).list_vms()] == ["vm2"]
        with pytest.raises(VMNotFoundError):
            VERBS[verb](caller(endpoint, backends))
        backends.close()
    assert {request.method for request in endpoint.requests} == {"GET"}


@pytest.mark.parametrize("gone", ["deleted", "not found"])
def test_verb_on_a_vm_that_has_gone_and_come_back_elsewhere_is_not_found(gone: str) -> None:
    """What this session has seen going, it does not take for granted."""
    near, far = vm("vm1", power="running"), vm("vm1", location="northeurope", power="running")
    looks = [Reply(near), *([MISSING] if gone == "not found" else []), Reply(far)]
    replies: dict[str, Reply | list[Reply]] = {
        "GET virtualMachines/vm1": looks,
        "DELETE virtualMachines/vm1": accepted(),
        POLL: DONE,
    }
    backends = Backends(NETWORK, LIMITS)
    with answering(table(replies)) as endpoint:
        caller(endpoint, backends).get_vm("vm1")
        if gone == "deleted":
            caller(endpoint, backends).delete_vm("vm1")
        else:
            with pytest.raises(VMNotFoundError):
                caller(endpoint, backends).get_vm("vm1")
        with pytest.raises(VMNotFoundError):
            caller(endpoint, backends).start_vm("vm1")
        backends.close()


def test_verb_after_a_list_or_a_look_is_one_call_and_polls() -> None:
    """A VM that this session has seen lately needs no further look."""
    backends = Backends(NETWORK, LIMITS)
    replies: dict[str, Reply | list[Reply]] = {ALL: vms(vm()), "POST virtualMachines/vm1/start": accepted(), POLL: DONE}
    with answering(table(replies)) as endpoint:
        caller(endpoint, backends).list_vms()
        endpoint.requests.clear()
        caller(endpoint, backends).start_vm("vm1")
        backends.close()
    assert endpoint.calls == ["POST virtualMachines/vm1/start", POLL]


def test_verb_on_a_vm_that_this_session_has_not_seen_looks_once() -> None:
    """And no more from then on."""
    backends = Backends(NETWORK, LIMITS)
    replies: dict[str, Reply | list[Reply]] = {
        ALL: vms(vm("far", location="northeurope")),
        "GET virtualMachines/vm1": RUNNING,
        "POST virtualMachines/vm1/start": accepted(),
        "POST virtualMachines/vm1/deallocate": accepted(),
        POLL: DONE,
    }
    with answering(table(replies)) as endpoint:
        caller(endpoint, backends).list_vms()
        endpoint.requests.clear()
        caller(endpoint, backends).start_vm("vm1")
        caller(endpoint, backends).stop_vm("vm1", StopMode.AUTO, 60)
        backends.close()
    assert endpoint.calls == [
        "GET virtualMachines/vm1",
        "POST virtualMachines/vm1/start",
        POLL,
        "POST virtualMachines/vm1/deallocate",
        POLL,
    ]


@pytest.mark.parametrize(
    ("links", "looks"),
    [
        ({"Azure-AsyncOperation": LINK, "Location": "{url}/never"}, [operation("InProgress"), DONE]),
        ({"Azure-AsyncOperation": LINK}, [operation("Updating"), operation("succeeded")]),
        ({"Location": LINK}, [Reply(None, 202), Reply(None, 204)]),
        ({"Location": LINK}, [Reply(None, 202, {"Location": LINK}), Reply(None, 200)]),
    ],
    ids=["both", "async", "location", "location-200"],
)
def test_start_vm_is_followed_by_either_link(links: dict[str, str], looks: list[Reply]) -> None:
    """The one of `Azure-AsyncOperation` goes first, as it tells more."""
    with answering(script(RUNNING, accepted(links), *looks)) as endpoint:
        assert caller(endpoint).start_vm("vm1").done
    assert [request.path for request in endpoint.requests[2:]] == [OPERATION, OPERATION]
    assert endpoint.requests[2].query == {"p": "1", "api-version": "2024-07-01", "c": "MIIH"}


def test_start_vm_with_braces_in_its_link_follows_it_as_it_is() -> None:
    """The SDK would take them for places to fill in."""
    links = {"Azure-AsyncOperation": f"{LINK}&t={{1}}%7B2%7D"}
    with answering(script(RUNNING, accepted(links), DONE)) as endpoint:
        caller(endpoint).start_vm("vm1")
    assert endpoint.requests[2].query["t"] == "{1}{2}"


@pytest.mark.parametrize("status", [200, 204])
def test_start_vm_answered_without_a_link_is_done(status: int) -> None:
    """Nobody looks at what is over."""
    with answering(script(RUNNING, Reply(None, status))) as endpoint:
        assert caller(endpoint).start_vm("vm1").done
    assert endpoint.calls == ["GET virtualMachines/vm1", "POST virtualMachines/vm1/start"]


@pytest.mark.parametrize("header", ["Azure-AsyncOperation", "Location"])
@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/op",
        "http://127.0.0.1:9/op",
        "//elsewhere.example/op",
        "/op",
        "javascript:x",
        "https://[::1/op",
    ],
)
def test_start_vm_with_a_link_elsewhere_is_refused(header: str, link: str) -> None:
    """The token goes to the management host only."""
    with (
        answering(script(RUNNING, accepted({header: link}))) as endpoint,
        pytest.raises(BackendFailureError, match="not followed"),
    ):
        caller(endpoint).start_vm("vm1")
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("look", "kind", "words"),
    [
        (operation("Failed", "AllocationFailed", "No room."), UnavailableError, r"AllocationFailed\): No room\."),
        (operation("Failed", "OperationNotAllowed", "over Quota"), QuotaExceededError, "over Quota"),
        (operation("Canceled", "OperationPreempted"), ConflictError, "OperationPreempted"),
        (operation("Failed"), BackendFailureError, "does not say why"),
        (Reply({"error": {"code": "VMStartTimedOut", "message": "Slow"}}), BackendFailureError, "VMStartTimedOut"),
    ],
    ids=["allocation", "quota", "preempted", "silent", "no-status"],
)
def test_start_vm_that_fails_later_keeps_azures_code_and_words(
    look: Reply, kind: type[ProviderError], words: str
) -> None:
    """It comes with HTTP 200."""
    with answering(script(RUNNING, accepted(), look)) as endpoint, pytest.raises(kind, match=words) as raised:
        caller(endpoint).start_vm("vm1")
    assert raised.value.backend is not None
    assert raised.value.backend.operation == "VirtualMachines_Start"


@pytest.mark.parametrize(("power", "done"), [("deallocated", True), ("running", False)])
def test_stop_vm_whose_operation_is_forgotten_is_judged_by_the_vm(power: str, done: bool) -> None:  # noqa: FBT001
    """Azure forgets operations after a while; the VM tells whether the work is done."""
    gone = failed("NotFound", "The entity was not found in this Azure location.", 404)
    with answering(script(RUNNING, accepted(), gone, Reply(vm(power=power)))) as endpoint:
        azure = caller(endpoint)
        followed = azure.poll(azure.stop_vm("vm1", StopMode.AUTO, 60, AT_ONCE))
        assert followed.done is done
        assert azure.poll(followed).done is done
    assert endpoint.calls[2:] == [POLL, *["GET virtualMachines/vm1"] * 2]


def test_start_vm_is_followed_by_another_process() -> None:
    """What is in the handle suffices; it holds no host and no secret."""
    with answering(script(RUNNING, accepted(), DONE, RUNNING)) as endpoint:
        begun = caller(endpoint).start_vm("vm1", AT_ONCE)
        assert not begun.done
        assert "127.0.0.1" not in begun.handle
        followed = caller(endpoint).poll(Operation(Verb.START, "vm1", begun.handle))
    assert followed.done
    assert followed.vm is not None
    assert followed.vm.status is VMStatus.RUNNING


def test_start_vm_waits_as_long_as_azure_asks() -> None:
    """Retry-After goes before our own pauses, on the first answer and on each look."""
    waiting = Reply({"status": "InProgress"}, 200, {"Retry-After": "1"})
    begun = time.monotonic()
    with answering(
        script(RUNNING, accepted({"Azure-AsyncOperation": LINK, "Retry-After": "1"}), waiting, DONE)
    ) as azure:
        caller(azure).start_vm("vm1")
    assert time.monotonic() - begun >= 2


def test_start_vm_throttled_is_not_repeated() -> None:
    """The SDK would sleep for as long as it is told, and ask again."""
    begun = time.monotonic()
    refused = failed("TooManyRequests", "Slow down", 429, **{"Retry-After": "30"})
    with answering(script(RUNNING, refused)) as endpoint, pytest.raises(ThrottledError) as raised:
        caller(endpoint).start_vm("vm1")
    assert raised.value.retry_after_seconds == 30
    assert len(endpoint.requests) == 2
    assert time.monotonic() - begun < 30


def test_start_vm_lost_answer_is_not_repeated() -> None:
    """And says that it may have happened."""
    with answering(script(RUNNING, Reply(status=None))) as endpoint, pytest.raises(BackendUnreachableError) as raised:
        caller(endpoint).start_vm("vm1")
    assert raised.value.answer_lost
    assert len(endpoint.requests) == 2


def test_stop_vm_by_force_cuts_the_power_and_deallocates() -> None:
    """Both steps, in this order."""
    replies = script(RUNNING, accepted(), DONE, accepted(), DONE)
    with answering(replies) as endpoint:
        assert caller(endpoint).stop_vm("vm1", StopMode.FORCE, 1).done
    assert endpoint.calls == [
        "GET virtualMachines/vm1",
        "POST virtualMachines/vm1/powerOff",
        POLL,
        "POST virtualMachines/vm1/deallocate",
        POLL,
    ]
    assert endpoint.requests[1].query["skipShutdown"] == "true"


def test_stop_vm_by_force_while_azure_deallocates_waits_for_it() -> None:
    """Azure takes no other order then; the VM's own state tells the end."""
    busy = failed("Conflict", "The request failed due to conflict with a concurrent request.")
    replies = script(RUNNING, busy, Reply(vm(power="deallocating")), Reply(vm(power="deallocated")))
    with answering(replies) as endpoint:
        assert caller(endpoint).stop_vm("vm1", StopMode.FORCE, 1).done
    assert [call for call in endpoint.calls if call.startswith("POST")] == ["POST virtualMachines/vm1/powerOff"]


def test_stop_vm_by_force_of_one_that_is_busy_otherwise_is_a_conflict() -> None:
    """An update, say."""
    busy = failed("Conflict", "The request failed due to conflict with a concurrent request.")
    with answering(script(RUNNING, busy, RUNNING)) as endpoint, pytest.raises(ConflictError, match="concurrent"):
        caller(endpoint).stop_vm("vm1", StopMode.FORCE, 1)


def test_restart_vm_by_force_cuts_the_power_and_gives_it_back() -> None:
    """Azure's own restart asks the guest."""
    with answering(script(RUNNING, accepted(), DONE, accepted(), DONE)) as endpoint:
        assert caller(endpoint).restart_vm("vm1", StopMode.FORCE, 1).done
    posts = [call.rpartition("/")[2] for call in endpoint.calls if call.startswith("POST")]
    assert posts == ["powerOff", "start"]


@pytest.mark.parametrize("power", ["stopped", "deallocated", "deallocating"])
def test_restart_vm_by_force_of_one_that_is_off_is_a_conflict(power: str) -> None:
    """It would be started otherwise."""
    with answering(script(Reply(vm(power=power)))) as endpoint, pytest.raises(ConflictError, match=f"is {power}"):
        caller(endpoint).restart_vm("vm1", StopMode.FORCE, 1)
    assert {request.method for request in endpoint.requests} == {"GET"}


def test_restart_vm_by_force_of_one_that_is_turned_off_meanwhile_is_a_conflict() -> None:
    """Somebody wants it off: it is not started."""
    refused = failed("OperationNotAllowed", "not allowed, as the VM is deallocated")
    replies = script(RUNNING, refused, Reply(vm(power="deallocated")))
    with answering(replies) as endpoint, pytest.raises(ConflictError, match="is deallocated; only one that is running"):
        caller(endpoint).restart_vm("vm1", StopMode.FORCE, 1)
    posts = [call.rpartition("/")[2] for call in endpoint.calls if call.startswith("POST")]
    assert posts == ["powerOff"]


def test_delete_vm_that_is_gone_is_not_found() -> None:
    """Azure answers 204 to who deletes nothing."""
    with answering(script(RUNNING, Reply(None, 204))) as endpoint, pytest.raises(VMNotFoundError):
        caller(endpoint).delete_vm("vm1")


def test_delete_vm_of_a_missing_group_names_the_group() -> None:
    """The environment is at fault, not the id."""
    gone = failed("ResourceGroupNotFound", "Resource group 'group-1' could not be found.", 404)
    with answering(script(gone)) as endpoint, pytest.raises(UnprocessableError, match="group-1"):
        caller(endpoint).delete_vm("vm1")


def test_get_vm_with_a_token_that_azure_refuses_buys_one_other_once() -> None:
    """By any number of threads; the second refusal is the caller's."""
    old = failed("ExpiredAuthenticationToken", "The access token expiry time is past.", 401)

    def arm(request: Request) -> Reply:
        return old if request.headers["authorization"] == "Bearer token-1" else RUNNING

    with answering(arm) as endpoint:
        assert caller(endpoint).get_vm("vm1").name == "vm1"
    tokens = [request.headers["authorization"] for request in endpoint.requests]
    assert tokens == ["Bearer token-1", "Bearer token-2"]

    with (
        answering(script(old)) as endpoint,
        pytest.raises(CredentialsRejectedError, match="ExpiredAuthenticationToken"),
    ):
        caller(endpoint).get_vm("vm1")
    assert len(endpoint.requests) == 2
    assert sum(request.method == "POST" for request in endpoint.log_ins) == 2


def test_lists_name_the_subscription_and_the_group() -> None:
    """As the environment says."""
    with answering(script(vms())) as endpoint:
        caller(endpoint, project="my(group)_1").list_vms()
    assert {request.path for request in endpoint.requests} == {
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/my(group)_1/providers/Microsoft.Compute/virtualMachines",
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines",
    }
