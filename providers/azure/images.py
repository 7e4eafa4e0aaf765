"""What a session has learnt of its images: how large their disks are, which Azure tells only when it refuses a size.

A machine type names the least size of the system disk. Azure makes no disk that is smaller than its image's.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from azure.core.exceptions import HttpResponseError

from providers.azure.failures import refusal_of
from providers.azure.recipe import Recipe

MOST_IMAGES: Final = 128
_TOO_SMALL: Final = re.compile(
    r"disk size \d+ GB is smaller than the size of the corresponding disk in the VM image: (\d+) GB"
)


class ImageSizes:
    """The disk sizes of images, in GiB; used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}

    def fitted(self, recipe: Recipe) -> Recipe:
        """The recipe, with the image's own size where it wants less."""
        with self._lock:
            size = self._sizes.get(_name(recipe.image), 0)
        wanted = recipe.spec.os.disk_gib
        return _unsized(recipe) if wanted is not None and wanted < size else recipe

    def learn(self, recipe: Recipe, error: HttpResponseError) -> Recipe | None:
        """The recipe with the image's own size, if Azure has refused it for wanting less; None otherwise."""
        found = _TOO_SMALL.search(refusal_of(error).message)
        if found is None:
            return None
        with self._lock:
            if len(self._sizes) >= MOST_IMAGES:
                self._sizes.clear()
            self._sizes[_name(recipe.image)] = int(found[1])
        return _unsized(recipe)


def _unsized(recipe: Recipe) -> Recipe:
    return replace(recipe, spec=replace(recipe.spec, os=replace(recipe.spec.os, disk_gib=None)))


def _name(image: Mapping[str, str]) -> str:
    return "/".join(image.values())
