"""What a guest's agent tells of a VM, and which guests have none that answers."""

from __future__ import annotations

from typing import Final

from proxmoxer.core import ResourceException

from providers.errors import BackendFailureError, BackendTimeoutError
from providers.memory import Marks
from providers.proxmox.client import ProxmoxClient
from providers.proxmox.codes import NOT_RUNNING
from providers.proxmox.failures import text_of
from providers.proxmox.naming import Place
from providers.proxmox.records import Config, State

# How long an agent that did not answer is not asked again: a guest that boots may have one at any moment, and one that
# has run for a while most likely has none.
SILENT_SECONDS: Final = 15.0
SILENT_SECONDS_ONCE_UP: Final = 120.0
UP_SECONDS: Final = 300
MOST_SILENT: Final = 1000


class Guests:
    """Asks VMs how they are, by way of their guests where that spares a call; used by many threads."""

    def __init__(self, client: ProxmoxClient) -> None:
        self._client = client
        self._silent: Marks[str] = Marks(MOST_SILENT)

    def seen(self, place: Place, config: Config) -> tuple[str, tuple[str, ...]]:
        """A VM's state, in QEMU's or PVE's word, and the guest's addresses.

        One call, as an agent that answers tells the state, too; two where it is found silent, which PVE takes three
        seconds for, so that it is not asked again at once.
        """
        asks = config.agent_is_on and place.vm_id not in self._silent
        told = self._asked(place, config) if asks else None
        if told is not None:
            return told
        state = self._client.state(place)
        if asks:
            self._silent.mark(place.vm_id, silent_seconds(state))
        return state.word, ()

    def _asked(self, place: Place, config: Config) -> tuple[str, tuple[str, ...]] | None:
        """The same by the agent alone; None where nobody in the guest answers, or the caller may not ask."""
        try:
            return "running", self._client.addresses(place, config.macs)
        except ResourceException as error:
            if NOT_RUNNING.search(text_of(error)):
                return "stopped", ()
            if error.status_code not in {403, 500}:
                raise
        except (BackendTimeoutError, BackendFailureError):
            pass
        return None


def silent_seconds(state: State) -> float:
    """How long a guest that did not answer in this state is not asked again."""
    return SILENT_SECONDS_ONCE_UP if state.uptime_seconds >= UP_SECONDS else SILENT_SECONDS
