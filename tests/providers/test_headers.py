"""What stands in the headers of clouds' answers."""

import pytest

from providers.headers import whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_whole_number_is_read(text: str, number: int) -> None:
    """Seconds, mostly."""
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["", " 7", "-1", "1.5", "1e3", "7\xb2", "\u0667", "9" * 19, "Wed, 21 Oct 2026 07:28:00 GMT"]
)
def test_what_is_no_whole_number_is_none(text: str) -> None:
    """Whatever Python takes for a digit."""
    assert whole_number(text) is None
