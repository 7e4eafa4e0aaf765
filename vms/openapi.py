"""What the OpenAPI schema says that the code alone does not: answers, errors, headers, examples.

drf-spectacular looks for the extensions in here when it makes the schema; nothing that serves a request imports them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
    OpenApiViewExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import (
    Direction,
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)

from vms import examples
from vms.problems import CODES_BY_STATUS, KINDS, MEDIA_TYPE
from vms.serializers import (
    LONGEST_TAG_KEY,
    LONGEST_TAG_VALUE,
    MOST_TAGS,
    EnvironmentOut,
    HealthOut,
    InEnvironment,
    ListQuery,
    MachineTypeOut,
    MachineTypeQuery,
    OperationOut,
    ProblemKindOut,
    ProblemOut,
    StopQuery,
    VMCreate,
    VMOut,
)

Responses = dict[int | tuple[int, str], OpenApiResponse]
Endpoint = tuple[str, str, str, Callable[..., Any]]

PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="RFC 7240. `respond-async`: answer 202 as soon as the cloud has accepted the last step; `wait=N`: wait "
    "at most N seconds for its end, then answer 202; `return=representation`: answer 200 and the VM where 204 would "
    "be; several stand with commas between them. What was honoured comes back in `Preference-Applied`.",
    # No examples: Swagger UI would send the first one with every call that is tried.
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="1 to 255 visible ASCII characters. A repeated request with the same key and content makes no second "
    "VM; one with other content is refused (422).",
)
VM_ID = OpenApiParameter("id", str, OpenApiParameter.PATH, description="The VM's id, as lists show it.")
LOCATION = OpenApiParameter(
    "Location",
    str,
    OpenApiParameter.HEADER,
    description="Path of what was made, or of the operation to follow.",
    response=[201, 202],
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, description="Seconds to wait.", response=[202, 401, 409, 429, 503]
)
PREFERENCE_APPLIED = OpenApiParameter(
    "Preference-Applied",
    str,
    OpenApiParameter.HEADER,
    description="What of `Prefer` had an effect; absent where nothing had.",
    response=[200, 201, 202, 204],
)
LOOK_AGAIN = OpenApiParameter(
    "Retry-After",
    int,
    OpenApiParameter.HEADER,
    description="Seconds to wait before the next look; absent when it is done.",
    response=[200],
)


class CloudTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # registers itself, untyped
    """The Bearer token as a security scheme."""

    target_class = "vms.authentication.CloudTokenAuthentication"
    name = "cloudToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """The scheme."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "base64(<access key>:<secret>)",
            "description": "The cloud's own credentials: `echo '<access key>:<secret>' | base64 -w 0`. They are passed "
            "to the named environment, and kept nowhere.",
        }


class VMCreateExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call] # as above
    """A create refuses unknown fields."""

    target_class = "vms.serializers.VMCreate"

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, object]:
        """Return the JSON Schema of the body."""
        # The documented way to extend what is generated.
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # type: ignore[no-untyped-call] # noqa: SLF001
        return {**schema, "additionalProperties": False}


class TagsExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call] # as above
    """The limits of tags, which `Tags` checks itself."""

    target_class = "vms.serializers.Tags"

    def map_serializer_field(self, auto_schema: object, direction: str) -> dict[str, object]:
        """Return the JSON Schema of the field."""
        text = {"type": "string", "pattern": r"^[^\u0000-\u001f\u007f]*$"}
        return {
            "type": "object",
            "maxProperties": MOST_TAGS,
            "propertyNames": {**text, "minLength": 1, "maxLength": LONGEST_TAG_KEY},
            "additionalProperties": {**text, "maxLength": LONGEST_TAG_VALUE},
        }


def _problems() -> Responses:
    """An answer for each HTTP status of the errors, with the codes that it stands for and an example of each."""
    return {
        (status, MEDIA_TYPE): OpenApiResponse(
            ProblemOut,
            description=", ".join(f"`{code}`: {KINDS[code].title}" for code in codes),
            examples=[
                OpenApiExample(
                    code.value, examples.problem(code, status), response_only=True, status_codes=[str(status)]
                )
                for code in codes
            ],
        )
        for status, codes in CODES_BY_STATUS.items()
    }


def _answer(serializer: object, description: str, *shown: object) -> OpenApiResponse:
    names = ["example", *(f"example {number}" for number in range(2, len(shown) + 1))]
    return OpenApiResponse(
        serializer,
        description=description,
        examples=[OpenApiExample(name, value, response_only=True) for name, value in zip(names, shown, strict=False)],
    )


def _shows(serializer: object, description: str, *shown: object) -> Responses:
    """The answers of what only looks: 200, or one of the errors."""
    return {200: _answer(serializer, description, *shown), **_problems()}


def _verb(summary: str, query: type, **more: object) -> Callable[..., Any]:
    """A verb that answers 204, or with the VM if that is preferred, or 202."""
    return extend_schema(
        summary=summary,
        parameters=[VM_ID, query, PREFER, PREFERENCE_APPLIED, LOCATION, RETRY_AFTER],
        request=None,
        responses={
            204: OpenApiResponse(description="Done."),
            200: _answer(VMOut, "Done; shown because of `Prefer: return=representation`.", examples.VM),
            202: _answer(OperationOut, "Accepted; follow `Location`.", examples.PENDING),
            **_problems(),
        },
        **more,  # type: ignore[arg-type] # passed on as they are
    )


class DocumentedVMViewSet(OpenApiViewExtension):  # type: ignore[no-untyped-call] # registers itself, untyped
    """The VM endpoints."""

    target_class = "vms.views.VMViewSet"

    def view_replacement(self) -> type:
        """The view with its documentation."""

        @extend_schema_view(
            list=extend_schema(
                summary="List VMs",
                parameters=[ListQuery],
                responses=_shows(VMOut(many=True), "The VMs, by name, then id.", examples.VM),
            ),
            create=extend_schema(
                summary="Create a VM",
                parameters=[IDEMPOTENCY_KEY, PREFER, PREFERENCE_APPLIED, LOCATION, RETRY_AFTER],
                request={"application/json": VMCreate},
                examples=[OpenApiExample("with cloud-init", examples.CREATE, request_only=True)],
                responses={
                    201: _answer(VMOut, "Made; `Location` leads to it.", examples.VM),
                    202: _answer(OperationOut, "Accepted; follow `Location`.", examples.PENDING),
                    **_problems(),
                },
            ),
            retrieve=extend_schema(
                summary="Show a VM",
                parameters=[VM_ID, InEnvironment],
                responses=_shows(VMOut, "The VM.", examples.VM),
            ),
            destroy=_verb("Delete a VM", InEnvironment),
            start=_verb("Start a VM", InEnvironment),
            stop=_verb("Stop a VM", StopQuery),
            restart=_verb("Restart a VM", StopQuery),
        )
        class Documented(self.target_class):  # type: ignore[name-defined,misc] # the class that spectacular found
            # `extend_schema_view` does not see what serves a second method of an action.
            @_verb("Start a VM (older form)", InEnvironment, deprecated=True)
            def start_by_get(self) -> None: ...

            @_verb("Stop a VM (older form)", StopQuery, deprecated=True)
            def stop_by_get(self) -> None: ...

        return Documented


class DocumentedOperationViewSet(OpenApiViewExtension):  # type: ignore[no-untyped-call] # registers itself, untyped
    """Operations."""

    target_class = "vms.views.OperationViewSet"

    def view_replacement(self) -> type:
        """The view with its documentation."""
        token = OpenApiParameter("token", str, OpenApiParameter.PATH, description="As `Location` gave it.")

        @extend_schema_view(
            retrieve=extend_schema(
                summary="Follow an operation",
                parameters=[token, LOOK_AGAIN],
                responses=_shows(
                    OperationOut,
                    "Where it stands. `Retry-After` while it is not done; then the VM, or the error.",
                    examples.PENDING,
                    examples.FINISHED,
                    examples.FAILED,
                ),
            )
        )
        class Documented(self.target_class):  # type: ignore[name-defined,misc] # the class that spectacular found
            pass

        return Documented


class DocumentedEnvironmentViewSet(OpenApiViewExtension):  # type: ignore[no-untyped-call] # registers itself, untyped
    """Environments."""

    target_class = "vms.public_views.EnvironmentViewSet"

    def view_replacement(self) -> type:
        """The view with its documentation."""
        many = _shows(EnvironmentOut(many=True), "What is configured.", examples.ENVIRONMENT)
        return _registry(
            self.target_class,
            listed=extend_schema(summary="List environments", responses=many),
            one=extend_schema(
                summary="Show an environment",
                parameters=[OpenApiParameter("name", str, OpenApiParameter.PATH)],
                responses=_shows(EnvironmentOut, "The environment.", examples.ENVIRONMENT),
            ),
        )


class DocumentedMachineTypeViewSet(OpenApiViewExtension):  # type: ignore[no-untyped-call] # registers itself, untyped
    """Machine types."""

    target_class = "vms.public_views.MachineTypeViewSet"

    def view_replacement(self) -> type:
        """The view with its documentation."""
        many = _shows(MachineTypeOut(many=True), "What is configured.", examples.MACHINE_TYPE)
        return _registry(
            self.target_class,
            listed=extend_schema(summary="List machine types", parameters=[MachineTypeQuery], responses=many),
            one=extend_schema(
                summary="Show a machine type",
                parameters=[OpenApiParameter("name", str, OpenApiParameter.PATH)],
                responses=_shows(MachineTypeOut, "The machine type.", examples.MACHINE_TYPE),
            ),
        )


class DocumentedProblemViewSet(OpenApiViewExtension):  # type: ignore[no-untyped-call] # registers itself, untyped
    """The catalogue of errors."""

    target_class = "vms.public_views.ProblemViewSet"

    def view_replacement(self) -> type:
        """The view with its documentation."""
        many = _shows(ProblemKindOut(many=True), "Every error.", examples.PROBLEM_KIND)
        return _registry(
            self.target_class,
            listed=extend_schema(summary="List errors", responses=many),
            one=extend_schema(
                summary="Explain an error",
                parameters=[OpenApiParameter("code", str, OpenApiParameter.PATH)],
                responses=_shows(ProblemKindOut, "The error.", examples.PROBLEM_KIND),
            ),
        )


class DocumentedHealthViewSet(OpenApiViewExtension):  # type: ignore[no-untyped-call] # registers itself, untyped
    """Health."""

    target_class = "vms.public_views.HealthViewSet"

    def view_replacement(self) -> type:
        """The view with its documentation."""
        well = _shows(HealthOut, "It is.", {"status": "ok"})

        class Documented(self.target_class):  # type: ignore[name-defined,misc] # the class that spectacular found
            # `extend_schema_view` sees only DRF's own names for methods.
            @extend_schema(summary="Is the process up?", tags=["health"], responses=well)
            def livez(self) -> None: ...

            @extend_schema(summary="Are the registries loaded?", tags=["health"], responses=well)
            def readyz(self) -> None: ...

        return Documented


def _registry(view: Any, *, listed: Callable[..., Any], one: Callable[..., Any]) -> type:
    """A view that lists things and shows one of them, with its documentation."""

    @extend_schema_view(list=listed, retrieve=one)
    class Documented(view):  # type: ignore[misc] # the class that spectacular found
        pass

    return Documented


# What every answer carries.
HEADERS = {
    "X-Request-ID": {
        "description": "The request's id: the caller's own, where it sent one that can be used, else a new one.",
        "schema": {"type": "string"},
    },
    "Server-Timing": {
        "description": "Milliseconds spent waiting for the cloud, with the number of calls, and in this service.",
        "schema": {"type": "string"},
        "example": 'backend;dur=84.2;desc="1 call", app;dur=2.1',
    },
}


def preprocess(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Spectacular's hook before a schema is made; that it is in this module makes the extensions known."""
    return list(endpoints)


def postprocess(result: dict[str, Any], generator: object, request: object, public: bool) -> dict[str, Any]:  # noqa: FBT001
    """Spectacular's hook after a schema is made: what is alike in all operations stands once, under components."""
    components = result["components"]
    components["headers"] = HEADERS
    problems = components.setdefault("responses", {})
    for operation in (operation for path in result["paths"].values() for operation in path.values()):
        for status, response in operation["responses"].items():
            headers = response.setdefault("headers", {})
            headers.update({name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS})
            if MEDIA_TYPE in response.get("content", {}):
                problems[f"Problem{status}"] = response
                operation["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}
    return result
