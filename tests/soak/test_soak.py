"""Many clients, all simulated clouds at once, and random faults: nothing is lost, doubled or untold.

`CLOUDVM_SOAK_SECONDS` sets the duration, `CLOUDVM_SOAK_SEED` repeats the choices of an earlier run.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox.faults import Fault
from tests.conformance.conftest import HARNESSES, SLOW_HARNESSES
from tests.conformance.harness import Harness, Trouble
from tests.conformance.simulated import ON_THE_WAY, SimulatedHarness
from tests.soak.client import Client
from tests.soak.ledger import Fate, Record
from tests.soak.resources import growth_faults, sampled
from tests.support.api import bearer
from tests.support.sandbox import free_port
from tests.support.server import Server, start, stop, wait_until_up
from tests.support.threads import at_once

CLIENTS = 8
SECONDS = float(os.environ.get("CLOUDVM_SOAK_SECONDS", "60"))
# Work that has begun and clean-ups go on for some time after the last request.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class Soak:
    """Running clouds and a server in front of them."""

    backends: Mapping[str, SimulatedHarness[Any]]
    server: Server

    def disturb(self, environment: str, dice: random.Random) -> None:
        """Plan one fault for one of the next calls in an environment."""
        backend = self.backends[environment]
        if dice.random() < 0.1:
            backend.sandbox.faults.add(Fault(delay_seconds=dice.random()))
            return
        # Silence is left out: it takes longer than all the rest.
        troubles = sorted({*ON_THE_WAY, *backend.refusals, Trouble.BOOT_FAILS} - {Trouble.SLOW}, key=str)
        trouble = dice.choice(troubles)
        if trouble in {Trouble.QUOTA, Trouble.NO_CAPACITY}:
            backend.trouble(trouble, backend.verb_operations["create"], times=1)
        else:
            backend.trouble(trouble, times=1, skip=dice.randrange(6))

    def clients(self, seed: int) -> list[Client]:
        """Clients that share nothing but the clouds."""
        tokens = {name: bearer(one.access_key, one.secret) for name, one in self.backends.items()}
        return [
            Client(number, self.server.port, tokens, self.disturb, random.Random(f"{seed}/{number}"))  # noqa: S311 - to be repeated
            for number in range(CLIENTS)
        ]


@contextmanager
def clouds() -> Iterator[dict[str, SimulatedHarness[Any]]]:
    """All of our own simulators."""
    with ExitStack() as stack:
        running: dict[str, SimulatedHarness[Any]] = {}
        for name, kind in HARNESSES.items():
            if name in SLOW_HARNESSES:
                continue
            harness: Harness = kind()
            assert isinstance(harness, SimulatedHarness)
            harness.start()
            stack.callback(harness.stop)
            harness.reset()
            harness.retry_after(1)
            running[name] = harness
        yield running


@pytest.fixture
def soak(tmp_path: Path) -> Iterator[Soak]:
    """The clouds, and the real server with one worker process in front of them."""
    with clouds() as backends:
        environments = [
            {**one.environment, "name": name, "url": one.url, "ca_file": one.ca_file} for name, one in backends.items()
        ]
        # A machine type for each environment, of the same name: environments of one cloud have different images.
        machine_types = {
            name: {
                "os": {"os_type": "Linux", "os_distribution": "Debian", "os_disk_size_gb": 20},
                "clouds": {one.cloud: one.offer},
            }
            for name, one in backends.items()
        }
        files = {
            "CLOUDVM_ENVIRONMENTS_FILE": tmp_path / "clouds.json",
            "CLOUDVM_MACHINETYPES_FILE": tmp_path / "types.json",
        }
        files["CLOUDVM_ENVIRONMENTS_FILE"].write_text(json.dumps(environments))
        files["CLOUDVM_MACHINETYPES_FILE"].write_text(json.dumps(machine_types))
        server = start(
            tmp_path,
            *("--workers", "1", "--quiet"),
            port=free_port(),
            **{name: str(path) for name, path in files.items()},
            CLOUDVM_FIRST_POLL_DELAY_SECONDS="0.03",
            CLOUDVM_CLEAN_UP_SECONDS="10",
            # No answer is late for the machine's sake.
            CLOUDVM_REQUEST_DEADLINE_SECONDS="60",
            CLOUDVM_READ_TIMEOUT_SECONDS="30",
            CLOUDVM_LOG_LEVEL="ERROR",
        )
        try:
            wait_until_up(server)
            yield Soak(backends, server)
        finally:
            if server.process.poll() is None:
                stop(server, signal.SIGTERM)


def warm_up(soak: Soak, client: Client) -> None:
    """Create and delete a VM in each environment, so that SDKs and sessions are there before anything is measured."""
    for environment in soak.backends:
        record = Record(environment, f"warm-{environment}")
        client.records.append(record)
        assert client.try_create(record) == {}, record
        client.follow(record, SETTLE_SECONDS)
        assert client.change(record, "delete") == {}, record
        client.follow(record, SETTLE_SECONDS)
        assert record.fate is Fate.GONE, record


def settle(client: Client) -> None:
    """Follow all operations to their ends, and repeat failed creates with their keys.

    Only boots that are still planned to fail hinder them now, at most one for each try.
    """
    for record in client.records:
        client.follow(record, SETTLE_SECONDS)
        until = time.monotonic() + SETTLE_SECONDS
        while record.key and record.fate is Fate.NONE and time.monotonic() < until:
            if client.try_create(record):
                time.sleep(0.5)
        if record.key and record.fate is Fate.NONE:
            client.fail(f"not made by a retry with its key: {record}")


def record_fault(record: Record, shown: Mapping[str, str]) -> str:
    """How a VM's fate differs from what was told, empty if it does not."""
    exists = shown.get(str(record.vm_id)) == record.name
    if record.pending:
        return f"never ended: {record}"
    if record.fate is Fate.EXISTS and not exists:
        return f"lost: {record}"
    if record.fate is Fate.GONE and exists:
        return f"told as deleted, and there: {record}"
    return ""


def vm_faults(environment: str, shown: Mapping[str, str], held: set[str], records: list[Record]) -> Iterator[str]:
    """What is lost, doubled or untold among the VMs of an environment; `shown` is its list, names by ID."""
    if set(shown) != held:
        yield f"{environment}: the list shows {sorted(shown)}, the cloud holds {sorted(held)}"
    yield from filter(None, (record_fault(record, shown) for record in records))
    for name, count in Counter(shown.values()).items():
        if count > 1:
            yield f"doubled: {environment} {name}: {[str(one) for one in records if one.name == name]}"
    for vm_id, name in shown.items():
        if not any(record.told(vm_id, name) for record in records):
            yield f"untold: {environment} {vm_id} {name}: {[str(one) for one in records if one.name == name]}"


def object_faults(environment: str, objects: frozenset[str], records: list[Record]) -> Iterator[str]:
    """What is there without a VM, and was not told as left behind."""
    left = {told for record in records for told in record.left}
    for one in sorted(objects):
        identifier = one.partition(" ")[2] or one
        if not any(told in one or identifier in told for told in left):
            culprits = [str(record) for record in records if identifier in record.removed or record.name in one]
            yield f"untold: {environment} {one}: {culprits}"


def listed(client: Client, environment: str) -> dict[str, str]:
    """The VMs of an environment, names by ID."""
    answer = client.call(environment, "GET", "/vm", query={"environment": environment})
    assert answer.status == 200, answer.body
    return {vm["id"]: vm["name"] for vm in answer.body}


def final_faults(soak: Soak, clients: list[Client], environment: str) -> list[str]:
    """Compare an environment with what was told; then delete all its VMs, and compare what is left."""
    backend, client = soak.backends[environment], clients[0]
    records = [record for one in clients for record in one.records if record.environment == environment]
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        shown = listed(client, environment)
        faults = list(vm_faults(environment, shown, set(backend.states()), records))
        if not faults or time.monotonic() > until:
            break
        time.sleep(1)
    for vm_id, name in shown.items():
        record = Record(environment, name, fate=Fate.UNKNOWN, vm_id=vm_id)
        problem = client.change(record, "delete")
        client.follow(record, SETTLE_SECONDS)
        if record.fate is not Fate.GONE:
            faults.append(f"not deleted without any fault: {record} {problem}")
    while True:
        remains = list(object_faults(environment, backend.objects(), records))
        if not remains or time.monotonic() > until:
            return faults + remains
        time.sleep(1)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 900)
def test_soak_loses_doubles_and_hides_nothing(soak: Soak, tmp_path: Path) -> None:
    """By the answers to each client, and with memory, threads and sockets of the server that stay level."""
    seed = int(os.environ.get("CLOUDVM_SOAK_SEED") or secrets.randbelow(1_000_000))
    print(f"CLOUDVM_SOAK_SEED={seed}")  # noqa: T201 - to repeat a run that fails
    clients = soak.clients(seed)
    warm_up(soak, clients[0])
    until = time.monotonic() + SECONDS
    with sampled(soak.server.process.pid) as samples:
        at_once(CLIENTS, lambda number: clients[number].run(until))
    for backend in soak.backends.values():
        backend.reset_trouble()
    at_once(CLIENTS, lambda number: settle(clients[number]))
    environments = list(soak.backends)
    found = at_once(len(environments), lambda number: final_faults(soak, clients, environments[number]))
    faults = [
        *(violation for client in clients for violation in client.violations),
        *(fault for faults in found for fault in faults),
        *growth_faults(samples),
    ]
    ledger = tmp_path / "ledger.txt"
    ledger.write_text("".join(f"{record}\n" for client in clients for record in client.records))
    requests = sum(client.requests for client in clients)
    created = sum(record.vm_id is not None for client in clients for record in client.records)
    print(f"{requests} requests, {created} VMs, {samples[0]} -> {samples[-1]}")  # noqa: T201 - for a run by hand
    assert created > len(environments)
    assert not faults, f"CLOUDVM_SOAK_SEED={seed}, {requests} requests, all answers in {ledger}:\n" + "\n".join(faults)
