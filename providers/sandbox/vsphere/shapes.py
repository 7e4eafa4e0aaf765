"""Properties: a data object as functions of what it describes, read whole or by a path, `config.hardware.numCPU`.

A list of many VMs asks for a few paths; whole data objects are made only when they are asked for.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from providers.sandbox.vsphere.metadata import has_version, property_info
from providers.sandbox.vsphere.refusals import refusal

Getter = Callable[[Any], Any]
# `device[4000]`, `extraConfig["guestinfo.metadata"]`, `name`, with the dot that parts them.
_STEP: Final = re.compile(r'(?P<name>\w+)(?:\[(?:"(?P<text>[^"]*)"|(?P<number>-?\d+))\])?(?:\.(?=.)|$)')


@dataclass(frozen=True, eq=False)
class Shape:
    """A data object of a type: its fields as functions of a subject, or as shapes; unset unless `is_set`."""

    type: Any
    fields: "Mapping[str, Getter | Shape]"
    is_set: Callable[[Any], bool] = lambda _: True

    def build(self, subject: Any) -> Any:
        """The data object, None when it is unset."""
        if not self.is_set(subject):
            return None
        values = {name: value(subject) for name, value in self._getters}
        return self.type(**{name: value for name, value in values.items() if value is not None})

    @property
    def _getters(self) -> "list[tuple[str, Getter]]":
        return [(name, field.build if isinstance(field, Shape) else field) for name, field in self.fields.items()]


@dataclass(frozen=True)
class _Step:
    name: str
    key: str | int | None


class Reader:
    """Reads properties of one managed type, in one version of the API."""

    def __init__(self, shape: Shape, version: str) -> None:
        self._shape = shape
        self._version = version
        self._getters: dict[str, Getter] = {}

    def all(self) -> list[str]:
        """The names of the properties that are simulated, of those that the version has."""
        return [name for name in self._shape.fields if self._is_known(self._shape.type, name)]

    def getter(self, path: str) -> Getter:
        """What reads a path; raises InvalidProperty for one that there is not."""
        if path not in self._getters:
            self._getters[path] = self._compile(path)
        return self._getters[path]

    def _compile(self, path: str) -> Getter:
        steps = _steps(path)
        kind = self._final_type(path, steps)
        field: Getter | Shape = self._shape
        guards: list[Callable[[Any], bool]] = []
        while steps and isinstance(field, Shape) and steps[0].key is None:
            guards.append(field.is_set)
            field = field.fields.get(steps.pop(0).name, _unset)
        return _Path(tuple(guards), field.build if isinstance(field, Shape) else field, tuple(steps), kind)

    def _final_type(self, path: str, steps: Sequence[_Step]) -> Any:
        kind = self._shape.type
        for step in steps:
            if not self._is_known(kind, step.name):
                raise refusal("InvalidProperty", name=path)
            kind = property_info(kind, step.name).type
            if step.key is not None:
                if not issubclass(kind, list):
                    raise refusal("InvalidProperty", name=path)
                kind = kind.Item
        return kind

    def _is_known(self, kind: Any, name: str) -> bool:
        info = property_info(kind, name)
        return info is not None and has_version(self._version, info.version)


@dataclass(frozen=True)
class _Path:
    """A path that was looked up: what must be set, what is read, and the steps into what was read."""

    guards: tuple[Callable[[Any], bool], ...]
    read: Getter
    steps: tuple[_Step, ...]
    kind: Any

    def __call__(self, subject: Any) -> Any:
        for guard in self.guards:
            if not guard(subject):
                return None
        value = self.read(subject)
        for step in self.steps:
            if value is None:
                return None
            value = _follow(value, step)
        return None if value is None else _typed(value, self.kind)


def _unset(subject: Any) -> None:
    """A property that is not simulated is unset."""


def _steps(path: str) -> list[_Step]:
    steps, position = [], 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise refusal("InvalidProperty", name=path)
        key = match["text"] if match["number"] is None else int(match["number"])
        steps.append(_Step(match["name"], key))
        position = match.end()
    if not steps:
        raise refusal("InvalidProperty", name=path)
    return steps


def _follow(value: Any, step: _Step) -> Any:
    value = getattr(value, step.name, None)
    if step.key is None or value is None:
        return value
    return next((item for item in value if getattr(item, "key", None) == step.key), None)


def _typed(value: Any, kind: Any) -> Any:
    """The value as one of its declared type, since in answers that may hold anything the type is written out."""
    if isinstance(value, kind) or kind is object:
        return value
    return _maker(kind)(value)


@cache
def _maker(kind: Any) -> Callable[[Any], Any]:
    simple = (str, int, float, list)
    return kind if issubclass(kind, simple) else _same


def _same(value: Any) -> Any:
    return value
