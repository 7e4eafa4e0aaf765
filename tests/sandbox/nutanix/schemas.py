"""Comparing what the simulated Nutanix says and takes with the vendor's own descriptions of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from providers.sandbox.nutanix.schema import (
    Anything,
    Boolean,
    Choice,
    Fields,
    Integer,
    Kind,
    Many,
    Nothing,
    OneOf,
    Text,
)

Schema = Mapping[str, Any]
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
NATIVE: Mapping[str, type] = {"str": str, "int": int, "bool": bool, "datetime": str, "object": object}


def resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """What a reference leads to."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/definitions/")]
    return schema


def strangers(value: Any, schema: Schema, definitions: Mapping[str, Schema], path: str = "") -> Iterator[str]:
    """The places of an answer that a Swagger schema does not know, or knows to be something else."""
    schema = resolved(schema, definitions)
    kind = schema.get("type", "object" if "properties" in schema else "")
    if value is None or not kind:
        return
    if not _is(value, kind):
        yield f"{path}: {value!r} is no {kind}"
    elif kind == "array":
        for item in value:
            yield from strangers(item, schema["items"], definitions, f"{path}[]")
    elif schema.get("properties"):
        yield from _strange_fields(value, schema["properties"], definitions, path)
    elif value and schema.get("enum") and str(value).upper() not in {word.upper() for word in schema["enum"]}:
        yield f"{path}: {value!r} is none of its words"


def _is(value: object, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)


def _strange_fields(
    value: Mapping[str, Any], known: Mapping[str, Schema], definitions: Mapping[str, Schema], path: str
) -> Iterator[str]:
    for name, item in value.items():
        if name not in known:
            yield f"{path}.{name}"
        else:
            yield from strangers(item, known[name], definitions, f"{path}.{name}")


def misfits(kind: Kind, schema: Schema, definitions: Mapping[str, Schema], path: str = "") -> Iterator[str]:
    """The places where what the simulator takes is not what a Swagger schema says."""
    schema = resolved(schema, definitions)
    wanted = schema.get("type", "object" if "properties" in schema else "")
    if isinstance(kind, Anything | Nothing) or not wanted:
        return
    ours = {Text: "string", Choice: "string", Integer: "integer", Boolean: "boolean", Many: "array", Fields: "object"}
    if ours[type(kind)] != wanted:
        yield f"{path}: {type(kind).__name__} is no {wanted}"
    elif isinstance(kind, Many):
        yield from misfits(kind.kind, schema["items"], definitions, f"{path}[]")
    elif isinstance(kind, Choice):
        theirs = schema.get("enum") or schema.get("x-ntnx-enum") or []
        if lost := {word.upper() for word in theirs} - {word.upper() for word in kind.words}:
            yield f"{path}: {sorted(lost)} are words, too"
    elif isinstance(kind, Fields) and schema.get("properties"):
        yield from _misfitting_fields(kind, schema, definitions, path)


def _misfitting_fields(kind: Fields, schema: Schema, definitions: Mapping[str, Schema], path: str) -> Iterator[str]:
    for name in set(schema.get("required") or ()) - set(kind.required):
        yield f"{path}.{name}: is required"
    for name, field in kind.fields.items():
        if name not in schema["properties"]:
            yield f"{path}.{name}"
        else:
            yield from misfits(field, schema["properties"][name], definitions, f"{path}.{name}")


def strange_objects(value: Any, models: Mapping[str, Mapping[str, str]], path: str = "") -> Iterator[str]:
    """The places of a v4 answer that the vendor's models do not know, or know to be of another type."""
    if isinstance(value, list):
        for item in value:
            yield from strange_objects(item, models, f"{path}[]")
    if not isinstance(value, dict):
        return
    model = models.get(value.get("$objectType", ""))
    for name, item in value.items():
        if name.endswith("Discriminator"):
            continue
        if model is not None and name not in model:
            yield f"{path}.{name}"
        elif model is not None and not _fits(item, model[name]):
            yield f"{path}.{name}: {item!r} is no {model[name]}"
        yield from strange_objects(item, models, f"{path}.{name}")


def _fits(value: Any, declared: str) -> bool:
    if declared.startswith("list["):
        return isinstance(value, list) and all(_fits(item, declared[5:-1]) for item in value)
    if declared.startswith(("dict(", "OneOf")):
        return isinstance(value, dict | list | str)
    if declared in NATIVE:
        return isinstance(value, NATIVE[declared]) and (declared == "bool") == isinstance(value, bool)
    # A type of the models is an object that says so, or one word of an enumeration.
    return isinstance(value, str) or value.get("$objectType") == declared


def unmodelled(kind: Kind, name: str, models: Mapping[str, Mapping[str, str]], path: str = "") -> Iterator[str]:
    """The fields that the simulator takes in an object of v4 and the vendor's model of it does not have."""
    if isinstance(kind, Many):
        yield from unmodelled(kind.kind, name.removeprefix("list[").removesuffix("]"), models, f"{path}[]")
    elif isinstance(kind, OneOf):
        for one, its in kind.kinds.items():
            yield from unmodelled(its, one, models, f"{path}({one})")
    elif isinstance(kind, Fields):
        for field, its in kind.fields.items():
            if field not in models[name]:
                yield f"{path}.{field}"
            else:
                yield from unmodelled(its, models[name][field], models, f"{path}.{field}")


def shape(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every place of a value and the type that is there; lists by their items."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from shape(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from shape(item, f"{path}[]")
    else:
        yield path, type(value).__name__
