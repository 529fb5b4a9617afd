"""What the KServe SDK's classes, generated from its API, do not have in a resource: its own reading passes over that.

Runs in .venv-kserve, beside kserve_calls.py.
"""

import re
from collections.abc import Iterator
from typing import Any

import kserve
from kubernetes import client

PLAIN: dict[str, Any] = {"str": str, "int": int, "bool": bool, "object": object, "datetime": str, "float": (int, float)}


def problems(resource: dict[str, Any]) -> list[str]:
    version = resource["apiVersion"].rsplit("/", 1)[1]
    return [*unknown(resource, f"{version.capitalize()}{resource['kind']}", resource["kind"])]


def unknown(value: Any, kind: str, place: str) -> Iterator[str]:
    """kind: a name of Kubernetes' generated clients, such as list[V1Container] or dict(str, str)."""
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        for number, one in enumerate(value):
            yield from unknown(one, inner[1], f"{place}[{number}]")
    elif inner := re.fullmatch(r"dict\(str, (.*)\)", kind):
        for name, one in value.items():
            yield from unknown(one, inner[1], f"{place}.{name}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            yield f"{place}: {value!r}, wanted {kind}"
    elif found := getattr(kserve, kind, None) or getattr(client, kind, None):
        known = {field: found.openapi_types[name] for name, field in found.attribute_map.items()}
        for name, one in value.items():
            if name in known:
                yield from unknown(one, known[name], f"{place}.{name}")
            else:
                yield f"{place}.{name}: {kind} has no such field"
