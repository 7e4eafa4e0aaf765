"""Sessions: one log-in at a time, never shared between callers, bounded in number and age."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from providers.credentials import Credentials
from providers.errors import ThrottledError
from providers.login_throttle import LoginThrottle, credentials_accepted
from providers.sessions import MAX_LOG_OUTS, SessionStore
from tests.support.threads import at_once
from tests.support.waiting import wait_until


class Session:
    """Something that is open until it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        """Close."""
        self.closed += 1


def caller(number: int) -> Credentials:
    """One of many callers."""
    return Credentials(f"key-{number}", "canary-secret")


ONE = caller(1)


def use(store: SessionStore[Session], credentials: Credentials = ONE, environment: str = "e") -> Session:
    """Take a session and give it back."""
    with store.lease(environment, credentials, Session) as session:
        assert session.closed == 0
        return session


def test_lease_of_the_same_caller_gives_the_same_session() -> None:
    """Kept between requests."""
    store: SessionStore[Session] = SessionStore()
    assert use(store) is use(store)


@pytest.mark.parametrize(
    ("environment", "credentials"),
    [
        ("f", ONE),
        ("e", Credentials("key-1", "other")),
        ("e", Credentials("key-2", "canary-secret")),
        ("e", Credentials("key-1canary", "-secret")),
        ("ekey-1", Credentials("", "canary-secret")),
        ("e", Credentials("key-1", "canary-secret\n")),
    ],
)
def test_lease_of_another_caller_never_gives_the_same_session(environment: str, credentials: Credentials) -> None:
    """Environment, access key and secret all count, and where one ends and the next begins."""
    store: SessionStore[Session] = SessionStore()
    assert use(store) is not use(store, credentials, environment)


class Answering(Session):
    """A session that its backend still accepts when it logs out."""

    def close(self) -> None:
        """Log out."""
        super().close()
        credentials_accepted()


def test_log_out_of_another_session_accepts_no_credentials() -> None:
    """A full store closes a session within the request of another caller, whose secret may be wrong."""
    store: SessionStore[Session] = SessionStore(most=1)
    throttle = LoginThrottle()
    with store.lease("e", ONE, Answering) as other:
        pass
    for number in range(3):
        wrong = Credentials("key-2", f"wrong-{number}")
        with (
            suppress(TimeoutError),
            throttle.attempt("e", wrong, "192.0.2.1"),
            store.lease("e", wrong, Answering),
        ):
            raise TimeoutError
    wait_until(lambda: other.closed == 1)
    with pytest.raises(ThrottledError), throttle.attempt("e", Credentials("key-2", "wrong-3"), "192.0.2.1"):
        pass


def test_lease_by_many_at_once_logs_in_once() -> None:
    """They wait for the first one."""
    store: SessionStore[Session] = SessionStore()
    logins: list[int] = []

    def open_() -> Session:
        logins.append(1)
        time.sleep(0.1)
        return Session()

    def lease(number: int) -> Session:
        with store.lease("e", ONE, open_) as session:
            return session

    assert len(set(map(id, at_once(16, lease)))) == 1
    assert len(logins) == 1


def test_lease_whose_log_in_fails_fails_for_all_who_wait() -> None:
    """Sixteen requests with a wrong secret are one wrong log-in; the next request tries anew."""
    store: SessionStore[Session] = SessionStore()
    logins: list[int] = []

    def open_() -> Session:
        logins.append(1)
        time.sleep(0.2)
        raise PermissionError

    def lease(number: int) -> bool:
        try:
            with store.lease("e", ONE, open_):
                return True
        except PermissionError:
            return False

    assert at_once(16, lease) == [False] * 16
    assert len(logins) == 1
    assert len(store) == 0
    assert use(store).closed == 0


def test_lease_that_raises_gives_the_session_back() -> None:
    """An error of its user does not close it, and does not keep it open either."""
    store: SessionStore[Session] = SessionStore()
    session = use(store)
    with pytest.raises(KeyError), store.lease("e", ONE, Session):
        raise KeyError
    assert use(store) is session
    store.close()
    assert session.closed == 1


def test_evict_while_in_use_closes_when_the_last_user_has_gone() -> None:
    """Nobody's connection is cut; nobody new gets it."""
    store: SessionStore[Session] = SessionStore()
    with store.lease("e", ONE, Session) as first:
        with store.lease("e", ONE, Session) as second:
            store.evict("e", ONE)
            assert second is first
            assert use(store) is not first
        assert first.closed == 0
    wait_until(lambda: first.closed == 1)


def test_evict_others_closes_the_sessions_of_all_other_environments() -> None:
    """The files were reloaded, and an environment has changed or vanished. A session in use is closed after it."""
    store: SessionStore[Session] = SessionStore()
    kept, gone = use(store, environment="kept"), use(store, environment="gone")
    with store.lease("changed", ONE, Session) as changed:
        store.evict_others({"kept", "new"})
        wait_until(lambda: gone.closed == 1)
        assert (kept.closed, changed.closed) == (0, 0)
    wait_until(lambda: changed.closed == 1)
    assert use(store, environment="kept") is kept


def test_evict_while_opening_closes_after_use() -> None:
    """The log-in is under way when another request hears that the credentials are bad."""
    store: SessionStore[Session] = SessionStore()
    opening, go_on = threading.Event(), threading.Event()
    opened: list[Session] = []

    def open_() -> Session:
        opening.set()
        go_on.wait(5)
        opened.append(Session())
        return opened[0]

    def lease() -> None:
        with store.lease("e", ONE, open_):
            pass

    thread = threading.Thread(target=lease)
    thread.start()
    assert opening.wait(5)
    store.evict("e", ONE)
    go_on.set()
    thread.join(5)
    wait_until(lambda: [session.closed for session in opened] == [1])
    assert len(store) == 0


def test_evict_of_nothing_does_nothing() -> None:
    """Twice, or before there was any."""
    store: SessionStore[Session] = SessionStore()
    store.evict("e", ONE)
    session = use(store)
    store.evict("e", ONE)
    store.evict("e", ONE)
    wait_until(lambda: session.closed == 1)


def test_store_that_is_full_closes_the_least_recently_used() -> None:
    """The bound holds, whoever comes."""
    store: SessionStore[Session] = SessionStore(most=2)
    first, second = use(store, caller(1)), use(store, caller(2))
    use(store, caller(1))
    use(store, caller(3))
    wait_until(lambda: second.closed == 1)
    assert (first.closed, len(store)) == (0, 2)
    for number in range(100):
        use(store, caller(number))
    assert len(store) == 2


def test_store_that_is_full_of_sessions_in_use_closes_none_of_them() -> None:
    """They are put out, and closed when they are given back."""
    store: SessionStore[Session] = SessionStore(most=1)
    with store.lease("e", caller(1), Session) as first:
        second = use(store, caller(2))
        assert (first.closed, len(store)) == (0, 1)
    wait_until(lambda: first.closed == 1)
    assert second.closed == 0


def test_session_that_is_idle_for_long_is_not_given_out_again() -> None:
    """Its caller gets a new one, before any sweep."""
    store: SessionStore[Session] = SessionStore(idle_seconds=0.05)
    session = use(store)
    time.sleep(0.1)
    assert use(store) is not session
    give_up = time.monotonic() + 5
    while not session.closed and time.monotonic() < give_up:
        time.sleep(0.01)
    assert session.closed == 1
    store.close()


class Hanging(Session):
    """A session whose log-out hangs until all are let go."""

    let_go: threading.Event

    def close(self) -> None:
        """Hang."""
        assert self.let_go.wait(60)
        super().close()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """Return what lets hanging sessions go, at the end of the test at the latest."""
    Hanging.let_go = threading.Event()
    yield Hanging.let_go
    Hanging.let_go.set()


def lease_hanging(store: SessionStore[Session], number: int) -> Session:
    """Take a session whose log-out hangs, and give it back."""
    with store.lease("hanging", caller(number), Hanging) as session:
        return session


def test_no_caller_waits_until_a_session_is_closed(let_go: threading.Event) -> None:
    """Neither in a store that is full, nor after the last use of an evicted session."""
    store: SessionStore[Session] = SessionStore(most=1)
    surplus = lease_hanging(store, 1)
    used = lease_hanging(store, 2)
    with store.lease("hanging", caller(2), Hanging):
        store.evict("hanging", caller(2))
    store.evict_others({"other"})
    assert (surplus.closed, used.closed) == (0, 0)
    let_go.set()
    wait_until(lambda: (surplus.closed, used.closed) == (1, 1))


def test_sessions_are_closed_beside_one_whose_log_out_hangs(let_go: threading.Event) -> None:
    """One cloud does not hold up the log-outs from the others."""
    store: SessionStore[Session] = SessionStore(lifetime_seconds=0.05)
    hanging, other = lease_hanging(store, 1), use(store, environment="other")
    wait_until(lambda: other.closed == 1)
    assert hanging.closed == 0
    let_go.set()
    store.close()
    assert hanging.closed == 1


def test_close_logs_out_of_all_sessions_at_once() -> None:
    """A stop takes as long as the slowest log-out, not as long as all of them."""
    all_at_once = threading.Barrier(MAX_LOG_OUTS)

    class Meeting(Session):
        def close(self) -> None:
            all_at_once.wait(60)
            super().close()

    store: SessionStore[Session] = SessionStore(most=MAX_LOG_OUTS, close_seconds=60.0)
    sessions = []
    for number in range(MAX_LOG_OUTS):
        with store.lease("e", caller(number), Meeting) as session:
            sessions.append(session)
    store.close()
    assert [session.closed for session in sessions] == [1] * MAX_LOG_OUTS


def test_close_leaves_and_logs_what_takes_too_long(let_go: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """A cloud that hangs does not hold up the stop of the service."""
    caplog.set_level(logging.WARNING, "cloudvm")
    store: SessionStore[Session] = SessionStore(close_seconds=2.0)
    hanging = [lease_hanging(store, number) for number in range(3)]
    other = use(store)
    store.close()
    assert other.closed == 1
    assert [session.closed for session in hanging] == [0, 0, 0]
    assert [record.getMessage() for record in caplog.records] == ["3 sessions could not be logged out within 2 s"]


def test_session_that_cannot_be_closed_does_not_keep_the_next_from_it(caplog: pytest.LogCaptureFixture) -> None:
    """A fault is logged."""
    caplog.set_level(logging.ERROR, "cloudvm")

    class Broken(Session):
        def close(self) -> None:
            raise ValueError

    store: SessionStore[Session] = SessionStore()
    with store.lease("broken", ONE, Broken):
        pass
    other = use(store)
    store.close()
    assert other.closed == 1
    assert [record.getMessage() for record in caplog.records] == ["a session could not be closed"]


def test_session_that_is_in_use_is_not_idle() -> None:
    """However long a request takes."""
    store: SessionStore[Session] = SessionStore(idle_seconds=0.05)
    with store.lease("e", ONE, Session) as session:
        time.sleep(0.1)
        assert use(store) is session


def test_session_that_is_old_is_not_given_out_again() -> None:
    """Used or not: tickets and tokens do not live for ever."""
    store: SessionStore[Session] = SessionStore(lifetime_seconds=0.2)
    until = time.monotonic() + 5
    with store.lease("e", ONE, Session) as session:
        while use(store) is session:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert session.closed == 0
    wait_until(lambda: session.closed == 1)


def test_store_keeps_no_secret_in_its_keys() -> None:
    """Nor anything that is the same in the next process."""
    stores: list[SessionStore[Session]] = [SessionStore(), SessionStore()]
    keys = []
    for store in stores:
        use(store)
        (key,) = store._entries
        keys.append(key)
        assert "canary" not in repr(vars(store))
    assert len(keys[0]) == 32
    assert keys[0] != keys[1]


def test_close_closes_everything_once() -> None:
    """What is in use when it is given back."""
    store: SessionStore[Session] = SessionStore()
    idle = use(store, caller(2))
    with store.lease("e", ONE, Session) as busy:
        store.close()
        store.close()
        assert (idle.closed, busy.closed, len(store)) == (1, 0, 0)
    wait_until(lambda: busy.closed == 1)
    assert idle.closed == 1


def test_session_that_nobody_uses_is_closed_without_another_request() -> None:
    """On a quiet server, too: credentials don't stay in memory for longer than was said."""
    store: SessionStore[Session] = SessionStore(idle_seconds=0.05)
    session = use(store)
    give_up = time.monotonic() + 5
    while not session.closed and time.monotonic() < give_up:
        time.sleep(0.01)
    assert (session.closed, len(store)) == (1, 0)
    store.close()
