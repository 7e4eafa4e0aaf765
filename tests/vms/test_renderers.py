"""JSON as it goes out, whatever a cloud has put into it."""

import json
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from providers.domain import VMStatus
from vms.renderers import JSONRenderer, to_json

WHEN = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("odd", [None, "\ud800", 2**64])
def test_render_writes_the_same_whether_or_not_a_value_is_odd(odd: object) -> None:
    """Half a surrogate pair, or a number beyond 64 bits, costs that value at most, and not the answer."""
    data = {
        "utc": WHEN,
        "naive": WHEN.replace(tzinfo=None),
        "status": VMStatus.RUNNING,
        "tags": MappingProxyType({"ключ": "✓"}),
        "addresses": ("10.0.0.4",),
        "odd": odd,
    }
    read = json.loads(to_json(data))
    assert read.pop("odd") in {None, "?", 2**64}
    assert read == {
        "utc": "2026-11-23T10:00:00Z",
        "naive": "2026-11-23T10:00:00Z",
        "status": "running",
        "tags": {"ключ": "✓"},
        "addresses": ["10.0.0.4"],
    }


def test_render_of_nothing_is_empty() -> None:
    """As in a 204."""
    assert JSONRenderer().render(None) == b""


def test_render_of_what_has_no_form_in_json_fails() -> None:
    """A fault of ours, which must not go out as `<object at 0x…>`."""
    with pytest.raises(TypeError, match="has no form in JSON"):
        to_json({"x": object()})
