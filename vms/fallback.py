"""The answer to every URL that is none of ours."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse

from providers.errors import ErrorCode
from vms.problems import Problem, problem_response

# A path that only looks like this after decoding was written to lead somewhere else (`..%2f..`).
_CROOKED = re.compile(r"[\x00-\x1f\x7f\\]|(^|/)\.\.?(/|$)|//")


def not_found(request: HttpRequest) -> HttpResponse:
    """`invalid_request` for a path with dot segments, empty parts or control characters, else `not_found`."""
    if _CROOKED.search(request.path):
        detail = "The path has dot segments, empty parts or control characters in it; an id or a name never has."
        return problem_response(Problem(ErrorCode.INVALID_REQUEST, detail), request)
    hint = "Paths have no slash at the end. " if request.path.endswith("/") else ""
    return problem_response(
        Problem(ErrorCode.NOT_FOUND, f"There is nothing at this URL. {hint}`/docs` shows what there is."), request
    )
