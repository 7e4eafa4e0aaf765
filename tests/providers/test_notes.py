"""The line that we leave in a VM's notes."""

import pytest

from providers import notes
from providers.notes import Notes

FULL = Notes(
    tags={"team": "web", "cost centre": '4711 / é "quoted"\nline'},
    creation="0123",
    vm_id="100",
    request_key="key",
    request_digest="digest",
    created_at=1_764_427_380,
    start=True,
)


@pytest.mark.parametrize("written", [FULL, Notes(), Notes(tags={"a": ""}), Notes(creation="x")])
def test_read_of_what_was_written_is_the_same(written: Notes) -> None:
    """One ASCII line, whatever is in it."""
    line = notes.write(written)
    assert line.isascii()
    assert "\n" not in line
    assert notes.read(line) == written


def test_read_finds_the_line_among_those_of_people() -> None:
    """Before, after, and indented by whatever has stored it."""
    assert notes.read(f"# Web server\n\n  {notes.write(FULL)}  \r\nAsk the web team first.") == FULL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cloudvm",
        '{"cloudvm',
        '{"cloudvm": 7}',
        '{"cloudvm": {"tags": [1], "creation": 5}}',
        '{"cloudvm": {"tags": {"a": 1}}}',
        '{"cloudvm-other": {"tags": {"a": "b"}}}',
        '[{"cloudvm": {}}]',
        '{"cloudvm": ' * 5_000,
        '{"cloudvm":{"tags":{"a":"\\ud800"}}}',
        '{"cloudvm": {"created_at": "yesterday", "start": 1}}',
        '{"cloudvm": {"created_at": true, "start": "true"}}',
        '{"cloudvm": {"created_at": 1e300}}',
        '{"cloudvm": {"created_at": 999999999999999}}',
    ],
)
def test_read_of_what_is_not_ours_is_nothing(text: str) -> None:
    """People change notes, and nobody is to fail for it."""
    assert notes.read(text) == Notes()
