"""What a create has made so far, so that a create that fails leaves nothing behind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from providers.errors import Leftover, ProviderError

_logger = logging.getLogger("cloudvm.gateway")


@dataclass(frozen=True)
class _Object:
    kind: str
    id: str
    remove: Callable[[], object]


@dataclass
class Made:
    """The objects of one create, in the order in which they were made."""

    _objects: list[_Object] = field(default_factory=list)

    def add(self, kind: str, made_id: str, remove: Callable[[], object]) -> None:
        """Remember an object and how it is removed."""
        self._objects.append(_Object(kind, made_id, remove))

    def remove_all(self, failures: tuple[type[Exception], ...]) -> tuple[Leftover, ...]:
        """Remove every object, the last one first; one that fails with one of `failures` does not stop the others."""
        return tuple(_remove(made, failures) for made in reversed(self._objects))


def _remove(made: _Object, failures: tuple[type[Exception], ...]) -> Leftover:
    expected: tuple[type[Exception], ...] = (ProviderError, *failures)
    try:
        made.remove()
    except expected as error:
        _logger.warning("a failed create leaves %s %s behind: %s", made.kind, made.id, type(error).__name__)
        return Leftover(made.kind, made.id, removed=False)
    return Leftover(made.kind, made.id, removed=True)
