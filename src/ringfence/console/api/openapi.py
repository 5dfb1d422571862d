"""The description of the interface (OpenAPI 3.1), made from the resources and their models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from ringfence.console.api.models import Problem
from ringfence.store.records import Permission

REFERENCE = "#/components/schemas/{model}"

ERRORS = {
    400: "The request is not as it has to be.",
    401: "No token, or one that is not good.",
    403: "The role of the token's administrator may not do this.",
    404: "There is no such thing.",
    409: "It is there already, or the node says no.",
    413: "The body is too long.",
    429: "Too many wrong tokens: wait for as many seconds as Retry-After says.",
    503: "The node, the database or the ledger does not answer.",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One method of one path."""

    method: str
    path: str
    view: Callable[[Request], Awaitable[Response]]
    gives: type[BaseModel] | None = None
    takes: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200


def described(resources: Sequence[Resource]) -> dict[str, Any]:
    """The whole document."""
    models = {each for one in resources for each in (one.gives, one.takes) if each is not None} | {Problem}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "serialization") for model in ordered], ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for one in resources:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ringfence",
            "version": version("ringfence"),
            "description": "Make a token with: ringfence admin token add NAME",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas["$defs"],
        },
    }


def _operation(one: Resource) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if one.gives is not None:
        good["content"] = {"application/json": {"schema": _reference(one.gives)}}
    permission: Permission = one.view.permission  # type: ignore[attr-defined]
    operation: dict[str, Any] = {
        "operationId": one.view.__name__,
        "summary": (one.view.__doc__ or "").strip(),
        "description": f"Wants the permission {permission}.",
        "parameters": [*_in_path(one.path), *_in_query(one.query)],
        "responses": {str(one.status): good}
        | {str(status): _problem(text) for status, text in ERRORS.items()},
    }
    if one.takes is not None:
        content = {"application/json": {"schema": _reference(one.takes)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _problem(text: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _reference(Problem)}}
    return {"description": text, "content": content}


def _in_path(path: str) -> list[dict[str, Any]]:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _in_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = model.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
