"""No secret leaves by a log line, a body or a header, at any level of logging, whatever goes wrong."""

import base64

import pytest

from providers.redaction import MASK
from tests.conformance.harness import Harness, Trouble
from tests.support.api import Answer, Api, bearer

pytestmark = pytest.mark.own_simulators

CANARY = "canary-p4ssw0rd"
CLOUD_INIT = f"#cloud-config\npassword: {CANARY}-in-cloud-init\n"


def forms(secret: str) -> list[str]:
    """How a secret might look on its way out."""
    raw = secret.encode()
    return [secret, base64.b64encode(raw).decode(), raw.hex(), repr(secret)]


def assert_hidden(answers: list[Answer], lines: list[str], *secrets: str) -> None:
    """None of the secrets is anywhere."""
    told = [answer.body.decode() + repr(answer.headers) for answer in answers] + lines
    for secret in secrets:
        for form in forms(secret):
            assert not [text for text in told if form in text], form


def test_verbs_with_a_wrong_secret_do_not_tell_it(api: Api, backend: Harness, lines: list[str]) -> None:
    """The secret, the token and cloud-init, when everything is refused."""
    wrong = api.as_caller(backend.access_key, CANARY)
    cloud_init = base64.b64encode(CLOUD_INIT.encode()).decode()
    answers = [
        wrong.list(),
        wrong.create(cloud_init=cloud_init),
        wrong.create(cloud_init=cloud_init + "!"),
        wrong.create(cloud_init=cloud_init, nonsense=CANARY),
        wrong.delete(backend.unknown_id),
        wrong.within("down").list(),
        wrong.within("untrusted").create(cloud_init=cloud_init),
        wrong.within(f"no-such-{CANARY}").list(),
        wrong.get(f"{CANARY}%00"),
    ]
    assert all(answer.status >= 400 for answer in answers)
    assert len(lines) > 10
    token = bearer(backend.access_key, CANARY).removeprefix("Bearer ")
    assert_hidden(answers, lines, CANARY, token, CLOUD_INIT, cloud_init)


@pytest.mark.parametrize("trouble", [Trouble.SERVER_ERROR, Trouble.HTML, Trouble.CUT, Trouble.PERMISSION_DENIED])
def test_create_in_trouble_does_not_tell_cloud_init(
    warm: Api, backend: Harness, lines: list[str], trouble: Trouble
) -> None:
    """The right credentials, a broken backend, libraries at DEBUG."""
    backend.trouble(trouble, backend.verb_operations["create"])
    cloud_init = base64.b64encode(CLOUD_INIT.encode()).decode()
    answer = warm.create(cloud_init=cloud_init)
    assert answer.status >= 400
    assert_hidden([answer], lines, f"{CANARY}-in-cloud-init", CLOUD_INIT, cloud_init)


def test_list_from_a_backend_that_echoes_the_secret_masks_it(api: Api, backend: Harness, lines: list[str]) -> None:
    """The backend's error quotes the secret: what we pass on does not."""
    encoded = base64.b64encode(backend.secret.encode()).decode()
    backend.echo_in_errors(f"The secret {backend.secret} is wrong, and so is {encoded}.")
    answer = api.list()
    assert answer.status >= 400
    assert f"The secret {MASK} is wrong, and so is {MASK}." in answer.json["detail"]
    assert_hidden([answer], lines, f"secret {backend.secret}", encoded)


def test_backend_calls_are_logged_in_one_line_each(warm: Api, backend: Harness, lines: list[str]) -> None:
    """Operation, outcome and duration of each call, under the request's id."""
    answer = warm.call("GET", "/vm", query={"environment": "main"}, headers={"X-Request-ID": "look-for-me"})
    assert answer.headers["X-Request-ID"] == "look-for-me"
    calls = [line for line in lines if '"logger":"cloudvm.backend"' in line and '"request_id":"look-for-me"' in line]
    assert len(calls) == len(backend.operations())
    assert all('"duration_ms":' in line and '"operation":' in line for line in calls)
