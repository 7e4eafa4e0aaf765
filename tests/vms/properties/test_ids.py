"""IDs of VMs in paths and queries: what is no ID is refused before any call."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from providers.catalogue import CLOUDS
from tests.support.api import Api
from tests.support.properties import PROPERTY, hostile_texts, spoiled, texts
from vms.service import current_service

VERBS = [("GET", ""), ("DELETE", ""), ("POST", "/start"), ("POST", "/stop"), ("POST", "/restart")]
ids = st.one_of([st.from_regex(cloud.vm_id_pattern, fullmatch=True) for cloud in CLOUDS])


@pytest.mark.parametrize("environment", ["aws-one", "azure-one", "esxi-one"])
@PROPERTY
@given(vm_id=texts | hostile_texts | spoiled(ids), call=st.sampled_from(VERBS))
def test_verb_on_what_is_no_id_is_refused_before_any_call(
    api: Api, environment: str, vm_id: str, call: tuple[str, str]
) -> None:
    """Quoted once; a slash in it makes another path."""
    cloud = current_service().registries.environments[environment].cloud
    assume(not cloud.vm_id_pattern.fullmatch(vm_id))
    method, verb = call
    answer = api.call(method, f"/vm/{quote(vm_id, safe='')}{verb}?environment={environment}")
    assert answer.status in {400, 404, 405}
    assert answer.calls == 0


@PROPERTY
@given(query=st.dictionaries(st.sampled_from(["environment", "name", "status", "x"]) | texts, texts | hostile_texts))
def test_list_with_any_query_is_refused_before_any_call(api: Api, query: dict[str, str]) -> None:
    """No generated text is the name of an environment."""
    answer = api.call("GET", f"/vm?{urlencode(query)}")
    assert answer.status == 400
    assert answer.calls == 0


@PROPERTY
@given(path=st.lists(texts | hostile_texts, max_size=4))
def test_any_path_is_answered_with_no_500(api: Api, path: list[str]) -> None:
    """`Api` checks that the answer is no 500."""
    answer = api.call("GET", "/" + "/".join(quote(part, safe="") for part in path))
    assert answer.calls == 0


@PROPERTY
@given(token=texts | spoiled(st.from_regex(r"[A-Za-z0-9_-]{1,40}:[A-Za-z0-9_-]{1,40}", fullmatch=True)))
def test_operation_of_any_token_that_is_not_ours_is_not_found(api: Api, token: str) -> None:
    """The signature is checked before anything else is read."""
    answer = api.call("GET", f"/operation/{quote(token, safe='')}")
    assert answer.status in {400, 404}
    assert answer.calls == 0
