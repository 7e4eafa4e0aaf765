"""From Prism's refusals and failed tasks to our errors: what happened, where, and what to do."""

from __future__ import annotations

from typing import Final

from providers.errors import BackendFailureError, BackendReply, ProviderError, UnprocessableError, VMNotFoundError
from providers.excerpts import sentence
from providers.nutanix.answers import PrismError, Refusal
from providers.nutanix.codes import ADVICE, BY_STATUS, ERROR_TEXTS, MAYBE_DONE, NOT_SPOKEN, PLAIN
from providers.nutanix.records import LONGEST_MESSAGE, TaskState
from providers.nutanix.session import NotSpokenError

VENDOR_ERRORS: Final[tuple[type[Exception], ...]] = (PrismError,)
FAILURES: Final[tuple[type[Exception], ...]] = (ProviderError, *VENDOR_ERRORS)

_VM_OPERATION: Final = ("/vms/{", "/ahv/config/vms/{")


def translate(error: Exception) -> ProviderError:
    """One of `VENDOR_ERRORS` as the error that it means."""
    if not isinstance(error, PrismError):
        return BackendFailureError(f"The call to Prism could not be done: {type(error).__name__}.")
    refusal = error.refusal
    kind = _meaning(refusal)
    failure = kind(
        _detail(refusal, kind),
        backend=BackendReply(
            "Nutanix", refusal.operation, refusal.group or refusal.code or str(refusal.status), refusal.status
        ),
        retry_after_seconds=refusal.retry_after_seconds,
    )
    failure.answer_lost = refusal.status in MAYBE_DONE
    return failure


def failure_of(error: Exception) -> ProviderError:
    """An error of either kind in our words."""
    return error if isinstance(error, ProviderError) else translate(error)


def is_missing(error: Exception) -> bool:
    """Whether an error says that there is no such VM."""
    return isinstance(error, FAILURES) and isinstance(failure_of(error), VMNotFoundError)


def is_not_spoken(error: Exception) -> bool:
    """Whether an error says that the host does not speak the API at all; of a list nothing else is ever missing."""
    if not isinstance(error, PrismError):
        cause = error.__cause__
        return isinstance(error, NotSpokenError) or (isinstance(cause, PrismError) and is_not_spoken(cause))
    is_whole = "{" not in error.refusal.operation
    return error.status in {404, 405} and (is_whole or NOT_SPOKEN.search(error.refusal.text) is not None)


def task_failure(operation: str, vm_id: str, task: TaskState) -> ProviderError:
    """Why a task failed."""
    kind = _about(operation, _by_text(f"{task.code} {task.message}") or BackendFailureError)
    why = sentence(task.message or "Prism does not say why", LONGEST_MESSAGE)
    about = f" for VM {vm_id}" if vm_id else ""
    detail = f"Nutanix accepted {operation}{about}, and its task failed: {why} {ADVICE.get(kind, '')}"
    return kind(detail.strip(), backend=BackendReply("Nutanix", operation, task.code or None))


def not_found(vm_id: str, operation: str) -> VMNotFoundError:
    """No VM of that id in the environment."""
    return VMNotFoundError(
        f"There is no VM {vm_id} in this environment's Nutanix cluster, or it is not shown to this caller.",
        backend=BackendReply("Nutanix", operation),
    )


def _meaning(refusal: Refusal) -> type[ProviderError]:
    if refusal.status in PLAIN:
        return BY_STATUS.get(refusal.status, BackendFailureError)
    if refusal.status in {404, 405} and NOT_SPOKEN.search(refusal.text):
        return UnprocessableError
    if found := _by_text(refusal.text):
        return _about(refusal.operation, found)
    if refusal.status == 404:
        return _about(refusal.operation, VMNotFoundError)
    if refusal.status >= 500:
        return BackendFailureError
    return BY_STATUS.get(refusal.status, UnprocessableError)


def _about(operation: str, kind: type[ProviderError]) -> type[ProviderError]:
    """What is missing: the VM that an operation is about, a task that Prism has forgotten, or what a VM is made of."""
    if kind is not VMNotFoundError or any(part in operation for part in _VM_OPERATION):
        return kind
    return BackendFailureError if "/tasks/" in operation else UnprocessableError


def _by_text(text: str) -> type[ProviderError] | None:
    return next((kind for pattern, kind in ERROR_TEXTS if pattern.search(text)), None)


def _detail(refusal: Refusal, kind: type[ProviderError]) -> str:
    if NOT_SPOKEN.search(refusal.text):
        return (
            f"{refusal.host}{f' ({refusal.product})' if refusal.product else ''} does not know {refusal.operation}: it "
            "does not speak this API. Give another `api_version` in the environment (v2 for a Prism Element, v4 for a "
            "Prism Central, v3 for one before pc.2024.3), or leave it out to have it found out."
        )
    said = sentence(refusal.message or f"HTTP {refusal.status}", LONGEST_MESSAGE)
    # Of what stands in every Prism nothing is missing; this is another server, or one before it.
    is_elsewhere = refusal.status == 404 and "{" not in refusal.operation
    parts = (
        f"Nutanix Prism at {refusal.host} refused {refusal.operation} ({refusal.status}):",
        said,
        "Check the environment's url." if is_elsewhere else ADVICE.get(kind, ""),
    )
    return " ".join(part for part in parts if part)
