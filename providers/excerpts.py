"""Quote what others wrote, in messages of our own."""

from __future__ import annotations

import re

from providers import trace


def excerpt(text: str, max_chars: int, *, noise: re.Pattern[str] | None = None, fold_blanks: bool = False) -> str:
    """Return a text of at most `max_chars`, without what matches `noise`; `fold_blanks` puts it on one line.

    Secrets are masked before anything is removed: a part of a secret is not recognised later.
    """
    quoted = trace.current().redact(text)
    if noise:
        quoted = noise.sub("", quoted)
    if fold_blanks:
        quoted = " ".join(quoted.split())
    return quoted.strip()[:max_chars]


def sentence(text: str, max_chars: int, *, noise: re.Pattern[str] | None = None, fold_blanks: bool = False) -> str:
    """Return an excerpt that ends as a sentence does."""
    quoted = excerpt(text, max_chars, noise=noise, fold_blanks=fold_blanks)
    return quoted if quoted.endswith((".", "!", "?")) else f"{quoted}."
