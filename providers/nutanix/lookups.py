"""What a create has to look up first, kept a while: the image, the network and the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from providers.errors import UnprocessableError
from providers.findings import Findings
from providers.nutanix.client import PrismClient
from providers.nutanix.records import Image, Place
from providers.nutanix.site import Site, is_uuid

KEPT_SECONDS: Final = 300.0
MOST_KEPT: Final = 128


class Lookups:
    """Looks things up with one caller's client; used by many threads at once."""

    def __init__(self, client: PrismClient, site: Site) -> None:
        self._client = client
        self._site = site
        self._images: Findings[str, Image] = Findings(MOST_KEPT, KEPT_SECONDS)
        self._networks: Findings[str, str] = Findings(MOST_KEPT, KEPT_SECONDS)
        self._clusters: Findings[str, str] = Findings(MOST_KEPT, KEPT_SECONDS)

    def forget(self) -> None:
        """Look everything up anew: a create has failed, perhaps as something is not there any more."""
        for findings in (self._images, self._networks, self._clusters):
            findings.clear()

    def image(self, wanted: str) -> Image:
        """The disk image of that uuid or name.

        Raises:
            UnprocessableError: there is none, or more than one.

        """
        return self._images.find(wanted, lambda: self._image(wanted))

    def network(self, cluster: str) -> str:
        """The uuid of the network that the environment names, or of the cluster's only one.

        Raises:
            UnprocessableError: there is none of that name, or the file has to say which.

        """
        if is_uuid(self._site.network):
            return self._site.network
        return self._networks.find(cluster, lambda: self._network(cluster))

    def cluster(self) -> str:
        """The uuid of the cluster on which VMs are made; blank where nobody has to name it.

        Raises:
            UnprocessableError: there is none of that name, or the file has to say which.

        """
        return self.scope() or self._clusters.find("", lambda: self._only(self._client.clusters()))

    def scope(self) -> str:
        """The uuid of the cluster that the environment names; blank if it names none.

        Raises:
            UnprocessableError: there is none of that name.

        """
        wanted = self._site.cluster
        if not wanted or is_uuid(wanted):
            return wanted
        return self._clusters.find(wanted, lambda: self._named_cluster(wanted))

    def _image(self, wanted: str) -> Image:
        matching = [
            one for one in self._client.images(wanted) if wanted.lower() == one.id.lower() or wanted == one.name
        ]
        disks = [one for one in matching if one.is_disk]
        if len(disks) == 1:
            return disks[0]
        if disks:
            raise UnprocessableError(
                f"The machine type's image on Nutanix is {wanted!r}, and {len(disks)} images have that name: give the "
                f"uuid of one, {_listed(one.id for one in disks)}."
            )
        why = "which is no disk image that is ready" if matching else "which Prism does not have or show to this caller"
        raise UnprocessableError(
            f"The machine type's image on Nutanix is {wanted!r}, {why}. "
            "It must be the uuid or the name of a disk image."
        )

    def _network(self, cluster: str) -> str:
        wanted = self._site.network
        found = [one for one in self._client.networks() if not one.cluster or not cluster or one.cluster == cluster]
        matching = [one for one in found if one.name == wanted] if wanted else found
        if len(matching) == 1:
            return matching[0].id
        which = f"names the network {wanted!r}, which fits {len(matching)} networks" if wanted else "names no network"
        raise UnprocessableError(
            f"Environment {self._site.name!r} {which}: give the uuid of one as its `network_id`. "
            f"There are {_listed(_shown(one) for one in found)}."
        )

    def _named_cluster(self, wanted: str) -> str:
        clusters = self._client.clusters()
        matching = [one for one in clusters if one.name == wanted]
        if len(matching) == 1:
            return matching[0].id
        raise UnprocessableError(
            f"Environment {self._site.name!r} names the cluster {wanted!r} as its `project`, which fits "
            f"{len(matching)} clusters. There are {_listed(_shown(one) for one in clusters)}."
        )

    def _only(self, clusters: list[Place]) -> str:
        if len(clusters) > 1:
            raise UnprocessableError(
                f"This Prism Central has {len(clusters)} clusters: give the uuid of the one on which VMs are to be "
                f"made as the `project` of environment {self._site.name!r}. "
                f"There are {_listed(_shown(one) for one in clusters)}."
            )
        return clusters[0].id if clusters else ""


def _shown(place: Place) -> str:
    return f"{place.name} ({place.id})"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts)) or "none"
