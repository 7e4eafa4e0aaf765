"""Searches: how long they go on, and which time counts."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from providers import notes
from providers.domain import Operation, Verb
from providers.nutanix.discovery import client_of
from providers.nutanix.searches import LONGEST_PAUSE_SECONDS, Searches
from providers.nutanix.session import PrismSession
from providers.nutanix.steps import FIND, SOLE, Step
from tests.providers.nutanix.prism import DEMO, Prism
from tests.providers.reached import NETWORK


@pytest.fixture
def searches(prism: Prism) -> Iterator[Searches]:
    """Searches by each API."""
    session = PrismSession(prism.environment(), DEMO, NETWORK)
    yield Searches(client_of(prism.api, session))
    session.close()


@pytest.mark.parametrize("do", [FIND, SOLE])
def test_search_counts_only_time_in_which_prism_answers(prism: Prism, searches: Searches, do: str) -> None:
    """Prism is away for longer than the search goes on, and nothing is concluded from that."""
    note = prism.sandbox.vm(prism.create(key="order-4711")).description
    prism.sandbox.set_description(prism.create(), note)
    mark = "no such creation" if do == FIND else notes.read(note).request_key
    seconds = 1.5 * LONGEST_PAUSE_SECONDS
    step = Step(do, name="test1", mark=mark, seconds_left=seconds)
    operation = searches.by_step[do](Operation(Verb.CREATE, None, str(step)), step)
    for _ in range(2):
        assert not operation.done
        assert operation.retry_after_seconds is not None
        assert operation.retry_after_seconds <= LONGEST_PAUSE_SECONDS
        # All polls in between have failed.
        time.sleep(seconds)
        operation = searches.by_step[do](operation, Step.read(operation.handle))
    assert (operation.done, operation.vm_id) == (True, None)
