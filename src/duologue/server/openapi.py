"""`GET /openapi.json`: exactly what is served, by this app with these engines under these options.

OpenAPI 3.2, because no version before it can say what a stream of events holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..engine import Engine
from ..protocol.combinations import RULES
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk
from ..types.chat.request import ChatRequest
from .exchange import Exchange
from .options import ServerOptions
from .routes import PATH_ID, Route, shown_path
from .schemas import Schema, definitions, ref, request_schema

if TYPE_CHECKING:
    from .app import App

__all__ = ["document", "send_document"]

_JSON = "application/json"

# When each status is answered. The words of the statuses themselves are HTTP's.
_ERRORS = {
    400: "The request is wrong; `param` says where.",
    401: "The key is missing or wrong.",
    403: "The Host is not one that this server answers to without a key.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The content type is not application/json.",
    500: "Something went wrong here; the log has more, under the request id.",
    501: "What was asked for needs a package that is not installed.",
    502: "The engine made what the protocol, or the request, does not allow.",
    503: "Too much is asked of this server at the moment; `retry-after` says when to ask again.",
    504: "The engine was silent for too long.",
}
_BODY_ERRORS = (400, 408, 415)

_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "additionalProperties": False,
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The path of the field that is wrong."},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

_HEADERS = {
    "x-request-id": {"required": True, "schema": {"type": "string"}},
    "openai-processing-ms": {"required": True, "schema": {"type": "integer", "minimum": 0}},
}
_PARAMETER_HEADERS = {
    "duologue-delegated-params": {
        "description": "Parameters that the engine was handed and may honour.",
        "schema": {"type": "string"},
    },
    "duologue-ignored-params": {
        "description": "Parameters that were dropped.",
        "schema": {"type": "string"},
    },
}

# What the `data` of one event is; comments that keep the connection alive are no events.
_EVENT: Schema = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string"}},
    "anyOf": [
        {
            "title": "A part of the answer",
            "properties": {"data": {"contentMediaType": _JSON, "contentSchema": ref(ChatCompletionChunk)}},
        },
        {
            "title": "What went wrong, after the answer had begun",
            "properties": {
                "data": {"contentMediaType": _JSON, "contentSchema": {"$ref": "#/components/schemas/Error"}}
            },
        },
        {"title": "The end of the stream", "properties": {"data": {"const": "[DONE]"}}},
    ],
}


# What ties one parameter to another is more than a schema can say.
_RULES = "\n".join(
    ("Beyond the schema:", "", *(f"- {rule.text.format(rule.parameter, '…')}" for rule in RULES))
)


async def send_document(app: App, exchange: Exchange, _: str) -> None:
    """`GET /openapi.json`."""
    root = exchange.scope.get("root_path", "").rstrip("/")
    await exchange.send_json(json.dumps(document(app, root)).encode())


def document(app: App, root: str = "") -> dict[str, Any]:
    """The OpenAPI document of `app`, which is mounted at the path `root`."""
    routes = [route for route in app.router.routes if not route.absent]
    held = [cls for route in routes for cls in (route.answer, route.body) if cls is not None]
    schemas = definitions((*dict.fromkeys(held), ChatCompletionChunk))
    requests = _requests(app, schemas[ChatRequest.__name__])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(shown_path(route.path), {})[route.method.lower()] = _operation(app, route)
    keyed = app.options.api_key is not None
    return {
        "openapi": "3.2.0",
        "info": {"title": "Duologue", "version": __version__, "description": _about(app)},
        "servers": [{"url": url} for url in _servers(root)],
        "security": [{"key": []}] if keyed else [],
        "paths": paths,
        "components": {
            "schemas": {**schemas, **requests, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}} if keyed else {},
        },
    }


def _servers(root: str) -> Sequence[str]:
    """Each path is there with `/v1` and without."""
    return (root, f"{root}/v1") if root.endswith("/v1") else (f"{root}/v1", root or "/")


def _about(app: App) -> str:
    profile = (
        "What cannot be honoured is dropped, and named in a header of the answer."
        if app.options.lenient
        else "What cannot be honoured is refused."
    )
    return f"Chat Completions of {', '.join(app.models)}. Profile {app.options.profile}: {profile}"


# --- operations ----------------------------------------------------------------------------------------


def _operation(app: App, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{''.join(_words(route.path))}",
        "summary": route.summary,
        "responses": {**_success(route), **_failures(route, app.options)},
    }
    if route.body is ChatRequest:
        operation["description"] = _RULES
    parameters = [_in_query(name, said) for name, said in route.query.items()]
    if argument := PATH_ID.search(route.path):
        name = argument[1]
        schema = {"enum": list(app.models)} if name == "model" else {"type": "string", "minLength": 1}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": ref(route.body)}}}
    if route.open and app.options.api_key is not None:
        operation["security"] = []
    return operation


def _in_query(name: str, said: str) -> dict[str, Any]:
    if name == "metadata":  # metadata[topic]=demo
        schema: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
        form: dict[str, Any] = {"style": "deepObject", "explode": True, "schema": schema}
    else:
        form = {"schema": {"type": "string"}}
    return {"name": name, "in": "query", "description": said, **form}


def _words(path: str) -> list[str]:
    return [word.capitalize() for word in re.findall(r"[a-z]+", shown_path(path))]


def _success(route: Route) -> dict[str, Any]:
    if route.answer is None:
        return {}
    content: dict[str, Any] = {_JSON: {"schema": ref(route.answer)}}
    headers: dict[str, Any] = dict(_HEADERS)
    if route.body is ChatRequest:
        content["text/event-stream"] = {"itemSchema": _EVENT}
        headers |= _PARAMETER_HEADERS
    return {"200": {"description": route.summary, "headers": headers, "content": content}}


def _failures(route: Route, options: ServerOptions) -> dict[str, Any]:
    statuses = {*route.errors, 500}
    if not route.open:
        statuses |= {413, 503} | _admission(options)
    if route.body is not None:
        statuses |= set(_BODY_ERRORS)
    said = {str(status): _ERRORS[status] for status in sorted(statuses)}
    if route.answer is ChatCompletion and route.body is ChatRequest:
        said |= {"4XX": "What the engine raised.", "5XX": "What the engine raised."}
    content = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        status: {"description": text, "headers": _HEADERS, "content": content}
        for status, text in said.items()
    }


def _admission(options: ServerOptions) -> set[int]:
    """What a request is refused with by its headers alone."""
    if options.api_key is not None:
        return {401}
    return set() if "*" in (options.allowed_hosts or ()) else {403}


# --- the request ---------------------------------------------------------------------------------------


def _requests(app: App, request: Schema) -> dict[str, Schema]:
    """The request's schema for each engine; with several, `ChatRequest` is one of theirs by the model."""
    groups: dict[int, tuple[Engine, list[str]]] = {}
    for name in app.models:
        engine = app.models.find(name).engine
        groups.setdefault(id(engine), (engine, []))[1].append(name)
    found = [request_schema(request, engine, names, app.options) for engine, names in groups.values()]
    # A lenient server gives an unknown model to its first engine.
    if len(found) == 1 or app.options.lenient:
        return {ChatRequest.__name__: found[0]}
    names = [f"{ChatRequest.__name__}{at}" for at in range(1, len(found) + 1)]
    places = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return {ChatRequest.__name__: {"oneOf": places}, **dict(zip(names, found, strict=True))}
