"""What Azure could never make is refused before any call, with the field named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from providers.azure.driver import AzureDriver
from providers.azure.marks import Made
from providers.azure.recipe import recipe_for
from providers.credentials import Secret
from providers.domain import Idempotency, Offer, VMSpec
from providers.errors import InvalidRequestError, UnprocessableError
from tests.providers.azure.documents import KEYED, PASSWORD, SPEC, SUBNET, WINDOWS, environment
from tests.providers.azure.endpoint import SUBSCRIPTION, Endpoint

PLACE = environment(Endpoint("https://127.0.0.1:9", ""))
COMPUTE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute"
LONG = "a" * 63


def with_tags(count: int, keyed: bool = False) -> VMSpec:  # noqa: FBT001, FBT002 - a test's shorthand
    """A VM with so many tags."""
    spec = KEYED if keyed else SPEC
    return replace(spec, tags={f"key-{number}": "" for number in range(count)})


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (replace(WINDOWS, name="a" * 16), "name", "16 characters; with Windows Azure takes 15"),
        (replace(WINDOWS, name="12345"), "name", "all digits"),
        (replace(WINDOWS, admin_password=None), "admin_password", "missing"),
        (replace(WINDOWS, admin_password=Secret("")), "admin_password", "missing"),
        (replace(WINDOWS, admin_password=Secret("Aa1-567")), "admin_password", "8 to 123"),
        (replace(WINDOWS, admin_password=Secret("Aa1-" * 31)), "admin_password", "8 to 123"),
        (replace(WINDOWS, admin_password=Secret("onlysmall123")), "admin_password", "three of"),
        (replace(WINDOWS, admin_password=Secret("P@ssw0rd")), "admin_password", "everybody knows"),
        (replace(SPEC, admin_password=Secret(PASSWORD)), "admin_password", "Windows only"),
        (with_tags(50), "tags", "50 in all, 49 of them yours"),
        (with_tags(48, keyed=True), "tags", "50 in all, 47 of them yours"),
        (replace(SPEC, tags={"Team": "a", "team": "b"}), "tags", "case"),
        (replace(SPEC, tags={"cloudvm:creation": "x"}), "tags", "reserved"),
        (replace(SPEC, tags={"Azure-thing": "x"}), "tags", "reserved"),
        (replace(SPEC, tags={"microsoft.x": "x"}), "tags", "reserved"),
        (replace(SPEC, tags={"a/b": "x"}), "tags", "holds one of"),
        (replace(SPEC, tags={"a<b": "x"}), "tags", "holds one of"),
        (replace(SPEC, tags={"k" * 513: "x"}), "tags", "512"),
        (replace(SPEC, tags={"k": "x" * 257}), "tags", "256"),
    ],
)
def test_check_create_of_what_azure_cannot_take_names_the_field(spec: VMSpec, field: str, words: str) -> None:
    """A password is never quoted."""
    with pytest.raises(InvalidRequestError) as raised:
        AzureDriver.check_create(PLACE, spec)
    faults = [fault for fault in raised.value.fields if words in fault.detail]
    assert [fault.field for fault in faults] == [field]
    assert f"{field}: {faults[0].detail}" in raised.value.detail
    password = spec.admin_password.reveal() if spec.admin_password else ""
    assert not password or password not in raised.value.detail + faults[0].detail


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, name=LONG),
        replace(SPEC, tags={"cost centre": "4711 / é <>%&", "empty": "", "a:b": "c"}),
        with_tags(49),
        with_tags(47, keyed=True),
        replace(WINDOWS, name="a" * 15),
        replace(WINDOWS, admin_password=Secret("Aa1-5678")),
        replace(WINDOWS, admin_password=Secret("Aa1-" * 30 + "Aa1")),
        replace(WINDOWS, admin_password=Secret("kleine äöü 123")),
        replace(WINDOWS, os=replace(WINDOWS.os, os_type="windows")),
    ],
)
def test_check_create_at_the_limits_passes(spec: VMSpec) -> None:
    """What Azure takes is taken."""
    AzureDriver.check_create(PLACE, spec)


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        (
            "Debian/debian-12/12-gen2/latest",
            {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"},
        ),
        *(
            (text, {key: text})
            for key, text in (
                ("id", f"{COMPUTE}/images/mine"),
                ("id", f"{COMPUTE}/galleries/g1/images/mine/versions/1.0.0"),
                ("communityGalleryImageId", "/CommunityGalleries/g-1/Images/debian/Versions/latest"),
                ("sharedGalleryImageId", "/SharedGalleries/g-1/images/debian"),
            )
        ),
    ],
)
def test_recipe_for_each_kind_of_image_refers_to_it_as_azure_wants(image: str, reference: dict[str, str]) -> None:
    """The marketplace's four parts, or an id."""
    assert dict(recipe_for(PLACE, replace(SPEC, offer=Offer("Standard_B1s", image))).image) == reference


@pytest.mark.parametrize(
    "image", ["", "debian", "Debian/debian-12/12-gen2", "a/b/c/d/e", "/subscriptions/x", "../a/b/c"]
)
def test_recipe_for_another_image_is_unprocessable(image: str) -> None:
    """Before any call; the forms are told."""
    with pytest.raises(UnprocessableError, match="publisher/offer/sku/version"):
        AzureDriver.check_create(PLACE, replace(SPEC, offer=Offer("Standard_B1s", image)))


def test_recipe_without_a_subnet_is_unprocessable() -> None:
    """An environment that only lists needs none."""
    with pytest.raises(UnprocessableError, match="`network_id`"):
        AzureDriver.check_create(replace(PLACE, network_id=""), SPEC)
    assert recipe_for(PLACE, SPEC).site.subnet_id == SUBNET


def test_names_of_what_is_made_differ_with_each_create_and_fit_azure() -> None:
    """At most 80 characters, for an interface with room for what Azure adds."""
    one, other = (Made(LONG, recipe_for(PLACE, SPEC).creation) for _ in range(2))
    assert one.disk != other.disk
    assert one.nic != other.nic
    assert max(len(one.disk), len(one.nic)) <= 60


def test_recipe_without_cloud_init_sends_none() -> None:
    """Nothing is nothing."""
    for empty in (None, b""):
        body = recipe_for(PLACE, replace(SPEC, cloud_init=empty)).body()
        assert "customData" not in body["properties"]["osProfile"]


def test_recipe_of_a_request_with_a_key_differs_in_its_environment() -> None:
    """One key serves in two environments."""
    keys = {
        recipe_for(replace(PLACE, name=name), replace(SPEC, idempotency=Idempotency("k", "d"))).request_key
        for name in ("azure1", "azure2")
    }
    assert len(keys) == 2
