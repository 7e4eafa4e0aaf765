"""The credentials of one caller, which live for one request and in its kept session."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """An access key and its secret, in whatever sense the named cloud gives the words.

    `secret` is everything after the first colon of the token: an AWS driver may find a session token in it.
    Neither `repr` nor `str` shows the secret.
    """

    access_key: str
    secret: str = field(repr=False)
