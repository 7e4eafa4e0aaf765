"""The certificate of the server, which can be replaced while it runs."""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateError(ValueError):
    """The certificate cannot be used; the text says why."""


class Certificate:
    """A certificate and its private key in PEM form, and the TLS context that presents it.

    A context must not change while handshakes use it. So each handshake switches to the newest of several.

    Raises:
        CertificateError: the files cannot be used.

    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self._newest = self._load()
        self.context = self._load()
        self.context.sni_callback = self._present_newest

    def check(self) -> None:
        """Read the files.

        Raises:
            CertificateError: they cannot be used.

        """
        self._load()

    def reload(self) -> None:
        """Present the certificate that the files hold now.

        Raises:
            CertificateError: they cannot be used; the old certificate stays in use.

        """
        self._newest = self._load()

    def _present_newest(self, connection: ssl.SSLSocket | ssl.SSLObject, *_: object) -> None:
        """See `SSLContext.sni_callback`, which is called for clients without SNI, too."""
        connection.context = self._newest

    def _load(self) -> ssl.SSLContext:
        for file in (self._cert, self._key):
            if not file.is_file():
                raise CertificateError(f"{file} is no file.")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # The empty password keeps OpenSSL from asking for one at the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        except (OSError, ValueError) as error:
            raise CertificateError(
                f"{self._cert} and {self._key} are no certificate and its key in PEM form: {error}."
            ) from None
        return context
