"""The API's OpenAPI 3.1 document, and a page of it for people; both from the table of calls."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.kit.version import released_version
from service.web.api.problem_details import DOCS, MEDIA_TYPE, ProblemKind
from service.web.api.route_table import BASE, CALLS, ApiCall
from service.web.api.schemas import ProblemDetails
from service.web.state import AppState
from service.web.templating import render

_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = (
    ProblemKind.INVALID_REQUEST,
    ProblemKind.TOKEN_MISSING,
    ProblemKind.METHOD_NOT_ALLOWED,
    ProblemKind.UNEXPECTED,
    ProblemKind.TOO_SLOW,
)
_OF_BODIES = (ProblemKind.TOO_LARGE, ProblemKind.UNSUPPORTED_MEDIA_TYPE)
Schema = dict[str, Any]
# What else `dispatch` answers with 404.
_ID: Schema = {"type": "string", "pattern": "^[ -~]{1,64}$"}


@cache
def document() -> Schema:
    """Return the OpenAPI document."""
    _, components = _components()
    queries = {call.query.__name__ for call in CALLS}
    schemas = {name: schema for name, schema in components.items() if name not in queries}
    paths: dict[str, Schema] = {}
    for call in CALLS:
        paths.setdefault(BASE + call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "infactor-quickbooks",
            "version": released_version(),
            "description": "Suppliers' QuickBooks invoices, for Infactor's own server."
            " Unknown fields may be added to answers at any time: ignore them.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "HS256 by INFACTOR_SHARED_SECRET: iss infactor, aud"
                    " infactor-quickbooks, purpose api, exp within an hour.",
                }
            },
        },
    }


@cache
def _components() -> tuple[dict[type, Schema], Schema]:
    """Return ({type: its schema}, every named schema)."""
    types: list[type] = [ProblemDetails]
    for call in CALLS:
        types += [call.answer, call.query, *([call.body] if call.body else [])]
    types = list(dict.fromkeys(types))
    found, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    return dict(zip(types, found, strict=True)), components


def _operation(call: ApiCall) -> Schema:
    of, _ = _components()
    operation: Schema = {
        "operationId": call.id,
        "summary": call.summary,
        "parameters": _parameters(call),
        "responses": {
            str(call.status): {
                "description": "The answer.",
                "content": {"application/json": {"schema": of[call.answer]}},
            },
            **{str(status): _problem(status) for status in _statuses(call)},
        },
    }
    if call.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": of[call.body]}},
        }
    return operation


def _parameters(call: ApiCall) -> list[Schema]:
    _, components = _components()
    found: list[Schema] = []
    if "{id}" in call.path:
        found.append({"name": "id", "in": "path", "required": True, "schema": _ID})
    for name, schema in components[call.query.__name__]["properties"].items():
        bare = {key: value for key, value in schema.items() if key != "description"}
        about = schema.get("description", "")
        found.append({"name": name, "in": "query", "description": about, "schema": bare})
    return found


def _statuses(call: ApiCall) -> Sequence[int]:
    kinds = [*_ALWAYS, *(_OF_BODIES if call.body else ()), *call.problems]
    if "{id}" in call.path:
        kinds.append(ProblemKind.NOT_FOUND)
    return sorted({kind.status for kind in kinds})


def _problem(status: int) -> Schema:
    of, _ = _components()
    titles = [kind.title for kind in ProblemKind if kind.status == status]
    return {
        "description": ". Or: ".join(titles) + ".",
        "content": {MEDIA_TYPE: {"schema": of[ProblemDetails]}},
    }


async def _document(request: Request[AppState]) -> Response:
    return Response(msgspec.json.encode(document()), media_type="application/json")


async def _docs(request: Request[AppState]) -> Response:
    described = document()
    schemas = described["components"]["schemas"]
    return render(
        request,
        "api/docs.html",
        {
            "calls": [
                (call, BASE + call.path, described["paths"][BASE + call.path][call.method.lower()])
                for call in CALLS
            ],
            "schemas": sorted(schemas.items()),
            "type_of": _type_of,
            "problems": list(ProblemKind),
            "json": f"{BASE}/openapi.json",
        },
    )


def _type_of(schema: Schema) -> str:
    """Return a schema's type in a word: `string`, `list of FieldEntry`, `integer or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type_of(schema['items'])}"
    if schema.get("format"):
        return f"{schema['type']} ({schema['format']})"
    return str(schema.get("type", "any"))


routes = [
    Route(f"{BASE}/openapi.json", _document),
    Route(DOCS, _docs),
]
