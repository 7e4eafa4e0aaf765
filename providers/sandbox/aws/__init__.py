"""The sandbox's AWS: EC2's query protocol, held by moto, with what moto lacks in front of it."""

from providers.sandbox.aws.backend import (
    IMAGE_ID,
    OTHER_VPC_ID,
    OTHER_VPC_SUBNET_ID,
    OTHER_ZONE_SUBNET_ID,
    REGION,
    SECURITY_GROUP_ID,
    SUBNET_ID,
    VPC_ID,
)
from providers.sandbox.aws.sandbox import (
    ACCESS_KEY,
    EXPIRED_SESSION_TOKEN,
    SECRET,
    SESSION_ACCESS_KEY,
    SESSION_TOKEN,
    AwsSandbox,
    SimulatedVM,
    SimulatedVolume,
)

__all__ = [
    "ACCESS_KEY",
    "EXPIRED_SESSION_TOKEN",
    "IMAGE_ID",
    "OTHER_VPC_ID",
    "OTHER_VPC_SUBNET_ID",
    "OTHER_ZONE_SUBNET_ID",
    "REGION",
    "SECRET",
    "SECURITY_GROUP_ID",
    "SESSION_ACCESS_KEY",
    "SESSION_TOKEN",
    "SUBNET_ID",
    "VPC_ID",
    "AwsSandbox",
    "SimulatedVM",
    "SimulatedVolume",
]
