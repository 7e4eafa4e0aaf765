"""A certificate authority made at start, so that TLS is verified here as it is in the clouds."""

import ssl
from pathlib import Path

import trustme


class Authority:
    """Vouches for servers on 127.0.0.1 and localhost; its own certificate is at `ca_file` (PEM, no key)."""

    def __init__(self, ca_file: Path) -> None:
        self.ca_file = ca_file
        self._authority = trustme.CA(organization_name="Sandbox")
        self._authority.cert_pem.write_to_path(str(ca_file))

    def server_context(self, *names: str) -> ssl.SSLContext:
        """A context for one server, with a certificate for the loopback names, and for further ones."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._authority.issue_cert("127.0.0.1", "localhost", *names).configure_cert(context)
        return context
