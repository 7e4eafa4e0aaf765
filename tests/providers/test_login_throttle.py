"""Wrong credentials are kept away from the clouds, and right ones never wait for them."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing import get_context

import pytest

from providers.credentials import Credentials
from providers.errors import (
    BackendFailureError,
    BackendReply,
    ConflictError,
    CredentialsRejectedError,
    CredentialsUnusableError,
    PermissionDeniedError,
    ProviderError,
    ThrottledError,
    VMNotFoundError,
)
from providers.login_throttle import TRIAL_SECONDS, LoginThrottle, credentials_accepted
from tests.support.clock import Clock
from tests.support.threads import at_once

RIGHT = "right-secret"


class Cloud:
    """A cloud with one right secret for each access key; `asked` holds the secrets that reached it."""

    def __init__(self, clock: Clock | None = None, *, entries: int = 64) -> None:
        self.clock = clock or Clock()
        self.throttle = LoginThrottle(entries=entries, clock=self.clock)
        self.asked: list[str] = []

    def use(self, secret: str, *, access_key: str = "key", client: str = "192.0.2.1", authority: str = "e") -> str:
        """Send a request and return `ok`, or the error's class and the seconds to wait."""
        return self._send(authority, Credentials(access_key, secret), client, is_right=secret == RIGHT)

    def reject(self, secret: str) -> str:
        """Send a request that the cloud rejects if it reaches it, whether the secret is right or not."""
        return self._send("e", Credentials("key", secret), "192.0.2.1", is_right=False)

    def _send(self, authority: str, credentials: Credentials, client: str, *, is_right: bool) -> str:
        try:
            with self.throttle.attempt(authority, credentials, client) as attempt:
                self.asked.append(credentials.secret)
                if not is_right:
                    raise attempt.judge(CredentialsRejectedError("No."))
                attempt.accept()
        except (CredentialsRejectedError, ThrottledError) as error:
            return f"{type(error).__name__} {error.retry_after_seconds or 0:g}"
        return "ok"


@pytest.fixture
def cloud() -> Cloud:
    """A cloud, with nothing remembered."""
    return Cloud()


def test_wrong_credentials_are_refused_from_memory_for_longer_after_each_rejection(cloud: Cloud) -> None:
    """5, 30, then 300 seconds, again and again."""
    for pause in (5, 30, 300, 300):
        asked = len(cloud.asked)
        assert cloud.use("wrong") == f"CredentialsRejectedError {pause}"
        cloud.clock.now += pause - 1
        assert cloud.use("wrong") == "CredentialsUnusableError 1"
        assert len(cloud.asked) == asked + 1
        cloud.clock.now += 1


def test_wrong_credentials_that_rested_for_an_hour_begin_with_the_shortest_pause(cloud: Cloud) -> None:
    """An expired key may have been renewed."""
    cloud.use("wrong")
    cloud.clock.now += 5
    assert cloud.use("wrong") == "CredentialsRejectedError 30"
    cloud.clock.now += 3601
    assert cloud.use("wrong") == "CredentialsRejectedError 5"


@pytest.mark.parametrize("place", [{"authority": "other"}, {"access_key": "other"}])
def test_rejection_counts_for_its_authority_and_access_key_only(cloud: Cloud, place: dict[str, str]) -> None:
    """Another place may take the same secret."""
    cloud.use("wrong")
    assert cloud.use("wrong", **place) == "CredentialsRejectedError 5"
    assert cloud.asked == ["wrong", "wrong"]


def test_rejection_counts_for_every_client(cloud: Cloud) -> None:
    """The account is the same."""
    cloud.use("wrong")
    assert cloud.use("wrong", client="192.0.2.2") == "CredentialsUnusableError 5"


def test_fourth_wrong_secret_from_a_client_waits(cloud: Cloud) -> None:
    """Until the first one is five minutes old; the right one waits as well if the cloud never accepted it."""
    for secret, pause in {"a": 5, "b": 5, "c": 280}.items():
        assert cloud.use(secret) == f"CredentialsRejectedError {pause}"
        cloud.clock.now += 10
    assert cloud.use("d") == cloud.use(RIGHT) == "LoginThrottledError 270"
    assert cloud.asked == ["a", "b", "c"]
    cloud.clock.now += 270
    assert cloud.use(RIGHT) == "ok"


@pytest.mark.parametrize("place", [{"authority": "other"}, {"access_key": "other"}, {"client": "192.0.2.2"}])
def test_fourth_secret_elsewhere_passes(cloud: Cloud, place: dict[str, str]) -> None:
    """At another authority, for another access key, from another client."""
    for secret in ("a", "b", "c"):
        cloud.use(secret)
    assert cloud.use("d", **place) == "CredentialsRejectedError 5"
    assert cloud.use(RIGHT, **place) == "ok"


def test_rejection_counts_from_its_own_time(cloud: Cloud) -> None:
    """The first requests with the secrets, four minutes before, have asked the cloud nothing."""
    for secret in ("a", "b", "c"):
        with cloud.throttle.attempt("e", Credentials("key", secret), "192.0.2.1"):
            pass
    cloud.clock.now += 240
    for secret in ("a", "b", "c"):
        cloud.use(secret)
    cloud.clock.now += 120
    assert cloud.use("d") == "LoginThrottledError 180"
    assert cloud.asked == ["a", "b", "c"]


def test_three_wrong_secrets_are_not_tried_again_before_the_first_try_is_five_minutes_old(cloud: Cloud) -> None:
    """However often they are sent, after whatever pauses."""
    for secret in ("a", "b", "c"):
        cloud.use(secret)
    for seconds in (5, 30, 264):
        cloud.clock.now += seconds
        assert {cloud.use(secret).split()[0] for secret in ("a", "b", "c")} == {"CredentialsUnusableError"}
    assert cloud.asked == ["a", "b", "c"]
    cloud.clock.now += 1
    assert [cloud.use(secret).split()[0] for secret in ("a", "b", "c")] == ["CredentialsRejectedError"] * 3


def test_right_secret_passes_after_one_wrong_secret_was_tried_three_times(cloud: Cloud) -> None:
    """A script has repeated it. Two more wrong ones pass as well, and no other."""
    for pause in (5, 30, 0):
        cloud.use("a")
        cloud.clock.now += pause
    assert cloud.use(RIGHT) == "ok"
    assert cloud.use("b").startswith("CredentialsRejectedError")
    assert cloud.use("c").startswith("CredentialsRejectedError")
    assert cloud.use("d").startswith("LoginThrottledError")
    cloud.clock.now += 5
    assert {cloud.use(secret).split()[0] for secret in ("a", "b", "c")} == {"CredentialsUnusableError"}
    assert cloud.asked == ["a", "a", "a", RIGHT, "b", "c"]


def test_spellings_of_an_access_key_count_together(cloud: Cloud) -> None:
    """Many clouds take them for one account."""
    for access_key in ("admin@pve", "Admin@pve", "admin@PVE"):
        cloud.use(f"wrong for {access_key}", access_key=access_key)
    assert cloud.use("d", access_key="ADMIN@PVE") == "LoginThrottledError 300"


def test_right_secret_passes_amid_wrong_ones(cloud: Cloud) -> None:
    """After two wrong ones also for the first time, and once accepted always; it gives a guesser no new tries."""
    assert [cloud.use("a"), cloud.use("b")] == ["CredentialsRejectedError 5"] * 2
    assert [cloud.use(RIGHT), cloud.use(RIGHT)] == ["ok", "ok"]
    assert cloud.use("c") == "CredentialsRejectedError 300"
    for number in range(20):
        assert cloud.use(f"guess-{number}").startswith("LoginThrottledError")
        assert cloud.use(RIGHT) == "ok"
    assert [secret for secret in cloud.asked if secret != RIGHT] == ["a", "b", "c"]


def test_right_secret_is_unknown_after_a_month_without_use(cloud: Cloud) -> None:
    """Each use counts."""
    for days in (0, 29, 29):
        cloud.clock.now += days * 24 * 3600
        assert cloud.use(RIGHT) == "ok"
    cloud.clock.now += 30 * 24 * 3600
    for secret in ("a", "b", "c"):
        cloud.use(secret)
    assert cloud.use(RIGHT).startswith("LoginThrottledError")


def test_right_secret_that_is_rejected_in_passing_is_tried_again_at_once(cloud: Cloud) -> None:
    """Whatever others try meanwhile, and again and again."""
    cloud.use(RIGHT)
    for number in range(6):
        cloud.clock.now += 1
        assert cloud.reject(RIGHT) == "CredentialsRejectedError 0"
        cloud.clock.now += 1
        cloud.use(f"wrong-{number}")
        assert cloud.use(RIGHT) == "ok"


def test_secret_that_was_changed_reaches_the_cloud_three_times_in_five_minutes(cloud: Cloud) -> None:
    """It is a wrong one from the second rejection on. When the cloud accepts it again, nothing is left of that."""
    cloud.use(RIGHT)
    cloud.asked.clear()
    outcomes = []
    for _ in range(331):
        cloud.clock.now += 1
        outcomes.append(cloud.reject(RIGHT))
    assert [one for one in outcomes if one.startswith("CredentialsRejectedError")] == [
        f"CredentialsRejectedError {pause}" for pause in (0, 30, 300)
    ]
    assert len(cloud.asked) == 3
    cloud.clock.now += 1
    assert [cloud.use(RIGHT), cloud.use(RIGHT)] == ["ok", "ok"]


def test_secret_that_was_rejected_in_passing_is_tried_by_one_request_first(cloud: Cloud) -> None:
    """The others wait for its outcome: the secret may have been changed."""
    cloud.use(RIGHT)
    cloud.clock.now += 1
    cloud.reject(RIGHT)
    cloud.clock.now += 1
    outcomes = at_once(20, lambda _: cloud.reject(RIGHT).split()[0])
    assert sorted(outcomes) == ["CredentialsRejectedError"] + ["CredentialsUnusableError"] * 19


def test_twenty_wrong_secrets_at_once_reach_the_cloud_three_times() -> None:
    """Requests that come together are no way around."""
    cloud = Cloud()
    outcomes = at_once(20, lambda number: cloud.use(f"wrong-{number}").split(" ", maxsplit=1)[0])
    assert sorted(outcomes) == ["CredentialsRejectedError"] * 3 + ["LoginThrottledError"] * 17
    assert len(cloud.asked) == 3


def test_same_wrong_secret_twenty_times_at_once_reaches_the_cloud_once() -> None:
    """The others wait for the first one's outcome."""
    cloud = Cloud()
    outcomes = at_once(20, lambda _: cloud.use("wrong").split(" ", maxsplit=1)[0])
    assert sorted(outcomes) == ["CredentialsRejectedError"] + ["CredentialsUnusableError"] * 19
    assert cloud.asked == ["wrong"]


def test_requests_wait_for_a_first_try_until_the_cloud_accepts_it(cloud: Cloud) -> None:
    """Not until that request ends, which may make a VM for minutes."""
    with ThreadPoolExecutor(1) as pool, cloud.throttle.attempt("e", Credentials("key", RIGHT), "192.0.2.1"):
        second = pool.submit(cloud.use, RIGHT)
        time.sleep(0.1)
        assert cloud.asked == []
        credentials_accepted()
        assert second.result() == "ok"


def test_requests_wait_for_a_first_try_of_another_process_too() -> None:
    """And share what came of it."""
    cloud = Cloud()
    with ThreadPoolExecutor(1) as pool, cloud.throttle.attempt("e", Credentials("key", "wrong"), "192.0.2.1"):
        second = pool.submit(cloud.use, "wrong")
        time.sleep(0.1)
        worker = get_context("fork").Process(target=reject, args=(cloud.throttle,))
        worker.start()
        worker.join()
        assert (worker.exitcode, second.result()) == (0, "CredentialsUnusableError 5")
    assert cloud.asked == []


def reject(throttle: LoginThrottle) -> None:
    """Reject what the test above tries, in another process."""
    caller = throttle.caller("e", Credentials("key", "wrong"), "192.0.2.1")
    throttle.reject(caller, since=0.0)


def test_requests_wait_for_a_first_try_that_shows_nothing_only_once(cloud: Cloud) -> None:
    """A cloud that does not answer would else be asked by one after the other; they count as one."""
    with (
        ThreadPoolExecutor(4) as pool,
        suppress(BackendFailureError),
        cloud.throttle.attempt("e", Credentials("key", RIGHT), "192.0.2.1"),
    ):
        others = [pool.submit(cloud.use, RIGHT) for _ in range(4)]
        time.sleep(0.1)
        raise BackendFailureError("No answer.")
    assert [other.result() for other in others] == ["ok"] * 4


def test_request_waits_for_a_first_try_no_longer_than_its_time() -> None:
    """The process may have been killed meanwhile."""
    cloud = Cloud()
    throttle = cloud.throttle
    assert throttle.begin(throttle.caller("e", Credentials("key", RIGHT), "192.0.2.1"))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(cloud.use, RIGHT)
        time.sleep(0.1)
        cloud.clock.now += TRIAL_SECONDS
        assert second.result() == "ok"


def test_request_that_asks_the_cloud_nothing_proves_nothing(cloud: Cloud) -> None:
    """Its credentials count as unknown ones afterwards."""
    for number in range(3):
        with cloud.throttle.attempt("e", Credentials("key", f"secret-{number}"), "192.0.2.1"):
            pass
    assert cloud.use(RIGHT) == "LoginThrottledError 300"


REPLY = BackendReply("Aws", "StartInstances")


@pytest.mark.parametrize(
    ("failure", "is_proof"),
    [
        (PermissionDeniedError("No.", backend=REPLY), True),
        (VMNotFoundError("No.", backend=REPLY), True),
        (ConflictError("No.", backend=REPLY), False),
        (BackendFailureError("No.", backend=REPLY), False),
        (CredentialsUnusableError("No.", backend=REPLY), False),
    ],
)
def test_error_that_only_a_known_caller_gets_is_an_acceptance(
    cloud: Cloud, failure: ProviderError, *, is_proof: bool
) -> None:
    """Credentials of which nothing is known after an error go on counting as tried."""
    for number in range(3):
        with (
            pytest.raises(type(failure)),
            cloud.throttle.attempt("e", Credentials("key", f"secret-{number}"), "192.0.2.1") as attempt,
        ):
            raise attempt.judge(failure)
    assert cloud.use(RIGHT) == ("ok" if is_proof else "LoginThrottledError 300")
    assert failure.retry_after_seconds is None


def test_failure_of_a_log_in_that_requests_share_counts_once_and_stays_as_it_is(cloud: Cloud) -> None:
    """Each request gets an error of its own, with the time to wait."""
    shared = CredentialsRejectedError("No.", backend=REPLY)
    cloud.use(RIGHT)
    with ExitStack() as requests:
        attempts = [
            requests.enter_context(cloud.throttle.attempt("e", Credentials("key", RIGHT), "192.0.2.1"))
            for _ in range(3)
        ]
        assert cloud.reject(RIGHT) == "CredentialsRejectedError 0"
        cloud.clock.now += 5
        told = [attempt.judge(shared) for attempt in attempts]
        assert [error.retry_after_seconds for error in told] == [30, 30, 30]
        assert {error.detail for error in told} == {
            "No. The cloud is not asked about these credentials again for 30 seconds."
        }
        assert told[0].backend is REPLY
        assert (shared.detail, shared.retry_after_seconds) == ("No.", None)
        with pytest.raises(CredentialsUnusableError):
            attempts[0].check()


def test_request_that_began_before_a_rejection_in_passing_does_not_log_in_again(cloud: Cloud) -> None:
    """Nothing says that the secret is wrong, but each of many requests would try it."""
    cloud.use(RIGHT)
    with cloud.throttle.attempt("e", Credentials("key", RIGHT), "192.0.2.1") as attempt:
        attempt.check()
        cloud.clock.now += 1
        cloud.reject(RIGHT)
        cloud.clock.now += 1
        with pytest.raises(CredentialsUnusableError) as caught:
            attempt.check()
        assert caught.value.retry_after_seconds == 1
        assert cloud.use(RIGHT) == "ok"
        attempt.check()


def test_rejection_at_the_end_of_a_long_request_counts_for_itself(cloud: Cloud) -> None:
    """An earlier one, of another request, is no longer remembered."""
    throttle = cloud.throttle
    caller = throttle.caller("e", Credentials("key", RIGHT), "192.0.2.1")
    began_at = cloud.clock.now
    assert throttle.reject(caller, since=began_at) == throttle.reject(caller, since=began_at) == 5
    cloud.clock.now += 100
    assert throttle.reject(caller, since=began_at) == 30


def test_throttle_that_many_clients_fill_refuses_nobody() -> None:
    """The oldest goes first."""
    cloud = Cloud(entries=4)
    for number in range(50):
        assert cloud.use("wrong", access_key=f"key-{number}", client=f"192.0.2.{number}").startswith(
            "CredentialsRejectedError"
        )
        cloud.clock.now += 40
    assert cloud.use(RIGHT, access_key="new") == "ok"


def test_throttle_that_one_client_fills_loses_nothing_that_counts() -> None:
    """That client gets no new tries by it, whatever access keys it invents, and holds up nobody else."""
    cloud = Cloud(entries=64)
    assert cloud.use(RIGHT, client="198.51.100.1") == "ok"
    for secret in ("a", "b", "c"):
        cloud.use(secret)
        cloud.use(f"other {secret}", client="198.51.100.2")
    for number in range(500):
        cloud.clock.now += 0.01
        cloud.use("wrong", access_key=f"key-{number}")
    assert cloud.use("wrong", access_key="one-more") == "LoginThrottledError 300"
    cloud.asked.clear()
    for secret in ("a", "b", "c", "d"):
        cloud.use(secret)
        cloud.use(f"other {secret}", client="198.51.100.2")
    assert cloud.asked == []
    assert cloud.use(RIGHT, client="198.51.100.1") == "ok"
    assert cloud.use(RIGHT, client="198.51.100.3", access_key="new") == "ok"
    cloud.clock.now += 300
    assert cloud.use(RIGHT) == "ok"
