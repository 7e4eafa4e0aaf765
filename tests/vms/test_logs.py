"""Log lines: valid JSON or one line of text, and no secret in them."""

import json
import logging
from typing import NoReturn

import pytest

from providers.redaction import MASK
from providers.trace import Trace, tracing
from vms.logs import JSONFormatter, TextFormatter

SECRET = "canary/s3cr3t+"
ODD = "a\nb\r\nc\u2028d\u0085e\x1b[31mf\x00g\u202eh"


def record(message: str, *, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    """A record as the service's own places make it."""
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("cloudvm.request", logging.INFO, __file__, 1, message, (), info)
    vars(made).update(extra)
    return made


def fail(message: str) -> NoReturn:
    """Fail."""
    raise ValueError(message)


def caught() -> BaseException:
    """An error with a cause, both of which quote the secret and hold line breaks."""
    try:
        try:
            fail(f"cause\n2026-01-01T00:00:00Z INFO forged {SECRET}")
        except ValueError as cause:
            raise RuntimeError(f"outer {SECRET} {ODD}") from cause
    except RuntimeError as error:
        return error
    raise AssertionError


def as_json(made: logging.LogRecord) -> dict[str, object]:
    """A JSON line, read back."""
    line = JSONFormatter().format(made)
    assert "\n" not in line
    content = json.loads(line)
    assert isinstance(content, dict)
    return content


def test_format_as_json_has_the_record_and_its_extras() -> None:
    """Numbers and flags stay what they are."""
    with tracing(Trace("request-1")):
        line = as_json(record("hello", status=200, slow=True, ratio=0.5, nothing=None, path=ODD))
    assert line["message"] == "hello"
    assert line["request_id"] == "request-1"
    assert (line["status"], line["slow"], line["ratio"], line["nothing"]) == (200, True, 0.5, None)
    assert line["path"] == ODD


@pytest.mark.parametrize(
    "value", ["\ud800", b"\xff", object(), {1: {2}}, float("nan"), 2**70, -(2**70), {"a": "\udfff"}, Exception("x")]
)
def test_format_as_json_of_an_odd_value_is_still_a_line(value: object) -> None:
    """A line that cannot be written is a line that is missing when it is needed."""
    assert "extra" in as_json(record("odd", extra=value))
    assert as_json(record(f"odd {value}"))["level"] == "INFO"


def test_format_as_text_is_one_line_whatever_the_values_hold() -> None:
    """No value looks like a line of its own, or moves a terminal's cursor."""
    line = TextFormatter().format(record(f"GET {ODD}", path=ODD))
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert "\\x1b[31m" in line


def test_format_as_text_of_a_traceback_indents_every_line_of_it() -> None:
    """An error's text may hold what looks like a line of the log."""
    first, *rest = TextFormatter().format(record(f"crash {ODD}", error=caught(), path=ODD)).split("\n")
    assert first.isprintable()
    assert len(rest) > 5
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@pytest.mark.parametrize("formatter", [JSONFormatter(), TextFormatter()])
def test_format_masks_secrets_wherever_they_stand(formatter: logging.Formatter) -> None:
    """In the message, in extras of any type, and in tracebacks with their causes."""
    with tracing(Trace("request-1")) as trace:
        trace.redact.add(SECRET)
        line = formatter.format(
            record(f"message {SECRET}", error=caught(), text=SECRET, nested={"a": [SECRET]}, error_=ValueError(SECRET))
        )
    assert SECRET not in line
    assert "canary" not in line
    assert line.count(MASK) >= 6


@pytest.mark.parametrize("formatter", [JSONFormatter(), TextFormatter()])
@pytest.mark.parametrize("secret", ['quote"back\\slash', "line\nbreak", "ütf-✓", "tab\there", "\x1b[0mabc"])
def test_format_masks_secrets_that_the_format_would_write_in_another_way(
    formatter: logging.Formatter, secret: str
) -> None:
    """Masked before it is quoted."""
    with tracing(Trace("request-1")) as trace:
        trace.redact.add(secret)
        assert MASK in formatter.format(record(f"message {secret}"))
        assert secret not in formatter.format(record(f"message {secret}"))


def test_format_outside_of_a_request_has_no_request_id() -> None:
    """At start and at the end."""
    assert as_json(record("start"))["request_id"] == "-"
    assert " - start" in TextFormatter().format(record("start"))


@pytest.mark.parametrize(
    "library",
    [
        "boto3",
        "botocore.auth",
        "urllib3.connectionpool",
        "requests",
        "azure.core",
        "msal",
        "proxmoxer.core",
        "any.other",
    ],
)
def test_library_logs_nothing_below_a_warning_whatever_the_level_of_the_service(library: str) -> None:
    """Requests with their bodies would stand there; these tests run at DEBUG."""
    assert logging.getLogger("cloudvm.backend").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger(library).isEnabledFor(logging.INFO)


def test_format_of_the_time_is_utc() -> None:
    """With milliseconds, sortable."""
    made = record("x")
    made.created = 0.25
    assert as_json(made)["time"] == "1970-01-01T00:00:00.250Z"
