"""The lock file: complete, within the requirements, and with a hash for each download."""

import re
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
RENEW = "Renew requirements-lock.txt, see CONTRIBUTING."
SOURCES = ["requirements.txt", "requirements-dev.txt"]


class Pin(NamedTuple):
    """One distribution of the lock file.

    Attributes:
        requirement: its name and exact version, with a marker if it is for some platforms only.
        hashes: the number of its SHA-256 hashes.
        parents: the names of what needs it, and the files that name it.

    """

    requirement: Requirement
    hashes: int
    parents: set[str]

    @property
    def version(self) -> str:
        """The exact version."""
        (specifier,) = self.requirement.specifier
        return specifier.version


def requirements(source: str) -> Iterator[Requirement]:
    """The requirements that a file names itself."""
    for line in (ROOT / source).read_text().splitlines():
        if line and not line.startswith(("#", "-r ")):
            yield Requirement(line)


def pins() -> dict[str, Pin]:
    """The lock file's entries by canonical name."""
    entries: dict[str, Pin] = {}
    text = re.sub(r"^#.*\n", "", (ROOT / "requirements-lock.txt").read_text(), flags=re.MULTILINE)
    for entry in re.findall(r"^\S.*\n(?: .*\n)*", text, re.MULTILINE):
        requirement = Requirement(entry.split("\n")[0].removesuffix("\\"))
        parents = re.findall(r"^    #(?: via)? +(?:-r )?(?!via$)(\S+)$", entry, re.MULTILINE)
        hashes = len(re.findall(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$", entry, re.MULTILINE))
        name = canonicalize_name(requirement.name)
        assert name not in entries
        entries[name] = Pin(requirement, hashes, set(parents))
    return entries


def needs(requirement: Requirement) -> Iterator[Requirement]:
    """What an installed distribution needs here, with the extras that were asked for."""
    for text in requires(requirement.name) or []:
        needed = Requirement(text)
        if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *requirement.extras}):
            yield needed


def test_lock_file_covers_every_requirement_and_what_it_needs() -> None:
    """Each version satisfies all who need it, by the metadata of what is installed."""
    locked = pins()
    waiting = [requirement for source in SOURCES for requirement in requirements(source)]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        pin = locked.get(canonicalize_name(requirement.name))
        assert pin, f"{requirement} is missing. {RENEW}"
        assert requirement.specifier.contains(pin.version), f"{requirement} has {pin.version}. {RENEW}"
        assert pin.requirement.marker is None or pin.requirement.marker.evaluate(), pin
        if str(requirement) not in seen:
            seen.add(str(requirement))
            waiting.extend(needs(requirement))
    assert len(seen) > len(list(requirements("requirements.txt")))


@pytest.mark.parametrize("source", SOURCES)
def test_lock_file_names_the_same_requirements_as_their_file(source: str) -> None:
    """A requirement that was removed does not stay locked."""
    locked = {name for name, pin in pins().items() if source in pin.parents}
    assert locked == {canonicalize_name(requirement.name) for requirement in requirements(source)}, RENEW


def test_each_locked_version_has_hashes_and_somebody_who_needs_it() -> None:
    """Names come from an index that each machine configures for itself."""
    locked = pins()
    assert [name for name, pin in locked.items() if not pin.hashes] == []
    assert [name for name, pin in locked.items() if not pin.parents or pin.parents - locked.keys() - {*SOURCES}] == []
    assert "://" not in (ROOT / "requirements-lock.txt").read_text()


@pytest.mark.parametrize("source", SOURCES)
def test_each_requirement_has_an_upper_bound(source: str) -> None:
    """A new major version comes in on purpose only."""
    for requirement in requirements(source):
        bounds = {specifier.operator: Version(specifier.version) for specifier in requirement.specifier}
        assert bounds["<"] > bounds[">="], requirement


def test_ci_installs_the_locked_versions() -> None:
    """By their hashes, before the README's command finds its requirements satisfied."""
    script = (ROOT / ".ci/run").read_text()
    assert script.index("--require-hashes -r requirements-lock.txt") < script.index(
        'bash -euo pipefail -c "$test_command"'
    )
