"""A validator of JSON Schema for tests: no JSON Schema library is among the dependencies.

Belongs here: exactly the keywords of draft 2020-12 that occur in our schemas; any other fails the test, so none passes
by being ignored. Does not belong: assertions.
"""

import re
from datetime import datetime
from typing import Any

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}
SILENT = {"$schema", "$defs", "title", "description", "default", "$ref", "type"}


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str = "$") -> list[str]:
    """Every way in which `value` breaks `schema`, a subset of draft 2020-12."""
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return faults(value, target, root, place)
    found = []
    if "type" in schema:
        wanted = TYPES[schema["type"]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and schema["type"] in ("number", "integer")):
            return [f"{place} is no {schema['type']}"]
    for keyword, rule in schema.items():
        if keyword in SILENT:
            continue
        found += KEYWORDS[keyword](value, rule, schema, root, place)  # an unknown keyword fails the test
    return found


def _properties(value: Any, rule: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> list[str]:
    return [
        f for name, part in rule.items() if name in value for f in faults(value[name], part, root, f"{place}.{name}")
    ]


def _additional(value: Any, rule: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> list[str]:
    others = set(value) - set(schema.get("properties", {}))
    if rule is True:
        return []
    if rule is False:
        return [f"{place} has the unknown field {name}" for name in sorted(others)]
    return [f for name in others for f in faults(value[name], rule, root, f"{place}.{name}")]


def _items(value: Any, rule: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> list[str]:
    return [f for number, item in enumerate(value) for f in faults(item, rule, root, f"{place}[{number}]")]


def _any_of(value: Any, rule: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> list[str]:
    return [] if any(not faults(value, part, root, place) for part in rule) else [f"{place} fits none of {len(rule)}"]


def _required(value: Any, rule: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> list[str]:
    return [f"{place} lacks {name}" for name in rule if name not in value]


def _instant(value: Any, rule: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> list[str]:
    assert rule == "date-time"
    try:
        return [] if datetime.fromisoformat(value).tzinfo else [f"{place} has no offset"]
    except ValueError:
        return [f"{place} is no instant"]


KEYWORDS: dict[str, Any] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "anyOf": _any_of,
    "required": _required,
    "format": _instant,
    "const": lambda v, rule, s, r, p: [] if v == rule else [f"{p} is not {rule}"],
    "enum": lambda v, rule, s, r, p: [] if v in rule else [f"{p} is none of {rule}"],
    "minimum": lambda v, rule, s, r, p: [] if v >= rule else [f"{p} is below {rule}"],
    "maximum": lambda v, rule, s, r, p: [] if v <= rule else [f"{p} is above {rule}"],
    "pattern": lambda v, rule, s, r, p: [] if re.search(rule, v) else [f"{p} does not match {rule}"],
}
