"""What pyVmomi knows of managed objects and types; the underscored names here are public, by its own word."""

from typing import Any

from pyVmomi import Version, VmomiSupport


def moid_of(ref: Any) -> str:
    """The id of the managed object that a reference is of."""
    return str(ref._GetMoId())  # noqa: SLF001 - as said above


def property_info(kind: Any, name: str) -> Any:
    """A property's declaration, None when the type has none of that name."""
    try:
        return kind._GetPropertyInfo(name)  # noqa: SLF001 - as said above
    except (AttributeError, KeyError):
        return None


def wire_name(kind: Any) -> str:
    """A type's name on the wire."""
    return str(VmomiSupport.GetWsdlName(kind))


def has_version(version: str, since: str) -> bool:
    """Whether an API version is a certain one, or comes after it."""
    return bool(Version.IsChildVersion(version, since))


def array_of(kind: Any, items: list[Any]) -> Any:
    """A typed array, which can stand where anything may."""
    return kind.Array(items)


def required_fields(kind: Any) -> list[Any]:
    """The declarations of the fields that a data object has to have."""
    declared = kind._GetPropertyList()  # noqa: SLF001 - as said above
    return [info for info in declared if not info.flags & VmomiSupport.F_OPTIONAL]


def enum_values(kind: Any) -> list[Any]:
    """The values of an enumeration; none of another type."""
    if not issubclass(kind, VmomiSupport.Enum):
        return []
    return [value for value in vars(kind).values() if isinstance(value, kind)]
