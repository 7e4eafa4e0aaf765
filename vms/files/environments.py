"""The environments file: a list of places where VMs live."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from providers.catalogue import CLOUDS, find_cloud
from providers.cloud import Cloud, Option
from providers.domain import Environment
from vms.files.certificates import certificates_fault
from vms.files.reading import Place

TEXT_KEYS = (
    "url",
    "region",
    "network_id",
    "vpc_id",
    "project",
    "storage_external_id",
    "account_id",
    "subscription_id",
)
KEYS = ("name", "cloud", *TEXT_KEYS, "tls_verify", "ca_file")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
NAME_RULE = "1 to 63 letters, digits, dots, dashes or underscores, and begin with a letter or a digit"


def read_environments(root: Place) -> Mapping[str, Environment]:
    """Every environment of the file by its name."""
    environments: dict[str, Environment] = {}
    for place in root.items():
        environment = _read_environment(place)
        if environment is None:
            continue
        if environment.name in environments:
            place.fault(f"the name {environment.name!r} is taken by an environment above")
        environments[environment.name] = environment
    return MappingProxyType(environments)


def _read_environment(place: Place) -> Environment | None:
    named = place.fields()
    cloud = _read_cloud(place, named)
    if cloud is None:
        return None
    fields = place.fields((*KEYS, *cloud.options))
    texts = {key: fields[key].text() for key in TEXT_KEYS if key in fields}
    for key in sorted(cloud.required):
        if not texts.get(key):
            place.fault(f"key {key!r} is missing or blank; {cloud.name} needs it")
    if "url" in fields and texts["url"]:
        _check_url(fields["url"], texts["url"], cloud)
    texts["region"] = _without_prefix(texts.get("region", ""), cloud)
    return Environment(
        name=_read_name(place, fields),
        cloud=cloud,
        **texts,
        tls_verify=fields["tls_verify"].flag() if "tls_verify" in fields else True,
        ca_file=_read_ca_file(fields["ca_file"]) if "ca_file" in fields else "",
        options=MappingProxyType(
            {key: _read_option(fields[key], option) for key, option in cloud.options.items() if key in fields}
        ),
    )


def _read_cloud(place: Place, fields: dict[str, Place]) -> Cloud | None:
    if "cloud" not in fields:
        if isinstance(place.value, dict):
            place.fault("key 'cloud' is missing")
        return None
    text = fields["cloud"].text()
    cloud = find_cloud(text)
    if cloud is None and isinstance(fields["cloud"].value, str):
        fields["cloud"].fault(f"{text!r} is no cloud that this service knows; allowed: {cloud_names()}")
    return cloud


def cloud_names() -> str:
    """All names under which files may call clouds, for messages."""
    return ", ".join(sorted((name for cloud in CLOUDS for name in (cloud.name, *cloud.aliases)), key=str.lower))


def _read_name(place: Place, fields: dict[str, Place]) -> str:
    if "name" not in fields:
        place.fault("key 'name' is missing")
        return ""
    name = fields["name"].text()
    if not NAME.fullmatch(name):
        fields["name"].fault(f"must be {NAME_RULE}")
    return name


def _without_prefix(region: str, cloud: Cloud) -> str:
    """The region without the cloud's name before it: `Aws-int/eu-west-3` and `Proxmox/1` come from older files."""
    prefix, slash, rest = region.partition("/")
    return rest if slash and prefix.lower().partition("-")[0] in cloud.names else region


def _check_url(place: Place, url: str, cloud: Cloud) -> None:
    """Refuse what is neither an address nor one of the cloud's own words for one (`AzurePublicCloud`)."""
    if url in cloud.url_words:
        return
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        words = "".join(f", or {word}" for word in sorted(cloud.url_words))
        place.fault(f"must be an https:// (or http://) URL with a host and, if any, a port from 1 to 65535{words}")
    elif parts.username is not None or parts.query or parts.fragment:
        place.fault("must not hold a user, a password, a query or a fragment")


def _read_ca_file(place: Place) -> str:
    """The absolute path of a readable file; a relative one is meant from the environments file's folder."""
    text = place.text()
    if not text:
        return ""
    try:
        path = (place.reading.file.parent / Path(text).expanduser()).absolute()
    except RuntimeError:
        place.fault(f"{text} begins with the home directory of nobody")
        return ""
    if problem := certificates_fault(path):
        place.fault(problem)
    return str(path)


def _read_option(place: Place, option: Option) -> tuple[str, ...]:
    places = list(place.items()) if option.many else [place]
    texts = tuple(item.text() for item in places)
    for item, text in zip(places, texts, strict=True):
        if not option.pattern.fullmatch(text):
            item.fault(f"must be {option.meaning}")
    return texts
