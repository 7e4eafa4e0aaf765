"""How a caller proves who they are: an access token that a service principal's secret has bought from Entra ID."""

from __future__ import annotations

import copy
import threading
import time
import urllib.parse
from typing import Any, Final

import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.policies import ContentDecodePolicy, HeadersPolicy, RetryPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential

from providers.azure.failures import log_in_failure, not_understood
from providers.azure.naming import TOKEN, operation_of
from providers.azure.site import Site
from providers.credentials import Credentials
from providers.deadline import unhurried
from providers.errors import BackendFailureError, BackendReply, CredentialsRejectedError, ProviderError
from providers.http import HTTPSession
from providers.login_throttle import credentials_accepted

# A token that is about to expire is not used any more: the request is on its way for a while.
SPARE_SECONDS: Final = 120.0


class OneHostSession(HTTPSession):
    """The project's HTTP session that speaks with one host and no other, whatever links or libraries ask for."""

    host = ""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """See `HTTPSession`.

        Raises:
            BackendFailureError: the request was about to leave the host; nothing was sent.

        """
        host = urllib.parse.urlsplit(request.url or "").netloc
        if host.lower() != self.host.lower():
            raise BackendFailureError(
                f"Azure at {self.host} led to {host}, which is not followed: credentials go to the environment's own "
                "endpoints only.",
                backend=BackendReply("Azure", operation_of(request)),
            )
        return super().send(request, **options)


class EntraSession(OneHostSession):
    """The same for the log-in; what Entra ID refuses leaves here as a `ProviderError`, with all that it said."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """See `OneHostSession`."""
        response = super().send(request, **options)
        if response.status_code >= 400:
            raise log_in_failure(operation_of(request), response)
        return response


class Access:
    """One caller's token, bought once, again when it is about to end, and again when Azure says that it is too old.

    Used by many threads. When the secret is refused nobody tries it again: accounts lock. It is the `TokenCredential`
    of the SDK's clients.
    """

    def __init__(self, site: Site, credentials: Credentials, session: EntraSession) -> None:
        self._site = site
        self._credentials = credentials
        self._session = session
        self._lock = threading.Lock()
        self._token: AccessToken | None = None
        self._failure: ProviderError | None = None
        self._tries = 0

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """The token; its scope is always the environment's management endpoint.

        Raises:
            CredentialsRejectedError: Entra ID refuses the secret, or has done so before.
            ProviderError: Entra ID cannot be reached, or is in trouble.

        """
        tries = self._tries
        with self._lock:
            if self._token is None or self._token.expires_on - time.time() < SPARE_SECONDS:
                self._token = self._bought_once(tries)
            return self._token

    def renewed(self, refused: str) -> bool:
        """Forget a token that Azure has refused, unless another thread has done so; whether another try has a point."""
        with self._lock:
            if self._token is not None and self._token.token == refused:
                self._token = None
        return self.get_token().token != refused

    def _bought_once(self, tries: int) -> AccessToken:
        """A new token. Who has waited for a try that failed shares its failure: each would wait as long again.

        `tries` is how many had ended before the wait. A refusal holds for good.
        """
        if self._failure is not None and (self._tries > tries or isinstance(self._failure, CredentialsRejectedError)):
            # Each caller's own, which is told of that caller's leftovers.
            raise copy.copy(self._failure)
        try:
            with unhurried():
                token, self._failure = self._bought(), None
        except ProviderError as failure:
            self._failure = copy.copy(failure)
            raise
        finally:
            self._tries += 1
        return token

    def _bought(self) -> AccessToken:
        try:
            # A new one each time: it would give a token that Azure has refused again, from its memory.
            token = self._credential().get_token(self._site.endpoints.scope)
        except ClientAuthenticationError as error:
            failure = error.__cause__ if isinstance(error.__cause__, ProviderError) else None
            raise failure or not_understood(TOKEN, self._session.host) from error
        except ValueError as error:
            raise not_understood(TOKEN, self._session.host) from error
        credentials_accepted()
        return token

    def _credential(self) -> ClientSecretCredential:
        return _Credential(
            self._site.tenant,
            self._credentials.access_key,
            self._credentials.secret,
            authority=self._site.endpoints.authority_url,
            # The authority is the file's, and need not be confirmed by another host.
            disable_instance_discovery=True,
            transport=transport(self._session),
            policies=[HeadersPolicy(), ContentDecodePolicy(), RetryPolicy(retry_total=0)],
        )


class _Credential(ClientSecretCredential):
    """azure-identity's credential without what it takes from the process's environment."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # AZURE_REGIONAL_AUTHORITY_NAME and MSAL_FORCE_REGION would lead the secret to another host; None asks msal to
        # look for the latter.
        self._regional_authority = False  # type: ignore[assignment]


def transport(session: HTTPSession) -> RequestsTransport:
    """The project's session as azure-core sends by it."""
    return RequestsTransport(
        session=session, session_owner=False, connection_verify=session.verify, use_env_settings=False
    )
