"""What PVE's JSON schema says of a value, and how its verification words what is wrong with one.

https://git.proxmox.com/?p=pve-common.git;a=blob;f=src/PVE/JSONSchema.pm
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from providers.sandbox.proxmox.wire import ParameterError, Version

UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
MISSING = "property is missing and it is not optional"
INTEGER = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?")
TYPES = {"boolean": re.compile("[01]"), "integer": INTEGER, "number": NUMBER}
PERL_TYPES = {bool: "JSON::PP::Boolean", list: "ARRAY", dict: "HASH"}


class FormatError(Exception):
    """A text that is not in the form its schema names."""


Format = Callable[[str, str], object]


@dataclass(frozen=True)
class Schema:
    """One value's schema. `format` is handed the text and its path, and raises `FormatError`.

    `default_key`, `alias` and `model` are for the members of property strings: the member that needs no key, the
    member that is meant instead, and that the key itself is the value of `model` (`virtio=AA:BB:…`).
    """

    type: str = "string"
    required: bool = False
    enum: tuple[str, ...] = ()
    pattern: str = ""
    format: Format | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    requires: str = ""
    since: Version = (0, 0)
    default_key: bool = False
    alias: str = ""
    model: str = ""


def verify(values: Mapping[str, object], schemas: Mapping[str, Schema], version: Version) -> dict[str, str]:
    """The values as texts; raises `ParameterError` with a reason for each that is wrong."""
    known = {name: schema for name, schema in schemas.items() if schema.since <= version}
    errors: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name, value in values.items():
        if name not in known:
            errors[name] = UNKNOWN
            continue
        if value is None:
            continue
        try:
            texts[name] = _checked(value, known[name], name)
        except FormatError as error:
            errors[name] = str(error)
    errors.update(_missing({name: value for name, value in values.items() if value is not None}, known))
    if errors:
        raise ParameterError(errors)
    return texts


def check(text: str, schema: Schema, path: str) -> None:
    """Check a text against its schema; raises `FormatError`."""
    for step in (_check_type, _check_format, _check_pattern, _check_length, _check_range, _check_enum):
        step(text, schema, path)


def _missing(values: Mapping[str, object], known: Mapping[str, Schema]) -> dict[str, str]:
    errors = {name: MISSING for name, schema in known.items() if schema.required and name not in values}
    for name in values:
        requires = known[name].requires if name in known else ""
        if requires and requires not in values:
            errors[requires] = f"missing property required by '{name}'"
    return errors


def _checked(value: object, schema: Schema, path: str) -> str:
    if isinstance(value, bool) and schema.type == "boolean":
        return str(int(value))
    if type(value) in PERL_TYPES:
        raise FormatError(f"type check ('{schema.type}') failed - got {PERL_TYPES[type(value)]}")
    text = str(value)
    check(text, schema, path)
    return text


def _check_type(text: str, schema: Schema, path: str) -> None:
    del path
    expression = TYPES.get(schema.type)
    if expression is not None and not expression.fullmatch(text):
        raise FormatError(f"type check ('{schema.type}') failed - got '{text}'")


def _check_format(text: str, schema: Schema, path: str) -> None:
    if schema.format is None:
        return
    try:
        schema.format(text, path)
    except FormatError as error:
        raise FormatError(f"invalid format - {error}\n") from error


def _check_pattern(text: str, schema: Schema, path: str) -> None:
    del path
    if schema.pattern and not re.fullmatch(schema.pattern, text):
        raise FormatError("value does not match the regex pattern")


def _check_length(text: str, schema: Schema, path: str) -> None:
    del path
    if schema.max_length is not None and len(text) > schema.max_length:
        raise FormatError(f"value may only be {schema.max_length} characters long")


def _check_range(text: str, schema: Schema, path: str) -> None:
    del path
    if not NUMBER.fullmatch(text):
        return
    if schema.maximum is not None and float(text) > schema.maximum:
        raise FormatError(f"value must have a maximum value of {schema.maximum:g}")
    if schema.minimum is not None and float(text) < schema.minimum:
        raise FormatError(f"value must have a minimum value of {schema.minimum:g}")


def _check_enum(text: str, schema: Schema, path: str) -> None:
    del path
    if schema.enum and text not in schema.enum:
        choices = ", ".join(schema.enum)
        raise FormatError(f"value '{text}' does not have a value in the enumeration '{choices}'")


class PropertyString:
    """The format of texts such as `virtio,bridge=vmbr0,tag=20`."""

    def __init__(self, members: Mapping[str, Schema]) -> None:
        self.members = members
        self._default = next((name for name, schema in members.items() if schema.default_key), None)

    def __call__(self, text: str, path: str = "") -> dict[str, str]:
        """The members of a text by name; raises `FormatError`."""
        values: dict[str, str] = {}
        for part in text.split(","):
            if part.strip():
                self._take(part, values)
        self._verify(values, path)
        return values

    def write(self, values: Mapping[str, str]) -> str:
        """A text with the default member first and the others in order of their names, as PVE writes it."""
        default = self._default
        first = [values[default]] if default is not None and default in values else []
        return ",".join([*first, *(f"{key}={values[key]}" for key in sorted(values) if key != default)])

    def _take(self, part: str, values: dict[str, str]) -> None:
        key, equals, value = part.partition("=")
        if not equals:
            self._put(self._default, part, values)
            return
        if not key or not value:
            raise FormatError("missing key in comma-separated list property")
        schema = self.members.get(key)
        if schema is None:
            raise FormatError(f"invalid key in comma-separated list property: {key}")
        if schema.model:
            self._put(schema.model, key, values)
        self._put(schema.alias or key, value, values)

    def _put(self, key: str | None, value: str, values: dict[str, str]) -> None:
        if key is None:
            raise FormatError("value without key, but schema does not define a default key")
        if key in values:
            raise FormatError(f"duplicate key in comma-separated list property: {key}")
        values[key] = _BOOLEANS.get(value.lower(), value) if self.members[key].type == "boolean" else value

    def _verify(self, values: Mapping[str, str], path: str) -> None:
        for name, schema in self.members.items():
            where = f"{path}.{name}" if path else name
            if name not in values:
                if schema.required and not schema.alias:
                    raise FormatError(f"format error\n{where}: {MISSING}")
                continue
            try:
                check(values[name], schema, where)
            except FormatError as error:
                raise FormatError(f"format error\n{where}: {error}") from error


_BOOLEANS = {"1": "1", "on": "1", "yes": "1", "true": "1", "0": "0", "off": "0", "no": "0", "false": "0"}
