"""What a body may look like: a small strict language, without the words of any of the three APIs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from providers.sandbox.nutanix.refusals import Violation

UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


class Kind(Protocol):
    """One kind of value."""

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """What is wrong with a value that is at `path`."""


@dataclass(frozen=True)
class Text:
    """A string, at most so long, wholly matching a pattern."""

    limit: int | None = None
    pattern: re.Pattern[str] | None = None

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It is a string, short enough, of the right form."""
        if not isinstance(value, str):
            yield Violation(path, f"{value!r} is not of type 'string'")
        elif self.limit is not None and len(value) > self.limit:
            yield Violation(path, f"is too long: {len(value)} characters, at most {self.limit}")
        elif self.pattern and not self.pattern.fullmatch(value):
            yield Violation(path, f"{value!r} does not match '{self.pattern.pattern}'")


@dataclass(frozen=True)
class Integer:
    """A whole number, within limits."""

    least: int | None = None
    most: int | None = None

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It is a whole number, neither too small nor too big."""
        if not isinstance(value, int) or isinstance(value, bool):
            yield Violation(path, f"{value!r} is not of type 'integer'")
        elif self.least is not None and value < self.least:
            yield Violation(path, f"{value} is less than the minimum of {self.least}")
        elif self.most is not None and value > self.most:
            yield Violation(path, f"{value} is greater than the maximum of {self.most}")


@dataclass(frozen=True)
class Boolean:
    """True or false."""

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It is one of the two."""
        if not isinstance(value, bool):
            yield Violation(path, f"{value!r} is not of type 'boolean'")


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: frozenset[str]

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It is one of them."""
        if value not in self.words:
            yield Violation(path, f"{value!r} is not one of {sorted(self.words)}")


@dataclass(frozen=True)
class Anything:
    """Whatever it is: what is not looked at here."""

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """Nothing is wrong with it."""
        del value, path
        yield from ()


@dataclass(frozen=True)
class Nothing:
    """What must not be there: what is not simulated."""

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It is wrong, whatever it is."""
        yield Violation(path, f"{value!r} is not supported")


@dataclass(frozen=True)
class Many:
    """A list of one kind of values."""

    kind: Kind

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It is a list, and each of its values is right."""
        if not isinstance(value, list):
            yield Violation(path, f"{value!r} is not of type 'array'")
            return
        for number, item in enumerate(value):
            yield from self.kind.check(item, f"{path}[{number}]")


@dataclass(frozen=True)
class Fields:
    """An object with the fields that are named here, and no others; null is the same as absent."""

    fields: Mapping[str, Kind]
    required: Sequence[str] = ()
    ignored: frozenset[str] = field(default_factory=frozenset)

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It is an object, knows all its fields, lacks none, and each of them is right."""
        if not isinstance(value, dict):
            yield Violation(path, f"{value!r} is not of type 'object'")
            return
        for name in self.required:
            if value.get(name) is None:
                yield Violation(_join(path, name), f"'{name}' is a required property")
        for name, item in value.items():
            if name in self.ignored or (item is None and name in self.fields):
                continue
            if name not in self.fields:
                yield Violation(_join(path, name), f"Additional properties are not allowed ('{name}' was unexpected)")
            else:
                yield from self.fields[name].check(item, _join(path, name))


@dataclass(frozen=True)
class OneOf:
    """An object of one of several types, which its `$objectType` tells."""

    kinds: Mapping[str, Kind]

    def check(self, value: object, path: str) -> Iterator[Violation]:
        """It says its type, and is of that."""
        name = value.get("$objectType") if isinstance(value, dict) else None
        if not isinstance(name, str) or name not in self.kinds:
            yield Violation(path, f"$objectType {name!r} is not one of {sorted(self.kinds)}")
        else:
            yield from self.kinds[name].check(value, path)


def words(*all_of_them: str) -> Choice:
    """One of these words."""
    return Choice(frozenset(all_of_them))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


Uuid = Text(pattern=UUID)
