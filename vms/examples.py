"""The examples in the schema: one world of made-up VMs, the same throughout."""

from __future__ import annotations

import base64

from providers.errors import ErrorCode
from vms.catalogue import entry
from vms.problems import KINDS

VM = {
    "id": "i-048501077e53646ed",
    "name": "test1",
    "status": "running",
    "environment": "aws-test1",
    "provider_status": "running",
    "instance_type": "t3.medium",
    "cpus": 2,
    "memory_mib": None,
    "ip_addresses": ["10.0.0.4"],
    "created_at": "2026-11-23T10:00:00Z",
    "tags": {"team": "web"},
}
CREATE = {
    "name": "test1",
    "environment": "aws-test1",
    "machinetype": "medium-debian",
    "cloud_init": base64.b64encode(b"#cloud-config\npackages: [nginx]\n").decode(),
    "tags": {"team": "web"},
}
PENDING = {"done": False, "verb": "create", "environment": "aws-test1", "vm": None, "error": None}
FINISHED = {**PENDING, "done": True, "vm": VM}
ENVIRONMENT = {"name": "aws-test1", "cloud": "Aws", "region": "eu-west-3", "machinetypes": ["medium-debian"]}
MACHINE_TYPE = {
    "name": "medium-debian",
    "os": {"os_type": "Linux", "os_distribution": "Debian", "os_disk_size_gb": None},
    "clouds": {
        "Aws": {"instance_type": "t3.medium", "image": "ami-0644165ab979df02d", "cpus": None, "memory_mib": None}
    },
}
PROBLEM_KIND = entry(ErrorCode.CONFLICT)

_DETAILS = {
    ErrorCode.VM_NOT_FOUND: "There is no VM i-048501077e53646ed in environment 'aws-test1'.",
    ErrorCode.ENVIRONMENT_NOT_FOUND: "There is no environment 'aws-test9'.",
    ErrorCode.INVALID_REQUEST: "name: must be a DNS label (RFC 1123).",
}


def problem(code: ErrorCode, status: int | None = None) -> dict[str, object]:
    """A problem document of one kind; `status` is given where it differs from the kind's."""
    kind = KINDS[code]
    document: dict[str, object] = {
        "type": f"/problems/{code.value}",
        "title": kind.title,
        "status": status or kind.status,
        "detail": _DETAILS.get(code, str(entry(code)["meaning"])),
        "instance": "/vm",
        "code": code.value,
        "request_id": "5f2b8e0c9d3a4f17",
        "retryable": kind.retryable,
    }
    if code is ErrorCode.INVALID_REQUEST:
        document["errors"] = [{"field": "name", "detail": "must be a DNS label (RFC 1123)"}]
    if code in {ErrorCode.VM_NOT_FOUND, ErrorCode.CONFLICT}:
        document["backend"] = {
            "cloud": "Aws",
            "operation": "DescribeInstances",
            "code": "InvalidInstanceID.NotFound",
            "status": 400,
            "request_id": "8c1b7b1e-5c61-4b6a-9f0e-0d5c7b7f2a11",
        }
    if code is ErrorCode.QUOTA_EXCEEDED:
        document["leftovers"] = [{"kind": "vm", "id": "i-048501077e53646ed", "removed": True}]
    return document


FAILED = {**PENDING, "done": True, "error": problem(ErrorCode.QUOTA_EXCEEDED)}
