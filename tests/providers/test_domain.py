"""What the values that pass between the HTTP side and the drivers know of themselves."""

from providers.domain import Idempotency, Offer, OperatingSystem, VMSpec


def spec(idempotency: Idempotency | None) -> VMSpec:
    """A VM that is asked for with a key."""
    return VMSpec("vm1", OperatingSystem("Linux", "Debian"), Offer("t3.small", "ami"), idempotency=idempotency)


def test_request_key_differs_by_key_and_by_environment() -> None:
    """A key is a promise about one VM in one environment, whatever the content."""
    keys = {
        spec(Idempotency(key, "digest")).request_key(environment)
        for environment in ("a", "b", "a b")
        for key in ("1", "2", "b 1")
    }
    assert len(keys) == 9
    assert all(len(key) == 64 for key in keys)
    assert spec(Idempotency("1", "x")).request_key("a") == spec(Idempotency("1", "y")).request_key("a")


def test_request_without_a_key_is_known_by_nothing() -> None:
    """Neither by its key nor by its content."""
    assert (spec(None).request_key("a"), spec(None).request_digest) == ("", "")
