"""The limits of a process under test: simulated clouds are quick, so it polls them sooner."""

from providers.gateway import Limits

LIMITS = Limits(first_poll_delay_seconds=0.03)
