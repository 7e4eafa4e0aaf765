"""The certificate of the server while it is replaced."""

import ssl
from pathlib import Path

import pytest
import trustme

from tests.vms.server.conftest import write_certificate
from vms.server.tls import Certificate, CertificateError


def presented(certificate: Certificate, authority: trustme.CA, name: str | None = "localhost") -> str:
    """Return the serial number that a client gets; without a name there is no SNI."""
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    client_context.check_hostname = name is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = client.getpeercert()
    assert found is not None
    return str(found["serialNumber"])


@pytest.mark.parametrize("name", ["localhost", None])
def test_certificate_that_is_reloaded_is_presented(tmp_path: Path, authority: trustme.CA, name: str | None) -> None:
    """Also to clients that name no host."""
    write_certificate(tmp_path, authority)
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    old = presented(certificate, authority, name)
    write_certificate(tmp_path, authority)
    assert presented(certificate, authority, name) == old
    certificate.reload()
    assert presented(certificate, authority, name) != old


def test_certificate_that_does_not_fit_its_key_changes_nothing(tmp_path: Path, authority: trustme.CA) -> None:
    """Handshakes never see a half of the old pair and a half of the new one."""
    write_certificate(tmp_path, authority)
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    old = presented(certificate, authority)
    key = (tmp_path / "key.pem").read_bytes()
    write_certificate(tmp_path, authority)
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(CertificateError):
        certificate.reload()
    assert presented(certificate, authority) == old
