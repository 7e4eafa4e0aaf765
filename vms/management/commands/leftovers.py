"""`manage.py leftovers`: list and remove what creates left behind in one environment."""

from __future__ import annotations

import logging
import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from providers import trace
from providers.credentials import Credentials
from providers.domain import Environment, LeftoverResource
from providers.errors import CredentialsRejectedError, ErrorCode, ProviderError
from providers.gateway import Backends, Gateway
from vms import checks
from vms.authentication import parse_header
from vms.problems import Problem
from vms.registries import RegistryError
from vms.service import Service, read_registries

TOKEN_VARIABLE: Final = "CLOUDVM_TOKEN"  # noqa: S105 - the name of a variable
_UNITS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_HEADINGS: Final = ("KIND", "ID", "NAME", "AGE", "REMOVABLE", "WHY")


@dataclass(frozen=True)
class Age:
    """A length of time, with the text that the user typed."""

    length: timedelta
    text: str

    @classmethod
    def parse(cls, text: str) -> Age:
        """Read `30m`, `1h`, `2d` or `0`.

        Raises:
            ArgumentTypeError: the text is something else.

        """
        found = re.fullmatch(r"(\d{1,6})([smhd])", "0s" if text == "0" else text, re.ASCII)
        if found is None:
            raise ArgumentTypeError(f"{text!r} is not an age such as 30m, 1h, 2d or 0")
        return cls(int(found[1]) * _UNITS[found[2]], text)


class Command(BaseCommand):
    """Lists leftovers, and removes them with `--remove`. The exit status is 1 if a removal failed."""

    help = (
        "List what failed or interrupted creates left behind in an environment and no VM uses. "
        f"The variable {TOKEN_VARIABLE} holds the token: the same text as behind `Bearer`."
    )
    # It makes those that matter itself; the secret key is not needed.
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--environment", required=True, help="name of the environment")
        parser.add_argument("--remove", action="store_true", help="remove the leftovers")
        parser.add_argument(
            "--older-than",
            type=Age.parse,
            default=Age.parse("1h"),
            metavar="AGE",
            help="leave out younger ones, which a running create may own: 30m, 1h, 2d; "
            "0 also includes those of unknown age (default: 1h)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """List, and remove if asked to.

        Raises:
            CommandError: with one line for each fault; secrets are masked.

        """
        older_than: Age = options["older_than"]
        with _quiet(options["verbosity"]), trace.tracing(trace.Trace("leftovers")), _errors_in_one_line():
            _check_network()
            credentials = _credentials()
            with closing(Backends(settings.CLOUDVM_NETWORK, settings.CLOUDVM_LIMITS)) as backends:
                service = Service(read_registries(), backends)
                environment = _environment(service, options["environment"])
                failed = self._run(
                    lambda: service.gateway_of(environment, credentials), older_than, remove=options["remove"]
                )
        if failed:
            sys.exit(1)

    def _run(self, gateway: Callable[[], Gateway], older_than: Age, *, remove: bool) -> bool:
        """List, and remove if asked to. Return whether a removal failed.

        Each step has a gateway of its own, as a gateway has one deadline.
        """
        found = gateway().list_leftovers()
        shown = [leftover for leftover in found if _is_old(leftover, older_than)]
        self._write(*_table(shown), _summary(shown, len(found) - len(shown), older_than))
        if not remove:
            return False
        results = [self._remove(gateway(), leftover) for leftover in shown]
        return not all(results)

    def _remove(self, gateway: Gateway, leftover: LeftoverResource) -> bool:
        """Remove one leftover and tell the result. Return False if the removal failed."""
        subject = f"{leftover.kind} {leftover.id}"
        if not leftover.is_removable:
            self._write(f"Kept {subject}: it may be in use. Delete it yourself if it is not.")
            return True
        try:
            gateway.remove_leftover(leftover)
        except CredentialsRejectedError:
            # Another attempt could lock the account.
            raise
        except ProviderError as error:
            self._write(f"Could not remove {subject}: {error.code}: {error.detail}")
            return False
        self._write(f"Removed {subject}.")
        return True

    def _write(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(_printable(line))
        self.stdout.flush()


@contextmanager
def _quiet(verbosity: int) -> Iterator[None]:
    """Leave out the log, unless more than usual is asked for: the output says what happened."""
    logger = logging.getLogger("cloudvm")
    level = logger.level
    if verbosity < 2:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Turn what users can do something about into `CommandError`."""
    try:
        yield
    except RegistryError as error:
        raise CommandError("\n".join(_printable(str(fault)) for fault in error.faults)) from None
    except (Problem, ProviderError) as error:
        raise CommandError(_printable(f"{error.code}: {error.detail}")) from None


def _check_network() -> None:
    """Refuse proxies and certificate authorities with which every call would fail."""
    faults = [message.msg for message in (*checks.check_ca_bundle(None), *checks.check_proxies(None))]
    if faults:
        raise CommandError("\n".join(faults))


def _environment(service: Service, name: str) -> Environment:
    environments = service.registries.environments
    if name not in environments:
        raise Problem(
            ErrorCode.ENVIRONMENT_NOT_FOUND,
            f"There is no environment {name!r}. {settings.CLOUDVM_ENVIRONMENTS_FILE} has: "
            f"{', '.join(environments) or 'none'}.",
        )
    return environments[name]


def _credentials() -> Credentials:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token.strip():
        raise Problem(
            ErrorCode.CREDENTIALS_MISSING,
            f"Set {TOKEN_VARIABLE} to the base64 of `<access key>:<secret>`, the same text as behind `Bearer`.",
        )
    if token.lower().split()[:1] == ["bearer"]:
        raise Problem(ErrorCode.CREDENTIALS_MALFORMED, f"Set {TOKEN_VARIABLE} to the token alone, without `Bearer`.")
    try:
        return parse_header(f"Bearer {token}")
    except Problem as problem:
        raise Problem(problem.code, f"{TOKEN_VARIABLE} cannot be used. {problem.detail}") from None


def _is_old(leftover: LeftoverResource, older_than: Age) -> bool:
    if not older_than.length:
        return True
    return leftover.created_at is not None and _age(leftover.created_at) >= older_than.length


def _age(created_at: datetime) -> timedelta:
    return age_of(created_at, datetime.now(UTC), trace.current().clock_difference)


def age_of(created_at: datetime, now: datetime, clock_difference: timedelta) -> timedelta:
    """Return the age by our clock or by the cloud's, whichever is less. Either may have set `created_at`."""
    return min(now, now + clock_difference) - created_at


def _table(leftovers: Sequence[LeftoverResource]) -> Iterator[str]:
    """Yield the lines of a table with a heading; none without leftovers."""
    rows = [_HEADINGS, *map(_row, leftovers)] if leftovers else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(leftover: LeftoverResource) -> tuple[str, ...]:
    age = "unknown" if leftover.created_at is None else _short(_age(leftover.created_at))
    removable = "yes" if leftover.is_removable else "no"
    return leftover.kind, leftover.id, leftover.name, age, removable, leftover.detail


def _short(age: timedelta) -> str:
    """The age in its largest whole unit."""
    return next((f"{age // unit}{letter}" for letter, unit in _UNITS.items() if age >= unit), "0s")


def _summary(shown: Sequence[LeftoverResource], hidden: int, older_than: Age) -> str:
    count = f"{len(shown)} leftover{'' if len(shown) == 1 else 's'}"
    if not hidden:
        return f"{count}."
    others = "1 other is" if hidden == 1 else f"{hidden} others are"
    return f"{count}; {others} younger than {older_than.text} or of unknown age. `--older-than 0` includes all."


def _printable(text: str) -> str:
    """Mask secrets, and show control characters as escapes: names come from the cloud."""
    masked = trace.current().redact(text)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in masked)
