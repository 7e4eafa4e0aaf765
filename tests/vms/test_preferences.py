"""The `Prefer` header (RFC 7240)."""

import time

import pytest

from vms.preferences import LONGEST_WAIT_SECONDS, Preferences, parse_prefer


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Preferences()),
        ("respond-async", Preferences(respond_async=True)),
        ("Respond-Async", Preferences(respond_async=True)),
        ("respond-async, wait=10", Preferences(respond_async=True, wait_seconds=10)),
        ("wait=10,respond-async", Preferences(respond_async=True, wait_seconds=10)),
        ("  wait = 10 ", Preferences(wait_seconds=10)),
        ('wait="10"', Preferences(wait_seconds=10)),
        ("WAIT=0", Preferences(wait_seconds=0)),
        ("wait=007", Preferences(wait_seconds=7)),
        ("wait=10; unit=seconds", Preferences(wait_seconds=10)),
        ("wait=999999999", Preferences(wait_seconds=LONGEST_WAIT_SECONDS)),
        ("return=representation", Preferences(representation=True)),
        ("return=minimal", Preferences()),
        ("return=minimal, return=representation", Preferences()),
        ("wait=5, wait=50", Preferences(wait_seconds=5)),
        ("handling=strict; foo", Preferences()),
        (",,;=,", Preferences()),
    ],
)
def test_parse_prefer_understands_what_the_rfc_allows(header: str, expected: Preferences) -> None:
    """Names in any case, blanks, quotes, parameters; the first of two counts."""
    assert parse_prefer(header) == expected


@pytest.mark.parametrize(
    "wait", ["", "-1", "+1", "1.5", "1e3", "٣", "1_0", "0x10", "soon", "9" * 10, "9" * 5000, "1 1", "²"]
)
def test_parse_prefer_with_a_wait_that_is_no_number_ignores_it(wait: str) -> None:
    """A preference that is not understood is ignored, whatever it holds."""
    assert parse_prefer(f"wait={wait}") == Preferences()


@pytest.mark.parametrize(
    "header",
    ['foo="a, respond-async"', r'foo="a\", respond-async"', 'foo="wait=5, respond-async, return=representation'],
)
def test_parse_prefer_with_commas_in_quotes_does_not_split_there(header: str) -> None:
    """What stands within quotes is one value of something else."""
    assert parse_prefer(header) == Preferences()


def test_parse_prefer_after_a_quoted_value_reads_on() -> None:
    """The closing quote ends it."""
    assert parse_prefer('foo="a,b", wait=5').wait_seconds == 5


@pytest.mark.parametrize("piece", [",", ";", "=", '"', r"\"", '"\\', 'a="b",', "wait=1,", "a;"])
def test_parse_prefer_of_a_long_header_is_quick(piece: str) -> None:
    """No header makes the pattern go back and forth: 64 KiB cost milliseconds, and not minutes."""
    begun = time.perf_counter()
    parse_prefer(piece * (65_536 // len(piece)))
    assert time.perf_counter() - begun < 20


@pytest.mark.parametrize(
    ("header", "patience"),
    [("", None), ("respond-async", 0.0), ("wait=3", 3.0), ("respond-async, wait=3", 3.0), ("wait=0", 0.0)],
)
def test_wish_follows_the_preferences(header: str, patience: float | None) -> None:
    """`wait` bounds what `respond-async` would not wait for at all."""
    assert parse_prefer(header).wish().patience_seconds == patience


def test_applied_names_only_what_had_an_effect() -> None:
    """`Preference-Applied` is a promise that was kept."""
    preferences = parse_prefer("respond-async, wait=3, return=representation")
    assert preferences.applied(accepted=True, shown=False) == "respond-async, wait=3"
    assert preferences.applied(accepted=False, shown=True) == "wait=3, return=representation"
    assert parse_prefer("foo").applied(accepted=True, shown=True) == ""
