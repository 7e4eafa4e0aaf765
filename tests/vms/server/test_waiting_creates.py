"""Creates that wait for their VMs, all in one process."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance.aws import AwsHarness
from tests.support.api import bearer
from tests.support.server import Reply
from tests.support.waiting import wait_until
from tests.vms.server.conftest import Serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CREATES = 128


@pytest.fixture
def aws() -> Iterator[AwsHarness]:
    """EC2, whose instances take too long to run."""
    harness = AwsHarness()
    harness.start()
    harness.slow_down(1000.0)
    yield harness
    harness.stop()


@pytest.fixture
def files(aws: AwsHarness, tmp_path: Path) -> dict[str, str]:
    """Settings of a service with the environment `main` and one machine type."""
    main = {**aws.environment, "name": "main", "url": aws.url, "ca_file": aws.ca_file}
    os = {"os_type": "Linux", "os_distribution": "Debian"}
    environments, machine_types = tmp_path / "environments.json", tmp_path / "machinetypes.json"
    environments.write_text(json.dumps([main]))
    machine_types.write_text(json.dumps({"small": {"os": os, "clouds": {aws.cloud: aws.offer}}}))
    return {
        "CLOUDVM_ENVIRONMENTS_FILE": str(environments),
        "CLOUDVM_MACHINETYPES_FILE": str(machine_types),
        "CLOUDVM_LOG_LEVEL": "WARNING",
    }


def test_waiting_creates_leave_room_for_lists(serve: Serve, aws: AwsHarness, files: dict[str, str]) -> None:
    """While 128 creates wait, one more is refused at once, and a list shows their VMs."""
    server = serve("--workers", "1", **files)
    token = f"Authorization: {bearer(aws.access_key, aws.secret)}".strip()

    def create(number: int) -> Reply:
        body = json.dumps({"name": f"vm{number}", "environment": "main", "machinetype": "small"}).encode()
        headers = (token, "Content-Type: application/json", f"Content-Length: {len(body)}", "Prefer: wait=25")
        return server.request("POST", "/vm", *headers, body=body)

    with ThreadPoolExecutor(CREATES) as callers:
        creates = [callers.submit(create, number) for number in range(CREATES)]
        wait_until(lambda: len(aws.states()) == CREATES, seconds=100, pause=0.2)
        refused = create(CREATES)
        listed = server.request("GET", "/vm?environment=main", token)
        assert not any(each.done() for each in creates)
    assert (refused.status, refused.code) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert (listed.status, len(json.loads(listed.body))) == (200, CREATES)
    assert Counter(each.result().status for each in creates) == {202: CREATES}
