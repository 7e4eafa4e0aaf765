"""Looking into a JSON document step by step, collecting every fault with its file and path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: in which file, at which JSON path, what, and what is allowed.

    The path is empty for a file that cannot be read as JSON.
    """

    file: Path
    path: str
    problem: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (str(self.file), self.path, self.problem)))


class Reading:
    """One file being read: notes faults and hands out places."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.faults: list[Fault] = []

    def root(self) -> Place | None:
        """The file's content, None (with a fault noted) when it cannot be read as JSON."""
        try:
            text = self.file.read_text(encoding="utf-8-sig")
            content = json.loads(text, object_pairs_hook=without_duplicates)
        except OSError as error:
            self.fault("", f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self.fault("", f"is not UTF-8 text: {error.reason} at byte {error.start}")
        except json.JSONDecodeError as error:
            self.fault("", f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}")
        except RecursionError:
            self.fault("", "is nested too deeply")
        except DuplicateKeyError as error:
            self.fault("", f"key {error.key!r} stands twice in one object")
        except ValueError:
            # Python reads no number of more than 4,300 digits.
            self.fault("", "has a number that is too long to be read")
        else:
            return Place(self, "$", content)
        return None

    def fault(self, path: str, problem: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(self.file, path, problem))


class DuplicateKeyError(ValueError):
    """A key stands twice in one JSON object."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys differ, for `json.loads`."""
    content: dict[str, object] = {}
    for key, value in pairs:
        if key in content:
            raise DuplicateKeyError(key)
        content[key] = value
    return content


@dataclass(frozen=True)
class Place:
    """One place in a document. Its readers return what was meant, or a blank with a fault noted."""

    reading: Reading
    path: str
    value: object

    def fault(self, problem: str) -> None:
        """Note that something is wrong here."""
        self.reading.fault(self.path, problem)

    def items(self) -> Iterator[Place]:
        """The places of a list."""
        if not isinstance(self.value, list):
            self.fault(f"must be a list, not {_kind(self.value)}")
            return
        for number, value in enumerate(self.value):
            yield Place(self.reading, f"{self.path}[{number}]", value)

    def fields(self, allowed: Iterable[str] | None = None) -> dict[str, Place]:
        """The places of an object by key; unknown keys are faults where `allowed` says what is known."""
        if not isinstance(self.value, dict):
            self.fault(f"must be an object, not {_kind(self.value)}")
            return {}
        known = None if allowed is None else sorted(allowed)
        for key in self.value:
            if known is not None and key not in known:
                self.fault(f"unknown key {key!r}; allowed: {', '.join(known)}")
        return {key: Place(self.reading, _joined(self.path, key), value) for key, value in self.value.items()}

    def text(self) -> str:
        """A text without blanks around it."""
        if not isinstance(self.value, str):
            self.fault(f"must be a text, not {_kind(self.value)}")
            return ""
        if any(ord(character) < 32 or ord(character) == 127 for character in self.value):
            self.fault("must not hold control characters or line breaks")
            return ""
        return self.value.strip()

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.fault(f"must be true or false, not {_kind(self.value)}")
        return self.value is True

    def number(self, *, least: int, most: int) -> int | None:
        """A whole number in a range."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            self.fault(f"must be a whole number from {least} to {most}")
            return None
        return self.value


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if key.replace("_", "").isalnum() else f"{path}[{json.dumps(key)}]"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
