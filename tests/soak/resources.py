"""Memory, threads and sockets of the server's processes."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

MIB = 1 << 20
SAMPLE_SECONDS = 0.5


@dataclass(frozen=True)
class Usage:
    """What processes use at one moment."""

    memory_mib: float
    threads: float
    sockets: float


# How much more the last third of a run may use than the first one.
GROWTH = Usage(memory_mib=80.0, threads=40.0, sockets=60.0)


def usage(group: int) -> Usage:
    """The usage of all processes in a group."""
    memory = threads = sockets = 0
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end while it is read.
        with suppress(OSError):
            fields_after_name = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields_after_name[2]) != group:
                continue
            threads += int(fields_after_name[17])
            memory += int((process / "statm").read_text().split()[1]) * 4096
            sockets += sum(str(link.readlink()).startswith("socket:") for link in (process / "fd").iterdir())
    return Usage(memory / MIB, threads, sockets)


@contextmanager
def sampled(group: int) -> Iterator[list[Usage]]:
    """Yield the list to which samples are added meanwhile."""
    samples: list[Usage] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            samples.append(usage(group))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def growth_faults(samples: list[Usage]) -> list[str]:
    """What has grown too much from the first third to the last, by the medians."""
    third = len(samples) // 3
    faults = []
    for kind in (field.name for field in fields(Usage)):
        first, last = (
            statistics.median(getattr(sample, kind) for sample in part) for part in (samples[:third], samples[-third:])
        )
        if last > first + getattr(GROWTH, kind):
            faults.append(f"{kind} grew from {first:.0f} to {last:.0f}")
    return faults
