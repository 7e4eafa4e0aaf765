"""Settings and strategies of the property tests: the same examples on each run, and no file that keeps them."""

import base64
import json
import string
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# Fixtures that last for one test serve all of its examples: these tests change nothing in them.
PROPERTY = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)

# All that UTF-8 can encode.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
# What a header can hold on the wire, as WSGI decodes it.
header_texts = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80)
# What attackers put into ids, names and tags.
hostile_texts = st.sampled_from([
    "/", "..", "/..", "../", "%2f", "%2e%2e", "%00", "\0", "\r\n", "\n", "?", "#", "&", ";", ",", "=", " ", "*", "\\",
    "'", '"', "<", "{", "$", "|", ":", "@", "\u2025", "\uff0f", "\u017f", "\u212a", "\u0660", "\u200b",
])  # fmt: skip


def spoiled(valid: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Valid texts with something hostile at some place."""
    return st.builds(
        lambda text, place, hostile: text[: place % (len(text) + 1)] + hostile + text[place % (len(text) + 1) :],
        valid,
        st.integers(0, 100),
        hostile_texts,
    )


def json_values(leaves: int = 10) -> st.SearchStrategy[Any]:
    """All that JSON can say, halves of surrogate pairs included."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=40)
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
        max_leaves=leaves,
    )


def secrets() -> st.SearchStrategy[str]:
    """Secrets that occur in no other text, with all kinds of characters, none of which is a control character."""
    characters = st.characters(exclude_categories=["Cs", "Cc"])
    return st.builds("Canary{}5ecret".format, st.text(characters | st.sampled_from(string.punctuation), max_size=30))


def token_of(access_key: str, secret: str) -> str:
    """The value of an Authorization header."""
    return "Bearer " + base64.b64encode(f"{access_key}:{secret}".encode()).decode()


def spellings(secret: str) -> set[str]:
    """A secret as it stands, and as JSON would write it."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
