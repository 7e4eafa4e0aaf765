"""How the tests are run: how many at once, and which are left out."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support import vendor

# Several processes collect the same tests: the first one compiles them for all, whatever PYTHONDONTWRITEBYTECODE says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SLOW_TESTS = pytest.StashKey[int]()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Up to eight processes on a few cores: most tests wait for a simulated cloud more than they work."""
    cores = os.cpu_count() or 1
    return max(cores, min(4 * cores, 8))


def pytest_configure(config: pytest.Config) -> None:
    """Start to count."""
    config.stash[SLOW_TESTS] = 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that lacks a vendor's material, or let it fail."""
    vendor.check(item)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives to the end: imported modules, SDKs and tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the slow tests that are left out."""
    for item in items:
        item.config.stash[SLOW_TESTS] += item.get_closest_marker("slow") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: send the number to the main process."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slow_tests"] = session.config.stash[SLOW_TESTS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over a worker's number; all workers collect the same tests."""
    node.config.stash[SLOW_TESTS] = getattr(node, "workeroutput", {}).get("slow_tests", 0)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last lines what was left out, and how many tests had a vendor's material."""
    if hasattr(config, "workerinput"):
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    stats = getattr(reporter, "stats", {})
    outcomes = [report for outcome in ("passed", "failed") for report in stats.get(outcome, ())]
    if checks := sum(report.when == "call" and "vendor" in report.keywords for report in outcomes):
        print(f"{checks} tests held the code to vendors' material.")  # noqa: T201 - the last lines
    if left_out := config.stash.get(SLOW_TESTS, 0):
        print(f"{left_out} slow tests were not run; `.ci/test` runs all of them.")  # noqa: T201 - the last lines
