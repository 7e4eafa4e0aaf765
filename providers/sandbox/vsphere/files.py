"""A datastore's files and folders, by their path in it, such as `vm-1/vm-1.vmdk`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from providers.sandbox.vsphere.refusals import refusal

_PATH: Final = re.compile(r"\[(?P<datastore>[^\[\]]+)\](?: ?(?P<path>.*))?", re.DOTALL)


@dataclass(frozen=True)
class DatastorePath:
    """`[datastore] path`; the path has no slash at either end, and is empty for the datastore's own root."""

    datastore: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "DatastorePath":
        """Read one; raises InvalidDatastorePath."""
        match = _PATH.fullmatch(text)
        if match is None or ".." in (match["path"] or "").split("/"):
            raise refusal("InvalidDatastorePath", {"datastorePath": text}, datastorePath=text)
        return cls(match["datastore"], (match["path"] or "").strip("/ "))

    def __str__(self) -> str:
        return f"[{self.datastore}] {self.path}"


@dataclass(frozen=True)
class File:
    """A file, or a folder. `capacity_bytes` is what a virtual disk can hold, `size_bytes` what the file takes.

    `has_tools` says that on this disk is a system with open-vm-tools; `is_equipment` that it was there at the start.
    `modified_at` is set when the file is put; of a folder, also when something is put into it.
    """

    size_bytes: int = 0
    capacity_bytes: int | None = None
    is_folder: bool = False
    is_thin: bool = False
    has_tools: bool = False
    uuid: str = ""
    is_equipment: bool = False
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)

    @property
    def is_disk(self) -> bool:
        """Whether it is a virtual disk."""
        return self.capacity_bytes is not None

    def extended(self, capacity_bytes: int) -> "File":
        """The same disk, larger; one that is not thin takes the room at once."""
        size = self.size_bytes if self.is_thin else capacity_bytes
        return replace(self, capacity_bytes=capacity_bytes, size_bytes=size)


FOLDER: Final = File(is_folder=True)


class Files:
    """The files of one datastore. Not thread-safe. Folders of a path that is put are made with it."""

    def __init__(self) -> None:
        self._all: dict[str, File] = {}

    def find(self, path: str) -> File | None:
        """What is at a path; the root is a folder."""
        return FOLDER if not path else self._all.get(path)

    def put(self, path: str, file: File) -> None:
        """Put a file or folder at a path, instead of what was there."""
        parent = path.rpartition("/")[0]
        if parent and parent not in self._all:
            self.put(parent, replace(FOLDER, is_equipment=file.is_equipment))
        now = datetime.now(UTC)
        if parent:
            self._all[parent] = replace(self._all[parent], modified_at=now)
        self._all[path] = replace(file, modified_at=now)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it; nothing happens when there is neither."""
        for gone in [path, *(found for found, _ in self.below(path))]:
            self._all.pop(gone, None)

    def move(self, source: str, target: str) -> None:
        """Move a file, or a folder with all that is in it."""
        moved = [(source, self._all[source]), *self.below(source)]
        self.remove(source)
        for path, file in moved:
            self.put(target + path.removeprefix(source), file)

    def below(self, path: str) -> Iterator[tuple[str, File]]:
        """All that is in a folder and in its folders."""
        start = f"{path}/" if path else ""
        return iter([(found, file) for found, file in self._all.items() if found.startswith(start)])

    def inside(self, path: str) -> Iterator[tuple[str, File]]:
        """What is in a folder itself."""
        depth = path.count("/") + 1 if path else 0
        return (found for found in self.below(path) if found[0].count("/") == depth)

    def free_name(self, wanted: str) -> str:
        """A path that is not taken: the one that is wanted, or with `_1` and so on."""
        name, number = wanted, 0
        while name in self._all:
            number += 1
            name = f"{wanted}_{number}"
        return name

    def used_bytes(self) -> int:
        """How much room all files take."""
        return sum(file.size_bytes for file in self._all.values())
