"""Request bodies: JSON, at most 1 MiB, with no key twice and nothing odd in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from providers.excerpts import excerpt
from vms.files.reading import DuplicateKeyError, without_duplicates

DEEPEST = 8


class BodyTooLargeError(ParseError):
    """The body is over the limit."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class StrictJSONParser(BaseParser):
    """Reads a body as JSON; the first thing that is wrong is told in a sentence."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body as Python values.

        Raises:
            ParseError: not JSON, too large, a key twice, half of a surrogate pair, or nested too deeply.

        """
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLargeError(f"The body is larger than {limit:,} bytes.")
        try:
            content: object = json.loads(
                body.decode(), object_pairs_hook=without_duplicates, parse_constant=_refuse_constant
            )
        except json.JSONDecodeError as error:
            # "from None", here and below: the cause holds the body, which may hold secrets.
            raise ParseError(
                f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}."
            ) from None
        except DuplicateKeyError as error:
            raise ParseError(f"The key {excerpt(error.key, 80)!r} stands twice in one object of the body.") from None
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8 text.") from None
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}.") from None
        _check(content)
        return content


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _check(content: object) -> None:
    """Refuse what is JSON, and yet nothing that anybody would send in earnest."""
    if _depth(content) > DEEPEST:
        raise ParseError(f"The body is nested too deeply; {DEEPEST} levels are allowed.")
    if not _is_text(content):
        raise ParseError("The body holds half of a surrogate pair (\\ud800 to \\udfff), which is no character.")


def _is_text(content: object) -> bool:
    """Whether every text in there can be written as UTF-8: JSON's own escapes can say what no text can."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(content: object) -> int:
    """How many objects and lists stand within each other."""
    level = [content]
    depth = 0
    while level := [value for value in level if isinstance(value, dict | list)]:
        depth += 1
        level = [inner for value in level for inner in (value.values() if isinstance(value, dict) else value)]
    return depth
