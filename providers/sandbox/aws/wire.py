"""How EC2's query protocol reads and writes: flat form parameters in, XML out, errors in their envelope.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
CONTENT_TYPE = "text/xml;charset=UTF-8"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
REQUEST_ID = re.compile("(<requestid>)[^<]*(</requestid>)", re.IGNORECASE)
NUMBERED = re.compile(r"(?P<name>\w+)\.(?P<number>\d+)(?P<rest>\..+)?")

Value = str | int | bool | datetime | None | Mapping[str, "Value"] | Sequence["Value"]


class Ec2Error(Exception):
    """An error that EC2 answers with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Ec2Request:
    """One call: its action and its parameters, flat as they came (`Filter.1.Value.2`)."""

    action: str
    parameters: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """A parameter, None when it is absent or empty."""
        return self.parameters.get(name) or None

    def required(self, name: str) -> str:
        """A parameter that must be there."""
        value = self.text(name)
        if value is None:
            raise Ec2Error("MissingParameter", f"The request must contain the parameter {name}")
        return value

    def flag(self, name: str) -> bool:
        """A boolean parameter, false when absent."""
        return self.parameters.get(name, "").lower() == "true"

    def numbered(self, name: str) -> dict[int, dict[str, str]]:
        """A list parameter's members by number; what follows the number is the key, "" for a plain value."""
        members: dict[int, dict[str, str]] = {}
        for key, value in self.parameters.items():
            match = NUMBERED.fullmatch(key)
            if match and match["name"] == name:
                members.setdefault(int(match["number"]), {})[(match["rest"] or "")[1:]] = value
        return dict(sorted(members.items()))

    def values(self, name: str) -> list[str]:
        """A list parameter of plain values, in order."""
        return [member[""] for member in self.numbered(name).values() if "" in member]

    def filters(self) -> dict[str, list[str]]:
        """The `Filter.N` parameters: name to accepted values."""
        filters: dict[str, list[str]] = {}
        for member in self.numbered("Filter").values():
            values = [value for key, value in sorted(member.items()) if key.startswith("Value.")]
            filters.setdefault(member.get("Name", "null"), []).extend(values)
        return filters

    def refuse_dry_run(self) -> None:
        """End a dry run, after all checks, as the service does."""
        if self.flag("DryRun"):
            message = "Request would have succeeded, but DryRun flag is set."
            raise Ec2Error("DryRunOperation", message, 412)


def answer(action: str, body: Mapping[str, Value]) -> Response:
    """A successful answer; the members of a sequence become `item` elements."""
    request_id = str(uuid4())
    content = element("requestId", request_id) + "".join(element(name, value) for name, value in body.items())
    text = f'{DECLARATION}<{action}Response xmlns="{NAMESPACE}">{content}</{action}Response>'
    return _response(text, 200, request_id)


def error_answer(code: str, message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An error in EC2's envelope, which has no namespace and spells RequestID in capitals."""
    request_id = str(uuid4())
    error = element("Error", {"Code": code, "Message": message})
    body = f"<Response><Errors>{error}</Errors>{element('RequestID', request_id)}</Response>"
    response = _response(DECLARATION + body, status, request_id)
    response.headers.extend(headers or {})
    return response


def passed_on(response: Response) -> Response:
    """An answer of moto's with what all of EC2's have; moto's request ids differ between header and body."""
    request_id = str(uuid4())
    text = REQUEST_ID.sub(rf"\g<1>{request_id}\g<2>", response.get_data(as_text=True))
    return _response(text, response.status_code, request_id)


def element(name: str, value: Value) -> str:
    """One element; nothing at all for None."""
    if value is None:
        return ""
    return f"<{name}>{_content(value)}</{name}>"


def _content(value: Value) -> str:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return "".join(element(name, member) for name, member in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if isinstance(value, Sequence):
        return "".join(element("item", member) for member in value)
    return str(value)


def _response(text: str, status: int, request_id: str) -> Response:
    headers = {
        "x-amzn-RequestId": request_id,
        "Cache-Control": "no-cache, no-store",
        "Server": "AmazonEC2",
    }
    return Response(text.encode(), status, headers, content_type=CONTENT_TYPE)
