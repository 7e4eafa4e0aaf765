"""Operation tokens: what is taken, and what is not."""

import time

import pytest
from django.core import signing
from django.core.signing import JSONSerializer, TimestampSigner, b62_encode

from providers.domain import Operation, Verb
from tests.support.api import Api
from vms.operations import LIFETIME_SECONDS, OperationTokenError, seal, unseal

SALT = "cloudvm.operation"
OPERATION = Operation(Verb.STOP, "i-00000000", "handle/with:odd ✓ signs", guest_until=123.5, then_force=True)


class OldSigner(TimestampSigner):
    """Signs as if at another time."""

    def __init__(self, age_seconds: float) -> None:
        super().__init__(salt=SALT)
        self._at = int(time.time() - age_seconds)

    def timestamp(self) -> str:
        """When it claims to sign."""
        return b62_encode(self._at)


@pytest.mark.parametrize("operation", [OPERATION, Operation(Verb.CREATE, None, "")])
def test_unseal_of_a_sealed_operation_gives_it_back(operation: Operation) -> None:
    """All that is needed to follow it, and the environment."""
    followed = unseal(seal(operation, "aws-one", "key"))
    assert followed.environment == "aws-one"
    assert followed.operation == operation


def test_unseal_of_a_sealed_operation_tells_its_owner_without_the_access_key() -> None:
    """Another access key, or the same one in another environment, is another owner."""
    token = seal(OPERATION, "aws-one", "AKIAOWNER")
    assert unseal(token).is_owned_by("AKIAOWNER")
    assert not any(unseal(token).is_owned_by(other) for other in ("AKIAOTHER", "akiaowner", ""))
    assert unseal(seal(OPERATION, "aws-two", "AKIAOWNER")).owner != unseal(token).owner
    assert "AKIAOWNER" not in str(signing.loads(token, salt=SALT))


def test_seal_gives_a_token_that_needs_no_quoting() -> None:
    """It stands in a path."""
    assert set(seal(OPERATION, "a", "key")) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.")


@pytest.mark.parametrize(("age_seconds", "taken"), [(LIFETIME_SECONDS - 60, True), (LIFETIME_SECONDS + 60, False)])
def test_unseal_of_an_old_token_is_refused_after_a_day(age_seconds: float, taken: bool) -> None:  # noqa: FBT001
    """The signature holds the time at which it was made."""
    token = OldSigner(age_seconds).sign_object(
        ["aws-one", "stop", "i-00000000", "", "owner"], serializer=JSONSerializer
    )
    if taken:
        assert unseal(token).environment == "aws-one"
    else:
        with pytest.raises(OperationTokenError, match="has expired"):
            unseal(token)


@pytest.mark.parametrize("position", [0, 5, -1, -20])
def test_unseal_of_a_tampered_token_is_refused(position: int) -> None:
    """One character is enough, in the content, the time or the signature."""
    token = seal(OPERATION, "aws-one", "key")
    other = "A" if token[position] != "A" else "B"
    changed = token[:position] + other + (token[position + 1 :] if position != -1 else "")
    with pytest.raises(OperationTokenError, match="was not signed by this service"):
        unseal(changed)


def test_unseal_of_a_token_of_another_key_or_purpose_is_refused() -> None:
    """Another service's, or another use of the same key."""
    content = ["aws-one", "stop", "i-00000000", "", "owner"]
    for token in (signing.dumps(content, key="another key", salt=SALT), signing.dumps(content, salt="other")):
        with pytest.raises(OperationTokenError, match="was not signed"):
            unseal(token)


@pytest.mark.parametrize(
    "content",
    [
        ["aws-one", "clone", "i-00000000", "", "owner"],
        ["aws-one", "stop", "i-00000000", ""],
        ["aws-one", "stop", "i-00000000", "", 1.0, True],
        ["aws-one", "stop", "i-00000000", "", None],
        ["aws-one", "stop", "i-00000000", "", "owner", 1.0],
        ["aws-one", "stop", "i-00000000", "", "owner", 1.0, True, "more"],
        [],
        {},
        None,
        7,
        "text",
    ],
)
def test_follow_a_token_of_another_version_is_not_found(api: Api, content: object) -> None:
    """Well signed, but nothing that this version understands: a replica that was not yet, or no longer, updated."""
    answer = api.call("GET", f"/operation/{signing.dumps(content, salt=SALT)}")
    assert answer.code == "operation_not_found"


@pytest.mark.parametrize("token", ["x", "a:b:c", ":::", ".a:b:c", "é:é:é", "a" * 5000, "%00", "..", ".eJw:1:x"])
def test_follow_nonsense_is_not_found(api: Api, token: str) -> None:
    """Never an exception, whatever stands there."""
    answer = api.call("GET", f"/operation/{token}")
    assert answer.code == "operation_not_found"
    assert answer.calls == 0


def test_follow_an_operation_of_an_environment_that_is_gone_is_not_found(api: Api) -> None:
    """The name stands in the path, if in other clothes."""
    answer = api.call("GET", f"/operation/{seal(OPERATION, 'no-longer-there', 'key')}")
    assert (answer.status, answer.code) == (404, "environment_not_found")
