"""The catalogue of errors, for reading: what each means and what to do. Causes come from the clouds' own facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from providers.catalogue import CLOUDS
from providers.errors import ErrorCode
from vms.problems import KINDS


@dataclass(frozen=True)
class Text:
    """What an error means, and what to do about it."""

    meaning: str
    advice: str


TEXTS: Mapping[ErrorCode, Text] = MappingProxyType(
    {
        ErrorCode.INVALID_REQUEST: Text(
            "The request is not of the form that this API takes: its JSON, a field, a parameter, a header or an id. "
            "No cloud was asked and nothing was changed.",
            "Read `detail` and `errors`, which name each field at fault, and send the corrected request.",
        ),
        ErrorCode.ENVIRONMENT_NOT_FOUND: Text(
            "No environment of that name is configured on this server.",
            "`GET /environment` lists the names. They are compared letter by letter.",
        ),
        ErrorCode.MACHINETYPE_NOT_FOUND: Text(
            "No machine type of that name is configured, or the environment's cloud does not offer it.",
            "`GET /machinetype?environment=…` lists what an environment offers.",
        ),
        ErrorCode.CREDENTIALS_MISSING: Text(
            "The request came without a token.",
            "Send `Authorization: Bearer TOKEN`, where TOKEN is `echo '<access key>:<secret>' | base64 -w 0`.",
        ),
        ErrorCode.CREDENTIALS_MALFORMED: Text(
            "The token is not base64 of `<access key>:<secret>`. It was not sent to any cloud.",
            "Make it with `echo '<access key>:<secret>' | base64 -w 0` and send it once.",
        ),
        ErrorCode.CREDENTIALS_REJECTED: Text(
            "The cloud does not accept the access key or the secret, or did not when they were tried lately. They are "
            "not tried again for 5, 30, then 300 seconds after each rejection, as some clouds lock accounts.",
            "Check both, and that they belong to this environment. Other credentials can be sent at once, until three "
            "different wrong secrets for one access key have come within five minutes (`throttled`).",
        ),
        ErrorCode.PERMISSION_DENIED: Text(
            "The cloud knows the caller and does not allow this.",
            "Ask for the permission that `detail` names. The README lists the least that each cloud needs.",
        ),
        ErrorCode.TLS_REQUIRED: Text(
            "This server takes requests over https only, and this one came over plain http.",
            "Use the https address. Replace the secret, as it has been sent readable.",
        ),
        ErrorCode.CROSS_SITE: Text(
            "A browser that is signed in sent this, and nothing proves that one of this server's own pages asked for "
            "it: its CSRF token is missing or old, or another site is the origin. No cloud was asked.",
            "Open the page again and repeat there. A program sends its token as `Authorization: Bearer TOKEN`, and "
            "needs nothing of this.",
        ),
        ErrorCode.VM_NOT_FOUND: Text(
            "There is no such VM within the environment's scope; it may have been deleted.",
            "`GET /vm?environment=…` lists what there is.",
        ),
        ErrorCode.OPERATION_NOT_FOUND: Text(
            "The operation's token is not one of this service, is older than a day, or was made for another access "
            "key.",
            "Use the credentials that began the operation, or look at the VM itself. Behind a load balancer, all "
            "replicas need the same CLOUDVM_SECRET_KEY.",
        ),
        ErrorCode.NOT_FOUND: Text(
            "There is nothing at this URL.",
            "`/docs` shows every path. Paths have no slash at the end.",
        ),
        ErrorCode.METHOD_NOT_ALLOWED: Text(
            "This path does not take this method.",
            "The `Allow` header lists the methods that it takes.",
        ),
        ErrorCode.CONFLICT: Text(
            "The VM is in a state that forbids this, is locked by other work, or is protected. Or an earlier request "
            "with the same Idempotency-Key is still making the VM.",
            "If `retryable` is true, wait as long as `Retry-After` says and repeat the request with the same "
            "Idempotency-Key. Otherwise look at the VM's status, wait or change what protects it, and try again.",
        ),
        ErrorCode.NAME_TAKEN: Text(
            "A VM of this name exists already. It was not changed.",
            "Choose another name, or use the VM that there is.",
        ),
        ErrorCode.QUOTA_EXCEEDED: Text(
            "The account's limit for VMs, CPUs or disks is reached.",
            "Delete what is not needed or ask the cloud for a higher limit.",
        ),
        ErrorCode.UNPROCESSABLE: Text(
            "The request is well-formed, but cannot be carried out here: an image, a network or a size does not "
            "exist, or an Idempotency-Key was used before with other content.",
            "Correct the machine type or the environment in the server's files, or use a new key.",
        ),
        ErrorCode.THROTTLED: Text(
            "The cloud says that it gets too many requests from this account. Or three different secrets for this "
            "access key were tried from this address within five minutes, and were not right.",
            "Wait as long as `Retry-After` says, then repeat. Credentials that the cloud accepted lately are never "
            "held up by wrong ones.",
        ),
        ErrorCode.INTERNAL_ERROR: Text(
            "The service itself failed.",
            "Tell its operator the `request_id`; the log has the details under it.",
        ),
        ErrorCode.UNSUPPORTED: Text(
            "This cloud, or this version of the service, cannot do this. Nothing was changed.",
            "`detail` says what can be done instead.",
        ),
        ErrorCode.BACKEND_ERROR: Text(
            "The cloud failed, or answered with something that is not its protocol.",
            "Try again later. If it stays, check the environment's `url`: a proxy or a log-in page may answer there.",
        ),
        ErrorCode.BACKEND_TLS: Text(
            "The certificate of the cloud's endpoint is not trusted, so that nothing was sent to it.",
            "Name the certificate authority in the environment's `ca_file`, or in REQUESTS_CA_BUNDLE of the server.",
        ),
        ErrorCode.BACKEND_UNREACHABLE: Text(
            "No connection to the cloud's endpoint could be made, or it broke. `detail` says so if the connection "
            "timed out: nothing was sent then.",
            "Check the environment's `url` and `region`, the network, and HTTPS_PROXY and NO_PROXY of the server.",
        ),
        ErrorCode.UNAVAILABLE: Text(
            "A limit of this server is reached, or the cloud has no capacity for this just now. The limits are on "
            "reads and on changes in one environment and in all of them, and on the memory for answers of clouds. "
            "`detail` says which one it is.",
            "Wait as long as `Retry-After` says, then repeat. If it stays, the environment's cloud may be slow or "
            "hang. The server's operator can raise CLOUDVM_REQUESTS_PER_ENVIRONMENT, CLOUDVM_CHANGES_PER_ENVIRONMENT "
            "and CLOUDVM_ANSWER_MEMORY_MIB.",
        ),
        ErrorCode.BACKEND_TIMEOUT: Text(
            "The cloud had not answered or not finished when the request's deadline passed. `detail` says whether "
            "the work may still finish, and `operation`, where it is given, leads to it. If `detail` says that the "
            "last connections timed out, nothing was sent: the server tries that endpoint only now and then, and "
            "refuses other requests at once.",
            "Follow the operation, or look at the VM. Repeat a create only with the same Idempotency-Key. If "
            "connections time out, check the environment's `url`, firewalls and the server's proxy, and repeat after "
            "`Retry-After`.",
        ),
    }
)


def entry(code: ErrorCode) -> dict[str, object]:
    """One error as the catalogue shows it."""
    kind, text = KINDS[code], TEXTS[code]
    return {
        "code": code,
        "status": kind.status,
        "title": kind.title,
        "retryable": kind.retryable,
        "meaning": text.meaning,
        "advice": text.advice,
        "causes": {cloud.name: cloud.causes[code] for cloud in CLOUDS if code in cloud.causes},
    }
