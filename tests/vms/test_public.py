"""The endpoints that ask no cloud: what is configured, the catalogue of errors, health, documentation."""

import re

import pytest

from providers.errors import ErrorCode
from tests.support.api import Api
from tests.vms.conftest import ENVIRONMENTS
from vms.catalogue import TEXTS
from vms.problems import KINDS


def test_list_environments_shows_names_clouds_regions_and_machine_types(stranger: Api) -> None:
    """In the file's order, without a token."""
    assert stranger.call("GET", "/environment").json == [
        {"name": "aws-one", "cloud": "Aws", "region": "eu-west-3", "machinetypes": ["small-debian"]},
        {"name": "azure-one", "cloud": "Azure", "region": "westeurope", "machinetypes": ["tiny"]},
        {"name": "esxi-one", "cloud": "vSphere", "region": "", "machinetypes": ["small-debian"]},
    ]


@pytest.mark.parametrize("path", ["/environment", "/environment/azure-one", "/environment/aws-one", "/machinetype"])
def test_show_what_is_configured_tells_no_ids_of_tenants_or_networks(stranger: Api, path: str) -> None:
    """Nor addresses: who brings no token learns names only."""
    told = stranger.call("GET", path).body.decode()
    private = {"url", "network_id", "vpc_id", "project", "storage_external_id", "account_id", "subscription_id"}
    for environment in ENVIRONMENTS:
        for key in private & set(environment):
            assert environment[key] not in told
            assert f'"{key}"' not in told


def test_show_an_environment_is_its_entry_in_the_list(stranger: Api) -> None:
    """The same words."""
    listed = stranger.call("GET", "/environment").json
    assert [stranger.call("GET", f"/environment/{each['name']}").json for each in listed] == listed


@pytest.mark.parametrize("name", ["none", "*", "AWS-ONE", "%00", "..", "%0a", "%F0%9F%92%A9", "x" * 5000, "%25s"])
@pytest.mark.parametrize("kind", ["environment", "machinetype"])
def test_show_something_that_is_not_configured_is_404(stranger: Api, kind: str, name: str) -> None:
    """404 where the name is in the path; a long one is not quoted whole in the detail."""
    answer = stranger.call("GET", f"/{kind}/{name}")
    assert (answer.status, answer.code) == (404, f"{kind}_not_found")
    assert len(answer.json["detail"]) < 500


def test_list_machine_types_shows_what_they_are_on_each_cloud(stranger: Api) -> None:
    """Clouds by their own names; sizes read from the ends of instance types."""
    small, tiny = stranger.call("GET", "/machinetype").json
    assert stranger.call("GET", "/machinetype/tiny").json == tiny
    assert tiny["os"] == {"os_type": "Linux", "os_distribution": "", "os_disk_size_gb": None}
    assert small["clouds"]["vSphere"] == {
        "instance_type": "x.c2m4", "image": "debian12", "cpus": 2, "memory_mib": 4096,
    }  # fmt: skip


def test_list_machine_types_of_an_environment_shows_those_that_it_offers(stranger: Api) -> None:
    """By its cloud."""
    answer = stranger.call("GET", "/machinetype", query={"environment": "azure-one"})
    assert [each["name"] for each in answer.json] == ["tiny"]
    assert stranger.call("GET", "/machinetype?environment=none").code == "environment_not_found"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_ok_without_a_token(stranger: Api, path: str) -> None:
    """And without a call; whoever watches a process asks by its address."""
    for host in ("testserver", "10.1.2.3:8080"):
        answer = stranger.call("GET", path, headers={"Host": host})
        assert answer.json == {"status": "ok"}
        assert answer.calls == 0


@pytest.mark.parametrize("path", ["/environment", "/livez", "/problems/conflict"])
def test_call_of_a_public_path_does_not_read_the_token(api: Api, path: str) -> None:
    """One that is malformed is nobody's business there."""
    assert api.call("GET", path, headers={"Authorization": "nonsense"}).status == 200


def test_catalogue_has_a_text_and_a_kind_for_every_code() -> None:
    """A new code without them would break its own problem document."""
    assert set(TEXTS) == set(KINDS) == set(ErrorCode)
    for text in TEXTS.values():
        assert text.meaning.endswith(".")
        assert text.advice.endswith((".", "`"))


@pytest.mark.parametrize("code", list(ErrorCode))
def test_show_an_error_explains_it_to_programs_and_people(stranger: Api, code: ErrorCode) -> None:
    """`type` of a problem leads here: JSON, or a page without scripts."""
    entry = stranger.call("GET", f"/problems/{code}").json
    assert entry["code"] == code
    assert entry["status"] == KINDS[code].status
    assert entry["meaning"] == TEXTS[code].meaning
    answer = stranger.call("GET", f"/problems/{code}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = answer.body.decode()
    assert KINDS[code].title in page
    assert "<script" not in page


def test_list_errors_as_a_page_links_to_each(stranger: Api) -> None:
    """Every link works, and leads back."""
    page = stranger.call("GET", "/problems", headers={"Accept": "text/html"}).body.decode()
    links = re.findall(r'href="([^"]+)"', page.partition("<tbody>")[2].partition("</tbody>")[0])
    assert links == [f"/problems/{code}" for code in ErrorCode]
    assert [entry["code"] for entry in stranger.call("GET", "/problems").json] == list(ErrorCode)
    assert 'href="/problems"' in stranger.call("GET", links[0], headers={"Accept": "text/html"}).body.decode()


@pytest.mark.parametrize("query", ["", "?script", "?script&lang=%22);alert(1)//", "?version=%3C/script%3E%3Cscript%3E"])
def test_docs_run_no_script_that_is_not_ours(stranger: Api, query: str) -> None:
    """Neither inline nor from elsewhere, and no query gets out of its quotes."""
    answer = stranger.call("GET", f"/docs{query}")
    assert answer.status == 200
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    text = answer.body.decode()
    assert "alert(1)" not in text.replace("%29%3Balert%281%29", "")
    assert "<script>" not in text
    assert "https://" not in re.sub(r"https?://testserver", "", text)


def test_root_leads_to_the_documentation(stranger: Api) -> None:
    """Who opens the address in a browser finds something to read."""
    answer = stranger.call("GET", "/")
    assert (answer.status, answer.headers["Location"]) == (302, "/docs")
