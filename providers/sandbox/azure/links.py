"""Links that answers hold: to operations and to next pages."""

import secrets
import time
import uuid

from providers.sandbox.azure.knobs import OperationLinks
from providers.sandbox.azure.operations import Operation
from providers.sandbox.azure.resources import Cloud, Request

# .NET counts hundreds of nanoseconds since the year 1.
_TICKS_AT_EPOCH = 621355968000000000


class Links:
    """The links of one call's answer."""

    def __init__(self, cloud: Cloud, request: Request) -> None:
        self._cloud = cloud
        self._origin = cloud.knobs.links_lead_to or request.origin
        self._version = request.query.get("api-version", "")

    def here(self, uri: str) -> str:
        """An absolute link to a path with its query."""
        return f"{self._origin}{uri}"

    def headers(self, operation: Operation, *, is_put: bool) -> dict[str, str]:
        """The headers of an answer that has begun an operation."""
        links = self._cloud.knobs.operation_links
        headers = {"Azure-AsyncNotification": "Enabled", **self.pause()}
        if links is not OperationLinks.LOCATION:
            headers["Azure-AsyncOperation"] = self._operation(operation, monitor=False)
        if links is OperationLinks.LOCATION or (links is OperationLinks.AS_AZURE and not is_put):
            headers["Location"] = self._operation(operation, monitor=True)
        return headers

    def pause(self) -> dict[str, str]:
        """How long to wait, if anything is said about it."""
        seconds = self._cloud.knobs.retry_after_seconds
        return {} if seconds is None else {"Retry-After": str(seconds)}

    def _operation(self, operation: Operation, *, monitor: bool) -> str:
        """Opaque, as Azure's are: with a partition, a time and a signature that nobody is meant to understand."""
        place = operation.place.value.format(location=self._cloud.location)
        ticks = int(time.time() * 10_000_000) + _TICKS_AT_EPOCH
        query = f"p={uuid.uuid4()}" + ("&monitor=true" if monitor else "") + f"&api-version={self._version}&t={ticks}"
        signature = f"&c={secrets.token_urlsafe(48)}&s={secrets.token_urlsafe(48)}&h={secrets.token_urlsafe(32)}"
        path = f"/subscriptions/{self._cloud.subscription}/providers/{place}/{operation.id}"
        return self.here(f"{path}?{query}{signature}")
