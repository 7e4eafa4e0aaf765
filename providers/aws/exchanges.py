"""What happens around each exchange with EC2: it is recorded once, and its answer is read before botocore's parser.

botocore emits, in the calling thread and for each attempt: `before-send`; then `before-parse`, if an answer came;
then `response-received` (see `_get_response` and `_do_get_response` in botocore/endpoint.py).
"""

from __future__ import annotations

import re
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from http.client import responses
from typing import TYPE_CHECKING, Any, Protocol, TypedDict
from xml.sax.saxutils import escape

from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from providers import trace
from providers.aws.instances import NotEC2Error, parse, read_page
from providers.aws.isolation import MOST_BYTES
from providers.cutoff import Exchange, TooLongError
from providers.deadline import exchange_seconds, reconnect_delay_seconds
from providers.errors import BackendFailureError, BackendReply, UnavailableError
from providers.login_throttle import credentials_accepted
from providers.network import Network
from providers.redaction import header_secrets

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.hooks import BaseEventHooks

# Where an answer and an error carry what we know of them beyond botocore.
ORIGIN = "CloudvmOrigin"
PAGE = "CloudvmPage"

_DESCRIBES_INSTANCES = {"DescribeInstances", "RunInstances"}

# One at a time: 64 lists of 1,000 at once need the room to unpack one (9 MB), and cost no more time, as the interpreter
# reads one at a time anyway.
_ONE_LARGE_ANSWER = threading.Lock()
_LARGE_BYTES = 256 * 1024
_GZIP_RATIO = 30
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

_ERROR_CODE = re.compile(rb"<Code>([^<]{1,100})</Code>")
_REQUEST_ID = re.compile(rb"<request(?:Id|ID)>([^<]{1,100})<", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """Where an answer or an error comes from.

    `place` names region and endpoint for a person. `lost` tells that the answer to at least one attempt got lost, so
    that EC2 may have done what was asked.
    """

    operation: str
    place: str
    host: str
    proxy: str = ""
    lost: bool = False


class _Answer(TypedDict):
    status_code: int
    headers: Mapping[str, str]
    body: bytes


class _OperationModel(Protocol):
    name: str


class Exchanges:
    """The event handlers of one client, used by many threads at once."""

    def __init__(self, place: str, host: str, proxy: str, network: Network) -> None:
        self._origin = Origin("", place, host, proxy)
        self._cutoff = network.cutoff
        self._silence_seconds = network.read_timeout_seconds
        self._attempt = threading.local()

    def watch(self, events: BaseEventHooks) -> None:
        """Be told of everything that the client does."""
        events.register("before-send.ec2", self._sending)
        events.register("before-parse.ec2", self._answered)
        events.register("response-received.ec2", self._ended)
        events.register_first("needs-retry.ec2", _reconnect)  # type: ignore[arg-type] # answers count
        # Repeating a reboot whose answer got lost could reboot twice; everything else may be repeated.
        events.register_first("needs-retry.ec2.RebootInstances", _only_if_refused)  # type: ignore[arg-type] # answers count

    def _sending(self, request: AWSPreparedRequest, event_name: str, **_: object) -> None:
        if event_name.endswith(".DescribeInstances"):
            # botocore never asks for it. After signing: a header that is not signed may be changed under way.
            request.headers["Accept-Encoding"] = "gzip"
        trace.current().redact.add(*header_secrets(dict(request.headers)))
        self._attempt.begun = time.perf_counter()
        self._attempt.exchange = self._cutoff.begin(exchange_seconds(self._silence_seconds))

    def _answered(
        self,
        operation_model: _OperationModel,
        response_dict: _Answer,
        customized_response_dict: dict[str, object],
        **_: object,
    ) -> None:
        """Record the exchange, which ends here: reading the answer is our own time. Then read it."""
        operation, status = operation_model.name, response_dict["status_code"]
        self._end(operation, {})
        if status >= 300:
            response_dict["body"] = _readable_error(response_dict)
        found = _ERROR_CODE.search(response_dict["body"]) if status >= 300 else None
        request_id = _request_id(response_dict)
        outcome = f"{status} {found[1].decode(errors='replace')}" if found else str(status)
        self._record(operation, outcome, request_id)
        if status >= 300:
            return
        credentials_accepted()
        try:
            with _one_at_a_time(response_dict):
                self._read(operation, response_dict, customized_response_dict)
        except NotEC2Error as error:
            raise BackendFailureError(
                f"EC2 in {self._origin.place} answered {operation} with something that is not EC2's XML ({error}). "
                "Is there a proxy or a gateway between, or does the environment's url lead elsewhere?",
                backend=BackendReply("Aws", operation, status=status, request_id=request_id or None),
            ) from error

    def _read(self, operation: str, answer: _Answer, custom: dict[str, object]) -> None:
        """Read what we read ourselves, and leave the stock parser next to nothing."""
        name = f"{operation}Response"
        body = answer["body"] = _plain(answer)
        if operation in _DESCRIBES_INSTANCES:
            page = custom[PAGE] = read_page(body, name)
            answer["body"] = f"<{name}><requestId>{escape(page.request_id)}</requestId></{name}>".encode()
        else:
            parse(body, name)

    def _ended(
        self,
        context: dict[str, Any],
        parsed_response: dict[str, object] | None,
        exception: Exception | None,
        event_name: str,
        **_: object,
    ) -> None:
        """Record an attempt that got no answer, and tell the error where it comes from."""
        operation = event_name.rpartition(".")[2]
        is_sent = self._end(operation, context)
        cut = exception.kwargs.get("error") if isinstance(exception, HTTPClientError) else None
        if isinstance(cut, TooLongError):
            self._record(operation, "too long")
            raise self._too_long(operation) from exception
        if isinstance(cut, UnavailableError):
            self._record(operation, "no memory left")
            cut.backend, cut.answer_lost = BackendReply("Aws", operation), True
            raise cut
        if exception is not None:
            self._record(operation, _ending(exception))
            # The context is the call's, and outlives its attempts.
            is_lost = is_sent and _may_have_arrived(exception)
            context["cloudvm_lost"] = context.get("cloudvm_lost", False) or is_lost
        origin = replace(self._origin, operation=operation, lost=context.get("cloudvm_lost", False))
        if isinstance(exception, BotoCoreError):
            exception.kwargs = {**exception.kwargs, ORIGIN: origin}
        if parsed_response is not None:
            parsed_response[ORIGIN] = origin

    def _end(self, operation: str, context: Mapping[str, Any]) -> bool:
        """End an attempt, and return whether its request may have been sent.

        Raises:
            ReadTimeoutError, ConnectTimeoutError: it was cut off. The error comes past botocore's retries.

        """
        exchange: Exchange | None = getattr(self._attempt, "exchange", None)
        self._attempt.exchange = None
        if exchange is None:
            return True
        self._cutoff.end(exchange)
        if exchange.is_over:
            lost = exchange.is_sent or context.get("cloudvm_lost", False)
            origin = replace(self._origin, operation=operation, lost=lost)
            kind = ReadTimeoutError if exchange.is_sent else ConnectTimeoutError
            error = kind(endpoint_url=origin.host, **{ORIGIN: origin})
            self._record(operation, _ending(error))
            raise error
        return exchange.is_sent

    def _too_long(self, operation: str) -> BackendFailureError:
        return BackendFailureError(
            f"EC2 in {self._origin.place} answered {operation} with more than 64 MiB, which is no answer of EC2's. "
            "Is there a proxy or a gateway between, or does the environment's url lead elsewhere?",
            backend=BackendReply("Aws", operation),
        )

    def _record(self, operation: str, outcome: str, request_id: str = "") -> None:
        begun = getattr(self._attempt, "begun", None)
        if begun is not None:
            self._attempt.begun = None
            trace.current().call(operation, begun, outcome=outcome, backend_request_id=request_id)


def _reconnect(attempts: int, caught_exception: Exception | None, **_: object) -> float | None:
    """Return the seconds after which botocore connects again; None leaves it to botocore's own retries."""
    is_unsent = isinstance(caught_exception, EndpointConnectionError | ConnectTimeoutError | ProxyConnectionError)
    return reconnect_delay_seconds(attempts) if is_unsent else None


def _only_if_refused(response: tuple[object, dict[str, Any]] | None, **_: object) -> bool | None:
    """False forbids botocore to try again; None leaves it to botocore. EC2 refuses by an error code of its own."""
    code = response[1].get("Error", {}).get("Code", "") if response else ""
    return None if "Throttl" in code or code == "RequestLimitExceeded" else False


def _one_at_a_time(answer: _Answer) -> AbstractContextManager[object]:
    expected = len(answer["body"]) * (_GZIP_RATIO if _is_gzip(answer) else 1)
    return _ONE_LARGE_ANSWER if expected > _LARGE_BYTES else nullcontext()


def _is_gzip(answer: _Answer) -> bool:
    return answer["headers"].get("Content-Encoding", "").strip().lower() == "gzip"


def _plain(answer: _Answer) -> bytes:
    """The body as it was before compression; botocore leaves it as it came."""
    if not _is_gzip(answer):
        return answer["body"]
    decompressor = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = decompressor.decompress(answer["body"], MOST_BYTES)
    except zlib.error:
        raise NotEC2Error("compressed data that are broken") from None
    if not decompressor.eof:
        raise NotEC2Error("compressed data that are cut off or too large")
    return plain


def _readable_error(answer: _Answer) -> bytes:
    """The error document, or one with the HTTP status as its code where a proxy or a load balancer sent its own."""
    try:
        body = _plain(answer)
        parse(body, "Response")
    except NotEC2Error:
        status = answer["status_code"]
        code = f"<Code>{status}</Code><Message>{responses.get(status, '')}</Message>"
        return f"<Response><Errors><Error>{code}</Error></Errors></Response>".encode()
    return body


def _request_id(answer: _Answer) -> str:
    in_header = answer["headers"].get("x-amzn-requestid", "")
    found = None if in_header or _is_gzip(answer) else _REQUEST_ID.search(answer["body"])
    return found[1].decode(errors="replace") if found else in_header


def _may_have_arrived(error: Exception) -> bool:
    return isinstance(error, HTTPClientError) or hung_up_in_tls(error)


def hung_up_in_tls(error: Exception) -> bool:
    """Whether the peer has ended TLS in the middle, which botocore tells like a certificate that is not trusted."""
    below = error.kwargs.get("error") if isinstance(error, SSLError) else None
    inner = below.args if isinstance(below, Exception) else ()
    return any(isinstance(each, ssl.SSLEOFError | ssl.SSLZeroReturnError) for each in inner)


def _ending(error: Exception) -> str:
    if hung_up_in_tls(error):
        return "connection lost"
    if isinstance(error, SSLError):
        return "TLS error"
    if isinstance(error, ConnectTimeoutError):
        return "connect timeout"
    if isinstance(error, ReadTimeoutError):
        return "timeout"
    return "connect error" if isinstance(error, BotoConnectionError) else "connection lost"
