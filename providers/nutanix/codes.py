"""What Prism's words mean in ours, as tables: one for all three APIs, as they pass on the same texts of Acropolis.

Words in capitals are v3's reasons (`message_resource` in its description) and v4's error groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from providers.errors import (
    BackendFailureError,
    ConflictError,
    CredentialsRejectedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    ThrottledError,
    UnavailableError,
    UnprocessableError,
    VMNotFoundError,
)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


MISSING: Final = _any(
    r"\bvm (with (uuid|id) )?'?[0-9a-f-]{36}'?,? (because it )?(does not exist|((is|was|could) )?not (be )?found)",
    r"\bVM_NOT_FOUND\b",
    r"\bENTITY_NOT_FOUND\b",
)
# What Acropolis says of a power state that does not fit, with the state.
WRONG_STATE: Final = _any(r"InvalidVmState", r"Cannot complete request in state", r"VM_INVALID_POWER_STATE")
STALE: Final = _any(
    r"PLAT-10005",
    # https://github.com/nutanix/terraform-provider-nutanix/issues/1089
    r"If-Match header value",
    r"spec.?version",
    r"logical.?timestamp",
    r"CONCURRENT_REQUESTS_NOT_ALLOWED",
)
# What Prism says of a task that it does not keep, or does not show to the caller; v2.0 says it with status 500.
HIDDEN: Final = _any(r"\btask\b[^.]* (does not exist|not found|cannot be found)", r"\b1202\b")
NOT_SPOKEN: Final = _any(r"requested URL was not found", r"\bURL_NOT_FOUND\b")

# The first that is found counts, so exceptions stand before the rule.
ERROR_TEXTS: Final[tuple[tuple[re.Pattern[str], type[ProviderError]], ...]] = (
    (MISSING, VMNotFoundError),
    (WRONG_STATE, ConflictError),
    (STALE, ConflictError),
    (_any(r"\bACCESS_(DENIED|FORBIDDEN)\b", r"no permission", r"not authorized"), PermissionDeniedError),
    (_any(r"quota"), QuotaExceededError),
    (
        _any(
            r"InsufficientResources",
            r"NoHostResources",
            r"RESOURCE_SHORTAGE",
            r"(not enough|insufficient|no|out of) (available |free )?(disk |storage )?(space|memory|resources)",
            r"SERVICE_UNAVAILABLE",
        ),
        UnavailableError,
    ),
    (_any(r"\bENTITY_ALREADY_EXISTS\b", r"(entity|vm) is (locked|being)", r"edit conflict"), ConflictError),
    (
        _any(
            r"(image|network|subnet|container|cluster|disk)[^.]* (does not exist|not found|cannot be found)",
            r"_NOT_FOUND\b",
            r"InvalidArgument",
            r"INVALID_ARGUMENT",
            r"INVALID_REQUEST",
            r"REFERENCE_ERROR",
            r"NotSupported",
            r"ACTION_NOT_SUPPORTED",
        ),
        UnprocessableError,
    ),
)

# What a text of which nobody has heard means, by its HTTP status.
BY_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    400: UnprocessableError,
    401: CredentialsRejectedError,
    403: PermissionDeniedError,
    409: ConflictError,
    412: ConflictError,
    422: UnprocessableError,
    423: ConflictError,
    428: BackendFailureError,
    429: ThrottledError,
    503: UnavailableError,
}
# Said by the status, whatever the text.
PLAIN: Final = frozenset({401, 403, 412, 429, 502, 503, 504})
# The service behind Prism's gateway may have got the request.
MAYBE_DONE: Final = frozenset({502, 504})

ADVICE: Final[Mapping[type[ProviderError], str]] = {
    CredentialsRejectedError: "Check the user, with its domain where it is a directory's, and the password.",
    PermissionDeniedError: "Give the user a role in Prism that allows this operation on this VM or cluster.",
    ThrottledError: "Try again later.",
    ConflictError: "Look at the VM and try again.",
    UnavailableError: "Free memory or space on the cluster, or try again later.",
    BackendFailureError: "Prism's own log may say more.",
}
