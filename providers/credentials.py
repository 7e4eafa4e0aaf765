"""Secrets, and the credentials of one caller, which live for one request and in its kept session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, Self

from providers.redaction import MASK


class _Hidden:
    """Mix-in for values that `repr`, `str`, `format` and `pickle` do not show, nor `vars` and `asdict` of a holder."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A secret cannot be pickled.")


class Secret(_Hidden):
    """A text that only `reveal` shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


class SecretBytes(_Hidden, bytes):
    """Bytes that are used as any others, and shown by nothing that shows objects."""

    __slots__ = ()


@dataclass(frozen=True, init=False)
class Credentials:
    """An access key and its secret. The cloud of the environment defines what they are.

    `secret` is everything after the first colon of the token: an AWS driver may find a session token in it.
    It is a property, not a field: `vars`, `asdict`, `repr` and `pickle` do not show it.
    """

    access_key: str
    _secret: Secret

    def __init__(self, access_key: str, secret: str) -> None:
        object.__setattr__(self, "access_key", access_key)
        object.__setattr__(self, "_secret", Secret(secret))

    @property
    def secret(self) -> str:
        """The secret in plain text."""
        return self._secret.reveal()
