"""A service that a test can kill: each API call runs in a process of its own, forked from a prepared one."""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from tests.support.api import Answer
from tests.support.sandbox import ROOT, clean_environment


class ServiceProcesses:
    """Runs one API call at a time, each in a new process without sessions or caches."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.service_parent"],
            cwd=ROOT,
            env={**clean_environment(), "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._pid = 0
        self._started = threading.Event()
        self._ended = threading.Event()

    def call(self, settings: dict[str, Any], authorization: str, *call: Any, **options: Any) -> Answer | None:
        """Make one call of `Api.call` under these settings; None if its process was killed."""
        self._started.clear()
        self._ended.clear()
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([settings, authorization, call, options]) + "\n")
        self._parent.stdin.flush()
        self._pid = self._read()
        self._started.set()
        result = self._read()
        if result is not None:
            assert self._read() is None
        self._ended.set()
        if result is None:
            return None
        assert isinstance(result, list), result
        status, headers, body = result
        return Answer(status, headers, body.encode())

    def kill(self) -> None:
        """Kill the process that makes the call and return when it has ended; to be called by another thread."""
        assert self._started.wait(30)
        os.kill(self._pid, signal.SIGKILL)
        assert self._ended.wait(30)

    def close(self) -> None:
        """End the prepared process."""
        self._parent.communicate(timeout=30)

    def _read(self) -> Any:
        assert self._parent.stdout is not None
        return json.loads(self._parent.stdout.readline())
