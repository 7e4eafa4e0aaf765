"""A prepared process of the service that forks one for each API call; `service_process` talks to it.

It reads calls as lines of JSON. For each it writes the new process's id, what the call returned, and null at the end.
"""

import gc
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import django


def _write(value: object) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201 - the other process reads it


def _fork(line: str) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            _write(os.getpid())
            _write(_call(*json.loads(line)))
        except BaseException:  # noqa: BLE001 - the test shows it
            _write(traceback.format_exc())
        finally:
            # A killed process logs out of no cloud either.
            os._exit(0)
    os.waitpid(pid, 0)
    _write(None)


def _call(settings: dict[str, Any], authorization: str, call: list[Any], options: dict[str, Any]) -> list[Any]:
    from django.test import override_settings  # noqa: PLC0415 - needs Django set up

    from tests.support.api import Api  # noqa: PLC0415 - needs Django set up

    paths = {name: Path(value) for name, value in settings.items() if name.endswith("_FILE")}
    override_settings(**{**settings, **paths}).enable()
    answer = Api("", authorization).call(*call, **options)
    return [answer.status, answer.headers, answer.body.decode()]


def _prepare() -> None:
    """Import everything that a call needs. This starts no thread, because a fork does not have it."""
    django.setup()
    from cloudvm_project import urls  # noqa: F401, PLC0415 - needs Django set up
    from providers.aws.isolation import endpoint_url  # noqa: PLC0415 - needs the settings' environment
    from tests.support import api  # noqa: F401, PLC0415 - needs Django set up
    from vms.server.application import import_sdks  # noqa: PLC0415 - needs Django set up
    from vms.service import current_service  # noqa: PLC0415 - needs Django set up

    import_sdks(current_service().registries.environments)
    # botocore reads EC2's description once in a process, which takes long.
    endpoint_url("eu-west-3")
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _prepare()
    for text in sys.stdin:
        _fork(text)
