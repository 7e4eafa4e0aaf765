"""How long things take, and how a Prism behaves where Prisms differ."""

from dataclasses import dataclass


@dataclass
class Knobs:
    """Seconds, limits and choices; a reset undoes every change."""

    task_seconds: float = 1.0
    # How long a task waits before it runs; an ETag may grow stale meanwhile.
    queue_seconds: float = 0.0
    # From the press of the ACPI button to the end of a guest that heeds it.
    guest_seconds: float = 1.0
    # How long v3 waits for a guest that was asked to power off, before its task fails.
    acpi_wait_seconds: float = 60.0
    # v2.0 says "no such VM" with 500 and its own code; some releases with 404.
    v2_not_found_status: int = 500
    # Whether a power state that the VM has already can be asked for; Acropolis lets that task fail.
    power_is_idempotent: bool = False
    # What is left for VMs to be powered on, and for disks; None is enough for everything.
    free_memory_bytes: int | None = None
    free_disk_bytes: int | None = None
    # v4's limits are always told in headers; whether calls above them are refused.
    enforces_rate_limits: bool = False
    calls_per_second: int = 10
    lists_per_second: int = 2
    # A directory service behind Prism: how long a log-in takes, and how many at once are not refused.
    login_seconds: float = 0.0
    parallel_logins: int | None = None
