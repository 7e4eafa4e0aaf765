"""No part of a secret is in an answer or a log record, wherever in a backend's text the secret is."""

import base64
import gzip
import textwrap
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.conformance.harness import Harness
from tests.support.api import Answer, Api, bearer
from tests.support.browser import Browser

pytestmark = pytest.mark.own_simulators

# Eight letters of a secret are a leak. The two blanks are folded by code that tidies texts up, the full stop is taken
# for the end of a sentence, and the quotation mark is escaped by `repr`.
PART_CHARS = 8
SECRET = "vK2mqX7w  pL9z:rT4y'nB8cdF6hWs3."
CLOUD_INIT = "#cloud-config\ntoken: wJ5tGh3k  Qe8zUa1xNf7\nother: Yd4bRi6oMc0pKv9s\n"
ENCODED = base64.b64encode(CLOUD_INIT.encode()).decode()
COMPRESSED = base64.b64encode(gzip.compress(CLOUD_INIT.encode(), 9, mtime=0)).decode()
LONGEST_CUT = 1500


def quoting(secret: str) -> Iterator[str]:
    """Return two texts: each cut of up to `LONGEST_CUT` characters is well within the secret in one of them."""
    copies = " ".join([secret] * (1 + LONGEST_CUT // len(secret)))
    yield copies
    yield "x" * (len(secret) // 2) + copies


def parts(secret: str) -> set[str]:
    """Return each run of eight characters, also with the blanks folded."""
    texts = (secret, " ".join(secret.split()))
    return {text[at : at + PART_CHARS] for text in texts for at in range(len(text) - PART_CHARS + 1)}


class Caller:
    """A caller with a secret of its own, and everything that the service told anybody meanwhile."""

    def __init__(self, backend: Harness, lines: list[str]) -> None:
        self.backend = backend
        # A secret that travels in a header has no blanks.
        self.secret = SECRET if backend.features.logs_in else SECRET.replace("  ", "--")
        self.access_key = backend.admit(self.secret)
        self.api = Api("main", bearer(self.access_key, self.secret))
        self.token = bearer(self.access_key, self.secret).removeprefix("Bearer ")
        self.texts: list[str] = []
        self._lines = lines
        self.vm_id = ""

    def endpoints(self) -> Mapping[str, Callable[[], Answer]]:
        """Return the calls that reach a backend, by the harness's words for them."""
        api, vm_id = self.api, self.vm_id
        wrapped = "\n".join(textwrap.wrap(ENCODED, 32))
        return {
            "list": api.list,
            "get": lambda: api.get(vm_id),
            "create": lambda: api.create("canary", cloud_init=wrapped),
            "start": lambda: api.verb("start", vm_id),
            "restart": lambda: api.verb("restart", vm_id),
            "stop": lambda: api.verb("stop", vm_id),
            "delete": lambda: api.delete(vm_id),
        }

    def call(self, endpoint: str) -> Answer:
        """Call an endpoint and keep its answer."""
        answer = self.endpoints()[endpoint]()
        self.texts.append(answer.body.decode() + repr(answer.headers))
        return answer

    def is_refused(self, endpoint: str, text: str, operation: str = "*") -> bool:
        """Call an endpoint while the backend refuses an operation with this text."""
        self.backend.echo_in_errors(text, operation)
        answer = self.call(endpoint)
        self.backend.reset_trouble()
        return answer.status >= 400

    def leaks(self, *secrets: str) -> list[str]:
        """Return the texts and log lines with a part of a secret in them, the access key aside."""
        secret_parts = {part for secret in secrets for part in parts(secret)} - parts(self.access_key)
        return [
            text
            for text in (*self.texts, *self._lines)
            if any(text[at : at + PART_CHARS] in secret_parts for at in range(len(text)))
        ]


@pytest.fixture
def caller(backend: Harness, lines: list[str]) -> Caller:
    """A caller whom the backend has not seen yet."""
    return Caller(backend, lines)


def test_refused_log_in_does_not_tell_the_secret(caller: Caller, backend: Harness) -> None:
    """By the API and on the sign-in page."""
    for text in quoting(caller.secret):
        assert caller.is_refused("list", text)
        backend.echo_in_errors(text)
        page = Browser().sign_in("main", caller.access_key, caller.secret)
        assert page.status >= 400
        caller.texts.append(page.text)
        backend.reset_trouble()
    assert not caller.leaks(caller.secret, caller.token)


@pytest.mark.parametrize("endpoint", ["list", "get", "create", "start", "stop", "restart", "delete"])
def test_refused_call_does_not_tell_the_secret(caller: Caller, backend: Harness, endpoint: str) -> None:
    """The backend refuses the first call, or the one that does the work."""
    (caller.vm_id,) = backend.seed(1, state="stopped" if endpoint == "start" else "running")
    caller.call("list")
    for text in (*quoting(caller.secret), *quoting(caller.token)):
        for operation in ("*", backend.verb_operations[endpoint]):
            assert caller.is_refused(endpoint, text, operation), operation
    assert not caller.leaks(caller.secret, caller.token)


def test_refused_call_does_not_tell_what_a_log_in_gave(caller: Caller, backend: Harness) -> None:
    """Tickets, cookies and tokens of a session that an earlier request opened."""
    assert caller.call("list").status == 200
    issued = backend.issued_secrets()
    assert bool(issued) is backend.features.logs_in
    for text in (text for one in issued for text in quoting(one)):
        assert caller.is_refused("list", text)
        assert caller.is_refused("create", text)
    assert not caller.leaks(*issued)


def test_refused_create_does_not_tell_cloud_init(caller: Caller, backend: Harness) -> None:
    """In the spellings of the caller and of the clouds, and line by line."""
    spellings = [ENCODED, *CLOUD_INIT.splitlines()[1:]]
    if backend.cloud == "vSphere":
        spellings.append(COMPRESSED)
    for text in (text for one in spellings for text in quoting(one)):
        assert caller.is_refused("create", text, backend.verb_operations["create"])
    assert not caller.leaks(*spellings)


def test_failed_work_does_not_tell_the_secret(caller: Caller, backend: Harness) -> None:
    """A create that the backend accepts, and that fails later."""
    for text in quoting(caller.secret):
        backend.fail_boot(text)
        assert caller.call("create").status >= 400
    assert not caller.leaks(caller.secret)


def test_successful_calls_do_not_tell_a_secret(caller: Caller, backend: Harness) -> None:
    """Each endpoint once, and the pages of a browser that is signed in."""
    (caller.vm_id,) = backend.seed(1)
    browser = Browser()
    assert browser.sign_in("main", caller.access_key, caller.secret).status == 303
    for endpoint in caller.endpoints():
        assert caller.call(endpoint).status < 400, endpoint
        caller.texts.append(browser.go("/vm?environment=main").text)
    assert not caller.leaks(
        caller.secret, caller.token, *backend.issued_secrets(), *CLOUD_INIT.splitlines()[1:], ENCODED
    )
