"""Holds what was answered against the OpenAPI document, more strictly than clients should: no field may be unknown."""

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from service.api.openapi import document
from tests.api.site import Answer

DOCUMENT = document()
Described = dict[str, Any]


def servers_of(item: Described) -> list[str]:
    """What the paths of an item, or of the whole document, begin with; "" is nothing."""
    servers = item.get("servers") or DOCUMENT["servers"]
    return [server["url"].rstrip("/") for server in servers]


def operations() -> list[tuple[str, str, Described]]:
    """Every operation: its method and path, and what is said of it."""
    return [
        (method.upper(), path, operation)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method != "servers"
    ]


def operation(method: str, path: str) -> Described:
    """What is said of this one."""
    found: Described = DOCUMENT["paths"][path][method.lower()]
    return found


def resolved(described: Described) -> Described:
    """What a reference stands for."""
    reference = described.get("$ref")
    if reference is None:
        return described
    found: Described = DOCUMENT["components"]["responses"][reference.rpartition("/")[2]]
    return found


def validator(schema: Described) -> Validator:
    """Checks values of a schema of the document, and lets no field pass that it does not name."""
    strict = {
        name: model | {"additionalProperties": False} if "properties" in model else model
        for name, model in DOCUMENT["components"]["schemas"].items()
    }
    whole = schema | {"components": {"schemas": strict}}
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def problems(name: str, value: Any) -> list[str]:
    """What is wrong with a value of the schema of this name."""
    return [error.message for error in validator({"$ref": f"#/components/schemas/{name}"}).iter_errors(value)]


def assert_described(method: str, path: str, answer: Answer) -> None:
    """Fail unless the document has this answer: its code, its headers, its content type, its content."""
    responses = operation(method, path)["responses"]
    assert str(answer.status) in responses, f"{method} {path}: {answer.status} is not described"
    described = resolved(responses[str(answer.status)])
    assert [name for name in described.get("headers", {}) if name not in answer.headers] == []
    content = described.get("content", {})
    if not content:
        assert answer.body == b""
        return
    content_type = answer.headers["Content-Type"].partition(";")[0]
    said = content.get(content_type, content.get(f"{content_type.partition('/')[0]}/*"))
    assert said is not None, f"{method} {path}: {content_type} is not described"
    if "schema" in said:
        assert [error.message for error in validator(said["schema"]).iter_errors(answer.json)] == []
