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
from service.api.operation import FAILURES, Answer, Operation, Parameter
from service.api.operations import OPERATIONS, TAGS
from service.api.schemas import Failure, Misunderstood, Ping, Pong, Subscribe, Subscribed
from service.api.wire import JSON

Json = dict[str, Any]

FRAMES: tuple[type[BaseModel], ...] = (Subscribed, Pong, Misunderstood, Subscribe, Ping)
"""Models that no answer names: they come and go on the websocket alone."""

_ROOT: Json = {"url": "/", "description": "This service."}
_ALIAS: Json = {"url": API_PREFIX, "description": "The same; links in answers keep this prefix."}


def rendered() -> bytes:
    """The document as it is printed and served."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def document() -> Json:
    """The document."""
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        item = paths.setdefault(operation.path, {} if operation.aliased else {"servers": [_ROOT]})
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
            "responses": {
                name: _answer(Answer(description, Failure, failure, headers=headers))
                for name, description, failure, headers in FAILURES.values()
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `voicemaild token create`. Its scope, `read`, `write` or `admin`, "
                    "includes those before it.",
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


def _schemas() -> Json:
    named = (answer.model for operation in OPERATIONS for answer in operation.answers.values())
    models: set[type[BaseModel]] = {model for model in named if model is not None} | {Failure, *FRAMES}
    _, definitions = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    schemas: Json = definitions["$defs"]
    return dict(sorted(schemas.items()))


def _operation(operation: Operation) -> Json:
    responses = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    for status in operation.failures:
        responses[str(status)] = {"$ref": f"#/components/responses/{FAILURES[status].name}"}
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "security": [{scheme: list(scopes)} for scheme, scopes in operation.security],
        "responses": dict(sorted(responses.items())),
    }
    return {key: value for key, value in described.items() if key == "security" or value not in ("", [])}


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


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
        schema = {"$ref": f"#/components/schemas/{answer.model.__name__}"}
        return {JSON: {"schema": schema, "example": answer.example}}
    return {content_type: {} for content_type in answer.content_types}
