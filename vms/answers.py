"""Answers as plain values, ready for the renderer."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.http import urlencode
from rest_framework.response import Response

from providers import trace
from providers.domain import VM, Environment, MachineType, Operation, Verb
from vms.operations import location
from vms.preferences import Preferences
from vms.problems import provider_document, retry_after

# How long a caller should wait before following an operation, where the cloud has no word on it.
FOLLOW_SECONDS = 2


def vm_answer(vm: VM, environment: str) -> dict[str, object]:
    """One VM."""
    return {
        "id": vm.id,
        "name": vm.name,
        "status": vm.status,
        "environment": environment,
        "provider_status": vm.provider_status,
        "instance_type": vm.instance_type,
        "cpus": vm.cpus,
        "memory_mib": vm.memory_mib,
        "ip_addresses": vm.ip_addresses,
        "created_at": vm.created_at,
        "tags": vm.tags,
    }


def environment_answer(environment: Environment, offered: tuple[MachineType, ...]) -> dict[str, object]:
    """One environment, without the ids of tenants or networks."""
    return {
        "name": environment.name,
        "cloud": environment.cloud.name,
        "region": environment.region,
        "machinetypes": [machine_type.name for machine_type in offered],
    }


def machine_type_answer(machine_type: MachineType) -> dict[str, object]:
    """One machine type."""
    os = machine_type.os
    return {
        "name": machine_type.name,
        "os": {"os_type": os.os_type, "os_distribution": os.distribution, "os_disk_size_gb": os.disk_gib},
        "clouds": {
            cloud: {
                "instance_type": offer.instance_type,
                "image": offer.image,
                "cpus": offer.cpus,
                "memory_mib": offer.memory_mib,
            }
            for cloud, offer in machine_type.offers.items()
        },
    }


def operation_answer(operation: Operation, environment: str, request: HttpRequest) -> dict[str, object]:
    """Where a piece of work stands."""
    shown = operation.done and operation.failure is None and operation.vm is not None
    return {
        "done": operation.done,
        "verb": operation.verb,
        "environment": environment,
        "vm": vm_answer(operation.vm, environment) if shown and operation.vm is not None else None,
        "error": provider_document(operation.failure, request) if operation.failure is not None else None,
    }


def verb_response(operation: Operation, environment: str, preferences: Preferences, request: HttpRequest) -> Response:
    """The answer to a verb: 202 while it is at work, then 201 for a create, 204, or 200 with the VM if preferred."""
    if not operation.done:
        response = following_response(operation, environment, request, status=202)
        response["Location"] = location(operation, environment, trace.current().access_key)
        shown = False
    elif operation.verb is Verb.CREATE and operation.vm is not None:
        response = Response(vm_answer(operation.vm, environment), status=201)
        response["Location"] = f"/vm/{operation.vm.id}?{urlencode({'environment': environment})}"
        shown = True
    else:
        shown = preferences.representation and operation.vm is not None
        body = vm_answer(operation.vm, environment) if shown and operation.vm is not None else None
        response = Response(body, status=200 if shown else 204)
    applied = preferences.applied(accepted=not operation.done, shown=shown)
    if applied:
        response["Preference-Applied"] = applied
    return response


def following_response(operation: Operation, environment: str, request: HttpRequest, *, status: int) -> Response:
    """How an operation stands, with the time after which to ask again while it is not done."""
    response = Response(operation_answer(operation, environment, request), status=status)
    if not operation.done:
        response["Retry-After"] = retry_after(operation.retry_after_seconds or FOLLOW_SECONDS)
    return response
