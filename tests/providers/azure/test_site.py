"""What environments mean on Azure: endpoints of its clouds, and keys that have no acceptable form."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from providers.azure import CLOUD
from providers.azure.site import site_of
from providers.domain import Environment
from providers.errors import UnprocessableError

ACCOUNT = "d9007062-1aae-4619-abb0-320699664975/54e30869-75a2-47ed-8b32-1057e61707f0"
SUBNET = (
    "/subscriptions/54e30869-75a2-47ed-8b32-1057e61707f0/resourceGroups/oj-test/providers/Microsoft.Network/"
    "virtualNetworks/azure-vnet/subnets/first-subnet"
)


def entry(**changes: Any) -> Environment:
    """The origin's example."""
    fields: dict[str, Any] = {
        "url": "AzurePublicCloud",
        "region": "westeurope",
        "network_id": SUBNET,
        "vpc_id": ACCOUNT,
        "project": "oj-test",
        **changes,
    }
    if "authority_url" in fields:
        fields["options"] = MappingProxyType({"authority_url": (fields.pop("authority_url"),)})
    return Environment("azure-test1", CLOUD, **fields)


@pytest.mark.parametrize(
    ("url", "management", "authority", "scope"),
    [
        ("AzurePublicCloud", "management.azure.com", "login.microsoftonline.com", "management.azure.com"),
        ("", "management.azure.com", "login.microsoftonline.com", "management.azure.com"),
        ("AzureChinaCloud", "management.chinacloudapi.cn", "login.chinacloudapi.cn", "management.chinacloudapi.cn"),
        (
            "AzureUSGovernment", "management.usgovcloudapi.net", "login.microsoftonline.us",
            "management.core.usgovcloudapi.net",
        ),
        (
            "AzureUSGovernmentCloud", "management.usgovcloudapi.net", "login.microsoftonline.us",
            "management.core.usgovcloudapi.net",
        ),
        ("https://arm.example:8443/", "arm.example:8443", "arm.example:8443", "arm.example:8443"),
    ],
)  # fmt: skip
def test_site_of_each_cloud_leads_to_its_endpoints(url: str, management: str, authority: str, scope: str) -> None:
    """By Microsoft's words, or by an address, where the log-in is there, too."""
    found = site_of(entry(url=url)).endpoints
    assert found.management_url == f"https://{management}"
    assert found.authority_url == f"https://{authority}"
    assert found.scope == f"https://{scope}/.default"


def test_every_word_that_a_file_may_say_is_known() -> None:
    """None is taken by the file and refused later."""
    for word in CLOUD.url_words:
        assert site_of(entry(url=word)).endpoints.management_url.startswith("https://management.")


def test_site_of_a_private_azure_logs_in_where_the_file_says() -> None:
    """With or without a slash at the end."""
    found = site_of(entry(url="https://arm.example", authority_url="https://login.example/")).endpoints
    assert (found.management_url, found.authority_url) == ("https://arm.example", "https://login.example")


def test_site_of_the_origins_example() -> None:
    """Region with and without its prefix, in Azure's short form."""
    site = site_of(entry(region="Azure-int/West Europe"))
    assert (site.tenant, site.subscription) == tuple(ACCOUNT.split("/"))
    assert (site.group, site.region, site.subnet_id) == ("oj-test", "westeurope", SUBNET)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vpc_id": ACCOUNT.partition("/")[2]}, r"`vpc_id` is .* <tenant>/<subscription>"),
        ({"vpc_id": f"{ACCOUNT}/x"}, "`vpc_id`"),
        ({"vpc_id": "../x/54e30869-75a2-47ed-8b32-1057e61707f0"}, "`vpc_id`"),
        ({"project": "a/b"}, "`project`"),
        ({"project": "ends.with.a.dot."}, "`project`"),
        ({"project": ""}, "`project`"),
        ({"region": "west/../europe"}, None),
        ({"region": "west europe?"}, "`region`"),
        ({"network_id": "first-subnet"}, r"`network_id` is .*/subnets/<subnet>"),
        ({"network_id": f"{SUBNET}/../x"}, "`network_id`"),
        ({"url": "http://arm.example"}, "`url`"),
        ({"url": "https://arm.example/path"}, "`url`"),
        ({"url": "https://{arm}.example"}, "`url`"),
        ({"authority_url": "https://login.example"}, "`authority_url` .* left out"),
    ],
)
def test_site_of_an_entry_without_acceptable_form_names_key_and_form(
    changes: dict[str, str], words: str | None
) -> None:
    """Before any call; nothing that was written to lead elsewhere comes into a path."""
    if words is None:
        assert site_of(entry(**changes)).region == "europe"
        return
    with pytest.raises(UnprocessableError, match=words) as raised:
        site_of(entry(**changes))
    assert "azure-test1" in raised.value.detail


def test_cloud_says_what_is_known_without_a_call() -> None:
    """Its limits and the forms of its ids."""
    assert CLOUD.cloud_init_limit_bytes == 65_535
    good, bad = ("a", "test1", "Web_1.a", "v" * 64), ("", "-a", "a-", "a.", "a b", "a/b", "v" * 65, "é")
    assert all(CLOUD.vm_id_pattern.fullmatch(one) for one in good)
    assert not [one for one in bad if CLOUD.vm_id_pattern.fullmatch(one)]
    allowed = CLOUD.options["admin_username"].pattern
    assert allowed.fullmatch("azureuser")
    assert not [one for one in ("1a", "Root", "a b", "x" * 21, "a:b", "") if allowed.fullmatch(one)]
