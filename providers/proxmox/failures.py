"""From PVE's refusals and failed tasks to our errors: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxmoxer.core import ResourceException

from providers.errors import (
    BackendFailureError,
    BackendReply,
    BackendTimeoutError,
    CredentialsUnusableError,
    FieldFault,
    ProviderError,
    UnprocessableError,
)
from providers.excerpts import excerpt, sentence
from providers.proxmox.answers import LONGEST_MESSAGE, Refusal
from providers.proxmox.codes import ADVICE, BY_STATUS, ERROR_TEXTS, MAYBE_DONE, TICKET_REFUSED

VENDOR_ERRORS: Final[tuple[type[Exception], ...]] = (ResourceException,)

# Lines of a task's log that tell nothing beyond its exit status.
_NOISE: Final = ("TASK ", "no content", "trying to acquire lock", " OK")
_LINES_SHOWN: Final = 3
_LONGEST_LINE: Final = 300


def refusal_of(error: ResourceException) -> Refusal:
    """What PVE said; empty words where something else raised the error."""
    return error.errors if isinstance(error.errors, Refusal) else Refusal("", "the host", str(error.content or ""))


def text_of(error: ResourceException) -> str:
    """All of PVE's words, those about parameters, too."""
    refusal = refusal_of(error)
    return " ".join([refusal.message, *(f"{name}: {text}" for name, text in refusal.parameters.items())])


def translate(error: Exception) -> ProviderError:
    """One of `VENDOR_ERRORS` as the error that it means."""
    if not isinstance(error, ResourceException):
        return BackendFailureError(f"proxmoxer could not do the call: {type(error).__name__}.")
    refusal, status = refusal_of(error), int(error.status_code)
    kind, words = _meaning(text_of(error), status)
    failure = kind(
        _detail(refusal, status, kind),
        backend=BackendReply("Proxmox", refusal.operation, words or str(status), status),
        fields=tuple(FieldFault(name, text) for name, text in refusal.parameters.items()),
        retry_after_seconds=refusal.retry_after_seconds,
    )
    failure.answer_lost = status in MAYBE_DONE
    return failure


def task_failure(operation: str, subject: str, exit_status: str, log: Iterable[str] = ()) -> ProviderError:
    """Why a task about a VM or a volume failed; `log` is what it has said, where that tells more."""
    said = [excerpt(line, _LONGEST_LINE) for line in log if line.strip() and not _is_noise(line, exit_status)]
    said = said[-_LINES_SHOWN:]
    exit_status = excerpt(exit_status, LONGEST_MESSAGE)
    kind, words = _meaning(" ".join([exit_status, *said]), status=None)
    why = sentence("; ".join([exit_status, *said]), (1 + _LINES_SHOWN) * LONGEST_MESSAGE)
    named = subject if ":" in subject else f"VM {subject}"
    if kind is BackendTimeoutError:
        return BackendTimeoutError(
            f"The guest of {named} was asked and did not obey within its time ({why}) It may still do so. Use "
            "mode=auto or mode=force to cut its power.",
            backend=BackendReply("Proxmox", operation, exit_status[:_LONGEST_LINE]),
        )
    detail = f"Proxmox VE accepted {operation} for {named}, and its task failed: {why} {ADVICE.get(kind, '')}"
    return kind(detail.strip(), backend=BackendReply("Proxmox", operation, words or exit_status[:_LONGEST_LINE]))


def _meaning(text: str, status: int | None) -> tuple[type[ProviderError], str]:
    """What a text means, and those words of it that say so."""
    if status == 401 and (found := TICKET_REFUSED.search(text)):
        return CredentialsUnusableError, found[0]
    # A proxy between two nodes quotes anything.
    if status not in {401, 429} and (status is None or status < 595):
        for pattern, kind in ERROR_TEXTS:
            if found := pattern.search(text):
                return kind, found[0]
    if status is None or status >= 500:
        return BY_STATUS.get(status or 500, BackendFailureError), ""
    return BY_STATUS.get(status, UnprocessableError), ""


def _detail(refusal: Refusal, status: int, kind: type[ProviderError]) -> str:
    said = sentence(refusal.message or f"HTTP {status}", LONGEST_MESSAGE)
    wrong = " ".join(f"{name}: {sentence(text, LONGEST_MESSAGE)}" for name, text in refusal.parameters.items())
    # Proxmox itself knows every path that is asked for; another server, or one before it, does not.
    advice = "Check the environment's url." if (status, kind) == (404, UnprocessableError) else ADVICE.get(kind, "")
    parts = (f"Proxmox VE at {refusal.host} refused {refusal.operation} ({status}):", said, wrong, advice)
    return " ".join(part for part in parts if part)


def _is_noise(line: str, exit_status: str) -> bool:
    return exit_status in line or any(word in line for word in _NOISE)
