"""Reading a request's JSON as ARM does: strict about members and types, lax about the case of names.

What comes back has Azure's own spelling of every name and of every word of a list. The words of a refusal are those
of Newtonsoft.Json, which ARM shows as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any

import orjson

from providers.sandbox.azure.wire import ArmError, Json


class Kind(Enum):
    """A value without structure, and .NET's name for its type."""

    TEXT = "System.String"
    FLAG = "System.Nullable`1[System.Boolean]"
    NUMBER = "System.Nullable`1[System.Int32]"
    TEXTS = "System.String[]"
    TEXT_MAP = "System.Collections.Generic.Dictionary`2[System.String,System.String]"
    # Taken in and never looked at: what only answers hold, which clients send back.
    IGNORED = "System.Object"


@dataclass(frozen=True)
class Words:
    """One of some words, in any case."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """An object: .NET's name for it, and its members."""

    name: str
    members: Mapping[str, "Member"] = field(default_factory=dict)


@dataclass(frozen=True)
class Many:
    """A list of objects."""

    item: Shape


Member = Kind | Words | Shape | Many

_TYPES: Mapping[Kind, type] = {Kind.TEXT: str, Kind.FLAG: bool, Kind.NUMBER: int}


@dataclass(frozen=True)
class Reader:
    """Reads one body, and refuses with the code of whoever reads it: ARM for the top, the provider for the rest."""

    text: str

    def read(self, value: object, shape: Shape, path: str = "", code: str = "BadRequest") -> Json:
        """An object in Azure's spelling, without what is null."""
        if not isinstance(value, dict):
            raise self._refusal(code, f"Error converting value to type '{shape.name}'.", path)
        names = {name.lower(): name for name in shape.members}
        found: Json = {}
        for given, item in value.items():
            name, below = names.get(given.lower()), f"{path}.{given}" if path else given
            if name is None:
                raise self._refusal(code, f"Could not find member '{given}' on object of type '{shape.name}'.", below)
            if item is not None and shape.members[name] is not Kind.IGNORED:
                found[name] = self._member(item, shape.members[name], below, code)
        return found

    def _member(self, value: object, member: Member, path: str, code: str) -> Any:
        match member:
            case Shape():
                return self.read(value, member, path, code)
            case Many():
                items = self._list(value, member.item.name, path, code)
                return [self.read(item, member.item, f"{path}[{index}]", code) for index, item in enumerate(items)]
            case Words():
                return self._word(value, member, path, code)
            case Kind.TEXTS:
                items = self._list(value, member.value, path, code)
                return [self._plain(item, Kind.TEXT, path, code) for item in items]
            case Kind.TEXT_MAP:
                return self._map(value, path, code)
            case Kind():
                return self._plain(value, member, path, code)

    def _plain(self, value: object, kind: Kind, path: str, code: str) -> object:
        # A boolean is an int in Python, not in JSON.
        if isinstance(value, _TYPES[kind]) and (kind is Kind.FLAG or not isinstance(value, bool)):
            return value
        raise self._conversion(value, kind.value, path, code)

    def _word(self, value: object, words: Words, path: str, code: str) -> str:
        known = {word.lower(): word for word in words.words}
        if isinstance(value, str) and value.lower() in known:
            return known[value.lower()]
        raise self._conversion(value, words.name, path, code)

    def _list(self, value: object, name: str, path: str, code: str) -> list[object]:
        if not isinstance(value, list):
            raise self._conversion(value, name, path, code)
        return value

    def _map(self, value: object, path: str, code: str) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self._conversion(value, Kind.TEXT_MAP.value, path, code)
        return value

    def _conversion(self, value: object, name: str, path: str, code: str) -> ArmError:
        told = value if isinstance(value, str) else orjson.dumps(value).decode()
        # A wrong word is told as it came, as .NET does, so long as nothing secret can be in its place.
        shown = "" if "password" in path.lower() or "data" in path.lower() else f' "{told}"'
        return self._refusal(code, f"Error converting value{shown} to type '{name}'.", path)

    def _refusal(self, code: str, complaint: str, path: str) -> ArmError:
        line, position = self._place(path)
        complaint = f"{complaint} Path '{path}', line {line}, position {position}."
        if code == "InvalidRequestContent":
            complaint = f"The request content was invalid and could not be deserialized: '{complaint}'."
        return ArmError(HTTPStatus.BAD_REQUEST, code, complaint, target=path if code == "BadRequest" else "")

    def _place(self, path: str) -> tuple[int, int]:
        """Line and position behind a member's name: each part of its path follows the one before."""
        end = 0
        for part in path.split("."):
            name = f'"{part.partition("[")[0]}"'
            found = self.text.find(name, end)
            end = found + len(name) if found >= 0 else end
        before = self.text[:end]
        return before.count("\n") + 1, end - (before.rfind("\n") + 1) + 1
