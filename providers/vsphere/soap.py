"""One SOAP call over HTTP: written and read by pyvmomi, sent as all clouds are spoken to, recorded once.

pyvmomi's own adapter is not used: it knows one time limit for all, takes a proxy's host and port only as arguments,
trusts anyone on localhost when it is given no context, and shares a cookie that each answer may change.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from xml.parsers.expat import ExpatError

import requests
from pyVmomi import VmomiSupport, vim, vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapterBase

from providers.domain import Environment
from providers.errors import (
    BackendFailureError,
    BackendReply,
    BackendTimeoutError,
    BackendUnreachableError,
    ProviderError,
    ThrottledError,
)
from providers.headers import whole_number
from providers.http import Effect, HTTPSession
from providers.network import Network

if TYPE_CHECKING:
    from pyVmomi.VmomiSupport import ManagedObject

CLOUD_NAME = "vSphere"

# Calls that change nothing; they are repeated once when their connection breaks. The next page is none of them: its
# token is used up.
READS: Final = frozenset(
    {
        "RetrieveServiceContent",
        "RetrievePropertiesEx",
        "RefreshStorageInfo",
        "FindByUuid",
        "FindAllByUuid",
        "FindChild",
        "FindByInventoryPath",
    }
)

# Changes that may be sent twice. What a second one is refused for shows that the first was carried out; the callers
# handle that.
REPEATABLE: Final = frozenset({"PowerOnVM_Task", "ExtendVirtualDisk_Task"})

# What every vCenter and ESXi of this decade speaks; the server's own version is asked for by it.
OLDEST_VERSION = "vim.version.version10"

_OPERATION = re.compile(rb'<(\w+) xmlns="urn:')
# Without a session the property collector refuses nothing: it names each object, and this as the reason why each of
# its properties is missing. Taken for an answer, that is an empty list. (A bare `<` cannot be a text's.)
_COLLECTS: Final = frozenset({"RetrievePropertiesEx", "ContinueRetrievePropertiesEx"})
_NOT_AUTHENTICATED = re.compile(rb'<fault[^<>]*type="(?:\w+:)?NotAuthenticated"')
_MAY_GO_ON = "vSphere may have received it, and the work may still finish: look at the VM."
_NOT_UNDERSTOOD = (ExpatError, TypeError, KeyError, ValueError, AttributeError, IndexError)


class FaultError(Exception):
    """vSphere refused a call, or a task failed: `fault` says why, `operation` and `place` where."""

    def __init__(self, fault: vmodl.MethodFault, operation: str, place: str) -> None:
        super().__init__(f"{operation}: {type(fault).__name__}")
        self.fault = fault
        self.operation = operation
        self.place = place


class SoapStub(SoapStubAdapterBase):
    """Calls to one environment's server, by many threads at once.

    Raises `FaultError` for what the server refuses and `ProviderError` for what breaks a call.
    """

    def __init__(self, environment: Environment, network: Network) -> None:
        super().__init__(version=OLDEST_VERSION)  # type: ignore[no-untyped-call] # pyvmomi's own code
        self.requestContext = None  # read by pyvmomi's serialiser
        parts = urllib.parse.urlsplit(environment.url)
        self.place = parts.netloc
        path = parts.path if parts.path.strip("/") else "/sdk"
        self._url = urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._http = HTTPSession(environment, network, _operation_of)

    def InvokeMethod(self, mo: ManagedObject, info: Any, args: Any) -> Any:  # noqa: N802 # pyvmomi's name
        """Make a call, as pyvmomi's managed objects ask for it."""
        return self.exchange(mo, info, args)[0]

    def InvokeAccessor(self, mo: ManagedObject, info: Any) -> Any:  # noqa: N802 # pyvmomi's name
        """Refuse to read an attribute of a managed object: each is a call; the property collector reads many in one."""
        raise NotImplementedError(f"{type(mo).__name__}.{info.name} is read by the property collector only")

    def exchange(
        self, mo: ManagedObject, info: Any, args: Any, cookie: str = "", read: Callable[[bytes], Any] | None = None
    ) -> tuple[Any, str]:
        """Make a call; what it returns, read by `read` or by pyvmomi, and the cookie that came with it."""
        operation: str = info.wsdlName
        headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": self.versionId,
            **({"Cookie": cookie} if cookie else {}),
        }
        body = self.SerializeRequest(mo, info, args)  # type: ignore[no-untyped-call] # pyvmomi's own code
        response = self._sent(requests.Request("POST", self._url, headers, data=body).prepare(), operation)
        if response.status_code not in {200, 500}:
            raise self._refused(response, operation)
        answer = self._read(response, operation, read or self._reader(info.result))
        if response.status_code == 500:
            raise FaultError(answer, operation, self.place) from answer
        if operation in _COLLECTS and _NOT_AUTHENTICATED.search(response.content):
            raise FaultError(vim.fault.NotAuthenticated(), operation, self.place)
        if answer is None and _must_return(info):
            raise self._not_vsphere(response, operation)
        return answer, response.headers.get("Set-Cookie", "")

    def hang_up(self) -> None:
        """Close the connections."""
        self._http.close()

    def _sent(self, request: requests.PreparedRequest, operation: str) -> requests.Response:
        effect = _effect_of(operation)
        try:
            return self._http.send(request, effect=effect)
        except (BackendUnreachableError, BackendTimeoutError) as error:
            if error.answer_lost and effect is not Effect.READ:
                raise _with_advice(error) from error
            raise

    def _reader(self, result_type: Any) -> Callable[[bytes], Any]:
        """How pyvmomi reads what a call returns, or a fault."""
        deserializer = SoapResponseDeserializer(self)
        return lambda content: deserializer.Deserialize(content, result_type)

    def _read(self, response: requests.Response, operation: str, read: Callable[[bytes], Any]) -> Any:
        """The answer: of the type that the call returns or, with status 500, a fault."""
        content, is_fault = response.content, response.status_code == 500
        wanted = "Fault" if is_fault else f"{operation}Response"
        try:
            if wanted.encode() not in content:
                raise ValueError(wanted)
            answer = self._reader(object)(content) if is_fault else read(content)
            if is_fault and not isinstance(answer, vmodl.MethodFault):
                raise TypeError(wanted)
        except _NOT_UNDERSTOOD as error:
            raise self._not_vsphere(response, operation) from error
        return answer

    def _not_vsphere(self, response: requests.Response, operation: str) -> BackendFailureError:
        failure = BackendFailureError(
            f"{CLOUD_NAME} at {self.place} answered {operation} with something that is not its SOAP. Is there a proxy "
            "or a gateway between, or does the environment's url lead elsewhere?",
            backend=BackendReply(CLOUD_NAME, operation, status=response.status_code),
        )
        failure.answer_lost = operation not in READS
        return failure

    def _refused(self, response: requests.Response, operation: str) -> ProviderError:
        """No SOAP at all: the reverse proxy before vCenter, or one between, has answered."""
        status = response.status_code
        kind = ThrottledError if status == 429 else BackendFailureError
        advice = "Try again later." if status in {429, 503} else "Check the environment's url, and proxies between."
        failure = kind(
            f"{CLOUD_NAME} at {self.place} answered {operation} with HTTP {status} {response.reason}. {advice}",
            backend=BackendReply(CLOUD_NAME, operation, status=status),
            retry_after_seconds=whole_number(response.headers.get("Retry-After", "")),
        )
        failure.answer_lost = status > 500 and operation not in READS
        return failure


def _must_return(info: Any) -> bool:
    return info.result is not type(None) and not info.resultFlags & VmomiSupport.F_OPTIONAL


def _with_advice(error: ProviderError) -> ProviderError:
    """The same for a call that may have taken effect."""
    advised = type(error)(f"{error.detail} {_MAY_GO_ON}", backend=error.backend)
    advised.answer_lost = error.answer_lost
    return advised


def _effect_of(operation: str) -> Effect:
    if operation in READS:
        return Effect.READ
    return Effect.REPEATABLE if operation in REPEATABLE else Effect.CHANGE


def _operation_of(request: requests.PreparedRequest) -> str:
    body = request.body if isinstance(request.body, bytes) else b""
    found = _OPERATION.search(body)
    return found[1].decode() if found else "a call"
