"""The way to a Prism: behind a path, by certificates, with credentials in any alphabet."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.middleware.http_proxy import ProxyMiddleware

from providers.credentials import Credentials
from providers.domain import StopMode
from providers.errors import BackendTLSError, CredentialsRejectedError, VMNotFoundError
from providers.sandbox.authority import Authority
from providers.sandbox.nutanix import CLUSTER
from providers.sandbox.server import Server
from tests.providers.nutanix.prism import GET, Prism

NON_LATIN = Credentials("ж-użytkownik@例え.テスト", "pass:wörd \N{GRINNING FACE} €:")


@dataclass
class Gate:
    """A gateway in front of a Prism, under a path; `queries` are what it has passed on, with their methods."""

    prism: Prism
    queries: list[str] = field(default_factory=list)

    @contextmanager
    def open(self, authority: Authority) -> Iterator[str]:
        """The url of the Prism behind it."""
        trusted = ssl.create_default_context(cafile=self.prism.ca_file)
        target = {"target": self.prism.sandbox.url, "remove_prefix": True, "ssl_context": trusted}
        onward = ProxyMiddleware(NotFound(), {"/prisms/one/": target})

        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self.queries.append(f"{environ['REQUEST_METHOD']} {unquote(environ.get('QUERY_STRING', ''))}".strip())
            return onward(environ, start_response)

        with Server(application, ssl_context=authority.server_context()) as server:
            yield f"{server.url}/prisms/one/"


def test_url_behind_a_path_works(prism: Prism, authority: Authority) -> None:
    """A gateway that serves several Prisms by one name: every verb, and operations by their own names."""
    with Gate(prism).open(authority) as url:
        gateway = prism.gateway(options={}, url=url)
        vm_id = prism.create(gateway)
        gateway.stop_vm(vm_id, StopMode.FORCE, 0)
        assert [vm.id for vm in gateway.list_vms()] == [vm_id]
        gateway.delete_vm(vm_id)
        with pytest.raises(VMNotFoundError) as caught:
            gateway.get_vm(vm_id)
    assert caught.value.backend is not None
    assert caught.value.backend.operation == GET[prism.api]
    assert (prism.remains(), prism.sandbox.logins) == ([], 1)


def test_calls_ask_for_no_more_than_they_need(element: Prism, authority: Authority) -> None:
    """NICs would cost v2.0 a look-up for each VM of a list; snapshots would keep the disks of a VM that is deleted."""
    (vm_id,) = element.sandbox.seed(1)
    gate = Gate(element)
    with gate.open(authority) as url:
        gateway = element.gateway(url=url)
        gateway.list_vms()
        gateway.get_vm(vm_id)
        gateway.delete_vm(vm_id)
    assert gate.queries[:3] == ["GET", "GET include_vm_nic_config=true", "DELETE delete_snapshots=true"]


def test_list_by_v4_asks_for_the_fields_that_it_shows(central: Prism, authority: Authority) -> None:
    """A hundred at a time, of the environment's cluster."""
    gate = Gate(central)
    with gate.open(authority) as url:
        central.gateway(url=url).list_vms()
    (query,) = gate.queries
    assert query.startswith("GET $page=0&$limit=100&$select=extId,name,")
    assert query.endswith(f"&$filter=cluster/extId eq '{CLUSTER}'")
    assert "disks" not in query


@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_list_with_a_wrong_ca_file_is_refused(prism: Prism, tmp_path: Path, content: bytes | None) -> None:
    """A file that is not there, empty, or something else: nothing is sent, and another environment's way stays open."""
    ca_file = tmp_path / "other.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(BackendTLSError):
        prism.gateway(ca_file=str(ca_file), options={}).list_vms()
    assert prism.sandbox.calls.count() == 0
    assert prism.gateway(options={}).list_vms() == []


def test_create_with_a_ca_file_of_another_authority_is_refused(prism: Prism, tmp_path: Path) -> None:
    """Nothing is sent, least of all the password, and nothing has to be looked for."""
    other = Authority(tmp_path / "other.pem")
    with pytest.raises(BackendTLSError, match="ca_file") as caught:
        prism.create(prism.gateway(ca_file=str(other.ca_file)))
    assert caught.value.leftovers == ()
    assert (prism.sandbox.calls.count(), prism.sandbox.logins) == (0, 0)


def test_credentials_in_any_alphabet_log_in(prism: Prism) -> None:
    """In UTF-8, with colons in the password; and wrong ones are just wrong."""
    prism.sandbox.add_user(NON_LATIN.access_key, NON_LATIN.secret)
    vm_id = prism.create(prism.gateway(NON_LATIN))
    assert {task.user for task in prism.sandbox.tasks("create")} == {NON_LATIN.access_key}
    prism.gateway(NON_LATIN).delete_vm(vm_id)
    with pytest.raises(CredentialsRejectedError):
        prism.gateway(Credentials(NON_LATIN.access_key, "wörd")).list_vms()
