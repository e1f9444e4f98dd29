"""The OpenAPI 3.1 document, put together from `operations.OPERATIONS` and the models of `schemas` (contract 10).

Nothing but the document's tests, `voicemaild openapi` and the first request for it imports this: the models take a
while to build, and most daemons are never asked.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service import __version__
from service.api.edge import API_PREFIX
from service.api.operation import FAILURES, Answer, Body, Dialect, Operation, Parameter
from service.api.operations import OPERATIONS, TAGS
from service.api.schemas import Misunderstood, Ping, Pong, Subscribe, Subscribed
from service.api.wire import JSON

Json = dict[str, Any]

FRAMES: tuple[type[BaseModel], ...] = (Subscribed, Pong, Misunderstood, Subscribe, Ping)
"""Models that no answer names: they come and go on the websocket alone."""

_ROOT: Json = {"url": "/", "description": "This service."}
_ALIAS: Json = {"url": API_PREFIX, "description": "The same; links in answers keep this prefix."}
_OTHER_ALIAS = "The same."


def rendered() -> bytes:
    """The document as it is printed and served."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def document() -> Json:
    """The document."""
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        item = paths.setdefault(operation.path, _servers(operation))
        item[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "voicemaild",
            "version": __version__,
            "summary": "The voicemail of an Asterisk PBX",
            "description": "Every voicemail and every unread badge, as requests and live on a websocket.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [_ROOT, _ALIAS],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": _failures(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `voicemaild token create`. Its scope, `read`, `write` or `admin`, "
                    "includes those before it.",
                },
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "The same token, for document 003 alone.",
                },
                "subprotocol": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Sec-WebSocket-Protocol",
                    "description": "For browsers: the two subprotocols `voicemaild.v1, bearer.<token>`.",
                },
                "link": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "signature",
                    "description": "A signed link, as `recorded_file_url` has it, instead of a token.",
                },
            },
        },
    }


def _servers(operation: Operation) -> Json:
    """Where else than under `/` and `/api/v1` a path is, or not under both."""
    if not operation.aliased:
        return {"servers": [_ROOT]}
    if operation.alias == API_PREFIX:
        return {}
    return {"servers": [_ROOT, {"url": operation.alias, "description": _OTHER_ALIAS}]}


def _failures() -> Json:
    """The failures that there are, in each dialect that has them."""
    used = {
        (operation.dialect.name, code): operation.dialect for operation in OPERATIONS for code in operation.failures
    }
    return {
        _failure(code, dialect): _answer(FAILURES[code].answer(code, dialect)) for (_, code), dialect in used.items()
    }


def _failure(code: int, dialect: Dialect) -> str:
    return f"{dialect.name}{FAILURES[code].name}"


def _schemas() -> Json:
    answers = (answer.model for operation in OPERATIONS for answer in operation.answers.values())
    bodies = (content for operation in OPERATIONS if operation.body for content in operation.body.content.values())
    named = {model for model in (*answers, *bodies) if isinstance(model, type)}
    models: set[type[BaseModel]] = named | {operation.dialect.model for operation in OPERATIONS} | {*FRAMES}
    _, definitions = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    schemas: Json = definitions["$defs"]
    return dict(sorted(schemas.items()))


def _operation(operation: Operation) -> Json:
    responses = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    for status in operation.failures:
        responses[str(status)] = {"$ref": f"#/components/responses/{_failure(status, operation.dialect)}"}
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "requestBody": "" if operation.body is None else _body(operation.body),
        "security": [{scheme: list(scopes)} for scheme, scopes in operation.security],
        "responses": dict(sorted(responses.items())),
    }
    return {key: value for key, value in described.items() if key == "security" or value not in ("", [])}


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required or parameter.place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _body(body: Body) -> Json:
    content: Json = {kind: {"schema": _schema(model)} for kind, model in body.content.items()}
    if body.example is not None:
        content[next(iter(content))]["example"] = body.example
    return {"description": body.description, "required": True, "content": content}


def _schema(model: type[BaseModel] | Mapping[str, Any]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"} if isinstance(model, type) else dict(model)


def _answer(answer: Answer) -> Json:
    described: Json = {"description": answer.description}
    if answer.headers:
        described["headers"] = _headers(answer.headers)
    content = _content(answer)
    if content:
        described["content"] = content
    return described


def _headers(headers: Mapping[str, str]) -> Json:
    return {name: {"description": description, "schema": {"type": "string"}} for name, description in headers.items()}


def _content(answer: Answer) -> Json:
    if answer.model is not None:
        return {JSON: {"schema": _schema(answer.model), "example": answer.example}}
    return {content_type: {} for content_type in answer.content_types}
