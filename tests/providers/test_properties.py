"""Properties of ids, notes and redaction that hold for arbitrary texts."""

import html
import json
import posixpath
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from providers import notes
from providers.catalogue import CLOUDS
from providers.cloud import Cloud
from providers.cloudinit import CloudInitError, decode
from providers.notes import Notes
from providers.redaction import Redactor
from tests.support.properties import PROPERTY, hostile_texts, spoiled, texts

ECHOES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": lambda text: repr(text)[1:-1],
    "bytes": lambda text: repr(text.encode())[2:-1],
    "json": lambda text: json.dumps(text)[1:-1],
    "json-utf8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "html": html.escape,
    "url": quote,
    "url-segment": lambda text: quote(text, safe=""),
    "form": quote_plus,
}
# The mask's own character would let a masked text spell another secret.
plain_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), max_size=30)
short_texts = st.text("ab", max_size=12)


def ids(cloud: Cloud) -> st.SearchStrategy[str]:
    """Valid ids of a cloud."""
    return st.from_regex(cloud.vm_id_pattern, fullmatch=True)


@pytest.mark.parametrize("cloud", CLOUDS, ids=[cloud.name for cloud in CLOUDS])
@PROPERTY
@given(data=st.data())
def test_id_that_passes_is_one_segment_of_a_path(cloud: Cloud, data: st.DataObject) -> None:
    """It reaches no other path, needs no quoting, and adds nothing to a query, a property string or a header."""
    vm_id = data.draw(ids(cloud) | spoiled(ids(cloud)) | texts | hostile_texts)
    assume(cloud.vm_id_pattern.fullmatch(vm_id))
    assert quote(vm_id, safe="") == vm_id
    path = urlsplit(f"https://cloud/a/{vm_id}/b?x=1").path
    assert path == posixpath.normpath(path) == f"/a/{vm_id}/b"
    assert vm_id.isascii()
    assert not set(vm_id) & set("/\\%?#&;,=: \r\n\0")


tag_maps = st.dictionaries(texts, texts, max_size=5)
all_notes = st.builds(Notes, tag_maps, texts, texts, texts, texts)


@PROPERTY
@given(written=all_notes, before=texts, after=texts)
def test_read_finds_what_was_written_among_any_lines(written: Notes, before: str, after: str) -> None:
    """In one line of ASCII, whatever people write around it."""
    line = notes.write(written)
    assert line.isascii()
    assert line.splitlines() == [line]
    assert notes.read(line) == written
    assert notes.read(f"{before}\n{line}\n{after}") == written


@PROPERTY
@given(line=all_notes.map(notes.write), place=st.integers(0, 10_000), text=texts)
def test_read_of_a_damaged_line_raises_nothing(line: str, place: int, text: str) -> None:
    """Whatever it says then consists of texts."""
    read = notes.read(line[: place % len(line)] + text + line[place % len(line) + 1 :])
    assert all(isinstance(part, str) for part in (read.creation, read.vm_id, *read.tags, *read.tags.values()))


@pytest.mark.parametrize("echo", ECHOES)
@PROPERTY
@given(secret=plain_texts.filter(lambda text: len(text) >= 4), before=plain_texts, after=plain_texts)
def test_redact_leaves_no_secret_in_any_text(echo: str, secret: str, before: str, after: str) -> None:
    """As it stands, and as libraries quote it."""
    redact = Redactor()
    redact.add(secret)
    echoed = ECHOES[echo](secret)
    assert echoed not in redact(before + echoed + after + echoed)
    assert secret not in redact(before + secret + after)


@PROPERTY
@given(secrets=st.lists(short_texts.filter(lambda text: len(text) >= 4), max_size=4), text=st.text("ab", max_size=60))
def test_redact_of_overlapping_secrets_leaves_none(secrets: list[str], text: str) -> None:
    """Of an alphabet so small that they overlap."""
    redact = Redactor()
    redact.add(*secrets)
    masked = redact(text)
    assert not [secret for secret in secrets if secret in masked]
    assert any(secret in text for secret in secrets) or masked == text


@PROPERTY
@given(text=texts, limit=st.integers(0, 100))
def test_decode_of_any_cloud_init_quotes_nothing(text: str, limit: int) -> None:
    """It is decoded within its limit, or refused."""
    said = ""
    try:
        assert len(decode(text, limit)) <= limit
    except CloudInitError as error:
        said = str(error)
    assert len(text) < 6 or text not in said
