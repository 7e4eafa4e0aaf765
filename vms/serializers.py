"""Input: what requests may say, checked field by field. Output: the shapes of answers, for the schema alone.

Answers go out as plain values (see `answers`), because a serializer would double the cost of a long list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers

from providers.domain import StopMode, Verb, VMStatus
from providers.errors import ErrorCode

# Not by IGNORECASE: for it the long s and the Kelvin sign are letters from a to z, too.
DNS_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
DIGITS = re.compile(r"[0-9]{1,9}")
# Of a body that has nothing but unknown fields a few tell as much as all.
MOST_UNKNOWN = 20
MOST_TAGS = 50
LONGEST_TAG_KEY = 128
LONGEST_TAG_VALUE = 256


class Strict(serializers.Serializer[object]):
    """Refuses fields that it does not know: a mistyped one must not be ignored in silence."""

    def to_internal_value(self, data: object) -> dict[str, object]:
        """The validated values.

        Raises:
            ValidationError: with every wrong field, and those that are unknown.

        """
        if not isinstance(data, Mapping):
            raise serializers.ValidationError({"body": [f"must be a JSON object, not {_kind(data)}"]})
        allowed = ", ".join(self.fields) or "none"
        strangers = (str(key) for key in data if key not in self.fields)
        unknown = {key: [f"is not known here; allowed: {allowed}"] for key in islice(strangers, MOST_UNKNOWN)}
        try:
            values: dict[str, object] = super().to_internal_value(data)
        except serializers.ValidationError as error:
            # A serializer's own error has a detail for each field, which the types can't say.
            raise serializers.ValidationError({**dict(error.detail), **unknown}) from None  # type: ignore[arg-type]
        if unknown:
            raise serializers.ValidationError(unknown)
        return values


class Text(serializers.CharField):
    """A text and nothing else: DRF's own field would take a number for one."""

    def to_internal_value(self, data: object) -> str:
        """The text, as it was sent."""
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a text")
        return str(super().to_internal_value(data))


class Count(serializers.IntegerField):
    """A whole number in plain digits: DRF's own field would take `1_0`, `5.0` and `٣` for one."""

    def __init__(self, *, min_value: int, max_value: int, **options: Any) -> None:
        self.problem = f"must be a whole number from {min_value} to {max_value}"
        messages: dict[str, Any] = dict.fromkeys(("min_value", "max_value"), self.problem)
        super().__init__(min_value=min_value, max_value=max_value, error_messages=messages, **options)

    def to_internal_value(self, data: object) -> int:
        """The number."""
        if not isinstance(data, str) or not DIGITS.fullmatch(data):
            raise serializers.ValidationError(self.problem)
        return int(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """True or false and nothing else: DRF's own field would take "no" or 0 for one."""

    def to_internal_value(self, data: object) -> bool:
        """The flag."""
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false")
        return data


class Choice(serializers.ChoiceField):
    """One of an enumeration's words; an error lists them."""

    def __init__(self, words: type[StrEnum], **options: Any) -> None:
        values = [word.value for word in words]
        super().__init__(values, error_messages={"invalid_choice": f"must be one of {', '.join(values)}"}, **options)


class Tags(serializers.DictField):
    """Key-value tags, texts all."""

    child = Text(allow_blank=True, max_length=LONGEST_TAG_VALUE, trim_whitespace=False)

    def to_internal_value(self, data: object) -> dict[str, str]:
        """The tags."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("must be an object of texts")
        if len(data) > MOST_TAGS:
            raise serializers.ValidationError(f"at most {MOST_TAGS} tags are allowed")
        tags: dict[str, str] = super().to_internal_value(data)
        for key, value in tags.items():
            if not 0 < len(key) <= LONGEST_TAG_KEY:
                raise serializers.ValidationError(f"a key must have 1 to {LONGEST_TAG_KEY} characters")
            if any(ord(character) < 32 or ord(character) == 127 for character in key + value):
                raise serializers.ValidationError(f"the tag {key!r} holds control characters or line breaks")
        return tags


class InEnvironment(Strict):
    """The query of every request about an environment's VMs."""

    environment = Text(trim_whitespace=False, help_text="Name of the environment, as `GET /environment` lists it.")


class ListQuery(InEnvironment):
    """The query of a list."""

    name = Text(required=False, trim_whitespace=False, help_text="Only VMs of exactly this name.")
    status = Choice(VMStatus, required=False, help_text="Only VMs in this status.")


class StopQuery(InEnvironment):
    """The query of a stop or restart."""

    mode = Choice(
        StopMode,
        default=StopMode.AUTO.value,
        help_text="`auto`: ask the guest, and cut the power after `timeout` seconds; `graceful`: only ask; "
        "`force`: cut the power at once.",
    )
    timeout = Count(min_value=1, max_value=3600, default=60, help_text="Seconds that the guest may take.")


class MachineTypeQuery(Strict):
    """The query of the list of machine types."""

    environment = Text(
        required=False, trim_whitespace=False, help_text="Only machine types that this environment offers."
    )


class NoQuery(Strict):
    """A request that takes no query."""


class VMCreate(Strict):
    """A VM to be made."""

    # The schema takes its pattern from this kind of validator.
    name = Text(
        validators=[
            RegexValidator(
                rf"\A{DNS_LABEL.pattern}\Z",
                "must be a DNS label (RFC 1123): 1 to 63 letters, digits or dashes, no dash at either end",
            )
        ],
        trim_whitespace=False,
        help_text="A DNS label (RFC 1123).",
    )
    environment = Text(trim_whitespace=False, help_text="Name of the environment, as `GET /environment` lists it.")
    machinetype = Text(trim_whitespace=False, help_text="Name of a machine type that the environment offers.")
    cloud_init = Text(
        required=False,
        allow_null=True,
        allow_blank=True,
        write_only=True,
        help_text="User data for cloud-init, in base64; line breaks are allowed. Never shown again.",
    )
    admin_password = Text(
        required=False,
        allow_null=True,
        write_only=True,
        trim_whitespace=False,
        help_text="Password of the administrator, where cloud and system ask for one: Windows on Azure. Never shown "
        "again.",
    )
    tags = Tags(required=False, allow_null=True, help_text="Key-value tags.")
    start = Flag(default=True, help_text="False leaves the VM stopped.")


class VMOut(serializers.Serializer[object]):
    """One VM. What the cloud's list does not tell is null or empty."""

    id = serializers.CharField(help_text="The same in list, create and get; safe in a URL.")
    name = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=[status.value for status in VMStatus])
    environment = serializers.CharField()
    provider_status = serializers.CharField(help_text="The cloud's own word.")
    instance_type = serializers.CharField(allow_null=True)
    cpus = serializers.IntegerField(allow_null=True)
    memory_mib = serializers.IntegerField(allow_null=True)
    ip_addresses = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField(allow_null=True)
    tags = serializers.DictField(child=serializers.CharField(allow_blank=True))


class FieldFaultOut(serializers.Serializer[object]):
    """What is wrong with one field."""

    field = serializers.CharField()
    detail = serializers.CharField()


class BackendOut(serializers.Serializer[object]):
    """What the cloud itself said."""

    cloud = serializers.CharField()
    operation = serializers.CharField()
    code = serializers.CharField(allow_null=True)
    status = serializers.IntegerField(allow_null=True)
    request_id = serializers.CharField(allow_null=True)


class LeftoverOut(serializers.Serializer[object]):
    """An object that a failed create had made."""

    kind = serializers.CharField()
    id = serializers.CharField()
    removed = serializers.BooleanField()


class ProblemOut(serializers.Serializer[object]):
    """An RFC 9457 problem document."""

    type = serializers.CharField(help_text="Leads to a page on this server that explains the error.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    code = serializers.ChoiceField(choices=[code.value for code in ErrorCode])
    request_id = serializers.CharField()
    retryable = serializers.BooleanField(help_text="Whether the same request, sent again later, may succeed.")
    # The class has an attribute of that name, which holds a serializer's own faults; this one only gives a shape.
    errors = FieldFaultOut(many=True, required=False)  # type: ignore[assignment]
    backend = BackendOut(required=False)
    leftovers = LeftoverOut(many=True, required=False)
    operation = serializers.CharField(required=False, help_text="Where to follow work that goes on after a timeout.")


class OperationOut(serializers.Serializer[object]):
    """Where a piece of work stands."""

    done = serializers.BooleanField()
    verb = serializers.ChoiceField(choices=[verb.value for verb in Verb])
    environment = serializers.CharField()
    vm = VMOut(allow_null=True)
    error = ProblemOut(allow_null=True)


class EnvironmentOut(serializers.Serializer[object]):
    """One configured environment."""

    name = serializers.CharField()
    cloud = serializers.CharField()
    region = serializers.CharField(allow_blank=True)
    machinetypes = serializers.ListField(child=serializers.CharField())


class OperatingSystemOut(serializers.Serializer[object]):
    """What runs on a machine type."""

    os_type = serializers.CharField()
    os_distribution = serializers.CharField(allow_blank=True)
    os_disk_size_gb = serializers.IntegerField(allow_null=True)


class OfferOut(serializers.Serializer[object]):
    """What a machine type is on one cloud."""

    instance_type = serializers.CharField(allow_blank=True)
    image = serializers.CharField()
    cpus = serializers.IntegerField(allow_null=True)
    memory_mib = serializers.IntegerField(allow_null=True)


class MachineTypeOut(serializers.Serializer[object]):
    """One machine type."""

    name = serializers.CharField()
    os = OperatingSystemOut()
    clouds = serializers.DictField(child=OfferOut())


class ProblemKindOut(serializers.Serializer[object]):
    """One entry of the catalogue of errors."""

    code = serializers.CharField()
    status = serializers.IntegerField()
    title = serializers.CharField()
    retryable = serializers.BooleanField()
    meaning = serializers.CharField()
    advice = serializers.CharField()
    causes = serializers.DictField(child=serializers.CharField(), help_text="The usual cause on each cloud.")


class HealthOut(serializers.Serializer[object]):
    """The process is well."""

    status = serializers.CharField()


def _kind(data: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(data), "a number")
