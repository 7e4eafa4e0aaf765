"""The limits of a process under test: simulated clouds are quick, so it polls them sooner and gives up sooner."""

from providers.gateway import Limits
from providers.work import Times

LIMITS = Limits(times=Times(first_poll_delay_seconds=0.03, clean_up_seconds=10.0))
