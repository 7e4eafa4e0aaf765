"""Reading environment variables: each has a default and a kind, and a wrong value is told in one line."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

# What Django compares with the host of a request.
_HOST = re.compile(r"\*|\.?[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f]*:[0-9a-f:.]+\]", re.IGNORECASE)

# How much alike two names must be for one to be a slip of the other: from 0 to 1, as difflib counts.
ALIKE = 0.8


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of value: how it is read from text (raising ValueError), and what is allowed, in words."""

    read: Callable[[str], T]
    allowed: str


class Variables:
    """The process's environment variables. Faults are collected, so that a start shows all of them at once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._names: list[str] = []
        self.faults: list[str] = []

    def read(self, name: str, kind: Kind[T], default: T) -> T:
        """The variable's value; the default when it is not set or blank, or (with a fault noted) when it is wrong."""
        self._names.append(name)
        text = self._environ.get(name, "").strip()
        if not text:
            return default
        try:
            return kind.read(text)
        except ValueError:
            self.faults.append(f"{name}={text!r}: must be {kind.allowed}")
            return default

    def mistyped(self, prefix: str) -> dict[str, str]:
        """Variables of this prefix that nobody reads, and what each seems to mean; those like nothing are another's."""
        known = {name.removeprefix(prefix): name for name in self._names}
        strangers = [name for name in self._environ if name.startswith(prefix) and name not in self._names]
        meant = {name: get_close_matches(name.removeprefix(prefix), known, n=1, cutoff=ALIKE) for name in strangers}
        return {name: known[close[0]] for name, close in meant.items() if close}


def choice(*words: str) -> Kind[str]:
    """One of some words, in whatever case; the value has the case given here."""
    by_lower = {word.lower(): word for word in words}

    def read(text: str) -> str:
        if text.lower() not in by_lower:
            raise ValueError(text)
        return by_lower[text.lower()]

    return Kind(read, "one of " + ", ".join(words))


def seconds(*, least: float, most: float) -> Kind[float]:
    """A number of seconds."""
    return Kind(lambda text: _between(float(text), least, most), f"a number of seconds from {least:g} to {most:g}")


def count(*, least: int, most: int) -> Kind[int]:
    """A whole number."""
    return Kind(lambda text: int(_between(int(text), least, most)), f"a whole number from {least} to {most}")


def _between(value: float, least: float, most: float) -> float:
    # Not "outside": a NaN is neither below nor above.
    if not least <= value <= most:
        raise ValueError(value)
    return value


def _flag(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return words[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError(text) from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(word, strict=False) for word in _words(text))


def _hosts(text: str) -> tuple[str, ...]:
    words = _words(text)
    if not all(map(_HOST.fullmatch, words)):
        raise ValueError(text)
    return words


TEXT = Kind(str, "a text")
PATH = Kind(_path, "a path, whose ~ leads to a home directory")
FLAG = Kind(_flag, "true or false")
HOSTS = Kind(
    _hosts,
    "host names or addresses without scheme, port and path, with commas between them; `.example.com` also means the "
    "hosts below, `*` means any; an IPv6 address stands in brackets",
)
NETWORKS = Kind(_networks, "IP addresses or ranges such as 10.0.0.0/8, with commas between them")
