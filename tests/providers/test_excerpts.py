"""Texts of others in messages of our own."""

import re

import pytest

from providers.excerpts import excerpt, sentence
from providers.redaction import MASK
from providers.trace import Trace, tracing

SECRET = "pL9z  rT4y nB8c."
NOISE = re.compile(r"rT4y|Trace ID: \S+")


@pytest.mark.parametrize("fold_blanks", [False, True])
@pytest.mark.parametrize("noise", [None, NOISE])
@pytest.mark.parametrize("padding", range(60))
def test_excerpt_holds_no_part_of_a_secret_wherever_it_is_cut(
    padding: int, noise: re.Pattern[str] | None, *, fold_blanks: bool
) -> None:
    """The secret holds two blanks, what is taken for noise, and a full stop at its end."""
    with tracing(Trace("test")) as trace:
        trace.redact.add(SECRET)
        quoted = excerpt(f"{'-' * padding}{SECRET}{'-' * 10}{SECRET}", 40, noise=noise, fold_blanks=fold_blanks)
    assert len(quoted) <= 40
    assert set(quoted) <= {"-", "*"}


def test_excerpt_leaves_noise_out() -> None:
    """On one line, or on those of the backend."""
    text = " It\n failed.\t Trace ID: 4711 "
    assert excerpt(text, 100, noise=NOISE) == "It\n failed."
    assert excerpt(text, 100, noise=NOISE, fold_blanks=True) == "It failed."


@pytest.mark.parametrize(
    ("text", "ended"), [("It failed", "It failed."), ("Why?", "Why?"), ("No!", "No!"), ("Done. ", "Done."), ("", ".")]
)
def test_sentence_has_one_end(text: str, ended: str) -> None:
    """What is quoted stands between sentences of our own."""
    assert sentence(text, 100) == ended


def test_excerpt_of_a_masked_text_is_cut_after_it_was_masked() -> None:
    """A mask may be cut, which tells nothing."""
    with tracing(Trace("test")) as trace:
        trace.redact.add(SECRET)
        assert excerpt(f"abc {SECRET} def", 9) == f"abc {MASK} d"
