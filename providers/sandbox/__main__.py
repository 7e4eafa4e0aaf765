"""Runs simulators on their own: `python -m providers.sandbox --only aws`, until standard input ends.

Prints one line of JSON when all of them answer: `{"ca_file": "…", "urls": {"aws-sandbox": "https://127.0.0.1:…"}}`.
The end of standard input, SIGINT and SIGTERM end it, and leave nothing behind.
"""

import argparse
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from selectors import EVENT_READ, SelectSelector
from typing import Self

from providers.sandbox.authority import Authority
from providers.sandbox.simulator import Simulator


def _aws(authority: Authority) -> Simulator:
    # Imported only when it is asked for, as moto takes more than a second.
    from providers.sandbox.aws import AwsSandbox  # noqa: PLC0415 - as said above

    return AwsSandbox(authority)


def _azure(authority: Authority) -> Simulator:
    from providers.sandbox.azure import AzureSandbox  # noqa: PLC0415 - as above

    return AzureSandbox(authority)


def _vsphere(authority: Authority) -> Simulator:
    from providers.sandbox.vsphere import VSphereSandbox  # noqa: PLC0415 - as above

    return VSphereSandbox(authority)


def _esxi(authority: Authority) -> Simulator:
    from providers.sandbox.vsphere import VSphereSandbox  # noqa: PLC0415 - as above

    return VSphereSandbox(authority, kind="esxi")


def _nutanix(authority: Authority) -> Simulator:
    from providers.sandbox.nutanix import NutanixSandbox  # noqa: PLC0415 - as above

    return NutanixSandbox(authority, kind="element")


def _nutanix_central(authority: Authority) -> Simulator:
    from providers.sandbox.nutanix import NutanixSandbox  # noqa: PLC0415 - as above

    return NutanixSandbox(authority, kind="central")


def _proxmox(authority: Authority) -> Simulator:
    from providers.sandbox.proxmox import ProxmoxSandbox  # noqa: PLC0415 - as above

    return ProxmoxSandbox(authority)


SUFFIX = "-sandbox"
SIMULATORS: Mapping[str, Callable[[Authority], Simulator]] = {
    "aws-sandbox": _aws,
    "azure-sandbox": _azure,
    "esxi-sandbox": _esxi,
    "nutanix-sandbox": _nutanix,
    "nutanix-central-sandbox": _nutanix_central,
    "proxmox-sandbox": _proxmox,
    "vsphere-sandbox": _vsphere,
}


def main(arguments: Sequence[str]) -> None:
    """Run the simulators that the arguments name, all by default."""
    with _Ending() as ending, ExitStack() as stack:
        names = _names(arguments)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-"))
        authority = Authority(Path(folder) / "ca.pem")
        urls = {name: stack.enter_context(SIMULATORS[name](authority)).url for name in names}
        print(json.dumps({"ca_file": str(authority.ca_file), "urls": urls}), flush=True)  # noqa: T201 - its one line
        ending.wait()


def _names(arguments: Sequence[str]) -> Sequence[str]:
    parser = argparse.ArgumentParser(prog="python -m providers.sandbox", description="Run the clouds' simulators.")
    clouds = [name.removesuffix(SUFFIX) for name in SIMULATORS]
    parser.add_argument("--only", nargs="+", choices=clouds, default=clouds, metavar="CLOUD")
    return [cloud + SUFFIX for cloud in parser.parse_args(arguments).only]


class _Ending:
    """Turns the end of standard input, SIGINT, SIGTERM and SIGHUP into one thing to wait for, also while starting."""

    def __enter__(self) -> Self:
        self._woken, self._waker = socket.socketpair()
        self._waker.settimeout(0)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._wake) for number in numbers}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._woken.close()
        self._waker.close()

    def wait(self) -> None:
        """Return when it is time to end; what is written to standard input is ignored."""
        # Not epoll, which knows no regular files and no /dev/null.
        with SelectSelector() as selector:
            selector.register(self._woken, EVENT_READ)
            selector.register(sys.stdin.fileno(), EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._woken.fileno() in ready or not os.read(sys.stdin.fileno(), 4096):
                    return

    def _wake(self, number: int, frame: object) -> None:
        del number, frame
        self._waker.send(b"!")


if __name__ == "__main__":
    main(sys.argv[1:])
