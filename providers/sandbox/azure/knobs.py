"""What may be turned: how long things take, and where one ARM differs from another."""

from dataclasses import dataclass
from enum import Enum


class OperationLinks(Enum):
    """Which headers lead to an operation."""

    AS_AZURE = "PUT: Azure-AsyncOperation; POST and DELETE: Location as well"
    AZURE_ASYNC_OPERATION = "Azure-AsyncOperation alone"
    LOCATION = "Location alone"


class LockLevel(Enum):
    """What a lock keeps from happening."""

    CAN_NOT_DELETE = "CanNotDelete"
    READ_ONLY = "ReadOnly"


@dataclass
class Knobs:
    """How long things take, in seconds, and what may differ between one ARM and another."""

    task_seconds: float = 1.0
    # How long powerOff and deallocate wait for a guest that does not heed them before the power is cut.
    shutdown_timeout_seconds: float = 5.0
    token_seconds: int = 3599
    page_size: int = 500
    operation_links: OperationLinks = OperationLinks.AS_AZURE
    # None: no Retry-After, as ARM does when an operation is nearly done.
    retry_after_seconds: int | None = None
    # Where links to operations and next pages lead, such as `https://elsewhere.example`; None: back here.
    links_lead_to: str | None = None
    # Sizes that the region has no room for.
    unavailable_sizes: frozenset[str] = frozenset()
    # Whether the subscription's list shows those who may read one group that group's VMs, instead of a 403.
    filters_subscription_list: bool = False
    # Whether a VM's delete leaves its network interfaces and disk behind, whatever their delete options say.
    deletes_leave_attachments: bool = False
