"""/openapi.json: what the routes take and answer, from the same records that validate the requests."""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from aftertone import __version__
from aftertone.server.requests import LARGEST_ID, PredictRequest, SetupRequest, WebhookRequest
from aftertone.server.steering import COMMANDS

JSON = "application/json"
BODY_STATUSES = {
    "400": "The body isn't JSON of this form.",
    "401": "A password is asked for.",
    "413": "The body is too large.",
    "503": "Too many requests at once.",
}
METRICS = {"description": "In its text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "detail": {"type": "string", "description": "A sentence."}},
    "required": ["error", "detail"],
}


@cache
def describe(*, asks_password: bool) -> dict[str, Any]:
    """The document.

    Args:
        asks_password: whether BASIC_AUTH_USER is set.
    """
    requests = dict.fromkeys((SetupRequest, PredictRequest, WebhookRequest, *(kind for kind, _ in COMMANDS.values())))
    _, definitions = models_json_schema(
        [(kind, "validation") for kind in requests], ref_template="#/components/schemas/{model}"
    )
    up = _reply("Up.", {"status": {"type": "string"}, "model_class": {"type": "string"}})
    version = {"type": "string", "minLength": 1}
    versions = _reply("Versions answered.", {"versions": {"type": "array", "items": version}})
    prediction = _object({"result": {"type": "array"}, "score": {"type": "number"}, "model_version": version})
    connected = _reply("Connected, or asked Label Studio whether it is.", {"model_version": version})
    predicted = _reply("One for each task.", {"results": {"type": "array", "items": prediction}})
    odd_config = {"422": "The label config asks nothing that Aftertone learns."}
    odd_project = {"403": "Label Studio doesn't know the project.", "429": "Too many projects ask to connect."}
    refused = _errors({"401": BODY_STATUSES["401"]})
    guarded: dict[str, Any] = {"security": [{"basic": []}]} if asks_password else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aftertone", "version": __version__, "description": "A Label Studio ML backend."},
        "paths": {
            "/": {"get": {"summary": "Whether it answers.", "responses": {"200": up}}},
            "/health": {"get": {"summary": "Whether it answers.", "responses": {"200": up}}},
            "/setup": {"post": _takes(SetupRequest, connected, odd_config | odd_project) | guarded},
            "/predict": {"post": _takes(PredictRequest, predicted, odd_config) | guarded},
            "/webhook": {"post": _takes(WebhookRequest, _reply("Heard.", {}), {})},
            "/versions": {
                "get": {"summary": "The version of each project.", "responses": {"200": versions} | refused} | guarded
            },
            "/status": {"get": _status() | guarded},
            "/metrics": {"get": {"summary": "For Prometheus.", "responses": {"200": METRICS} | refused} | guarded},
            **{f"/projects/{{project}}/{name}": _steers(name, kind, guarded) for name, (kind, _) in COMMANDS.items()},
        },
        "components": {
            "schemas": {**definitions["$defs"], "Error": ERROR},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
    }


def _status() -> dict[str, Any]:
    summary = (
        "How every project stands; docs/schemas/status.json is the schema. / and /projects/{project} show browsers it."
    )
    codes = {"401": BODY_STATUSES["401"], "403": "Without a password, only this machine may ask."}
    reply = _reply("The status document.", {"projects": {"type": "array"}, "at": {"type": "number"}})
    return {"summary": summary, "responses": {"200": reply} | _errors(codes)}


def _steers(name: str, kind: type[BaseModel], guarded: dict[str, Any]) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
    project = {"name": "project", "in": "path", "required": True, "schema": number}
    said = _reply("Recorded; what follows, as a sentence.", {"detail": {"type": "string"}})
    odd = {
        "400": "It can't be done, or the body isn't JSON of this form and declared so; `detail` says why.",
        "403": "A page in a browser asks, or, where no password is set, somebody on another machine.",
        "404": "Nothing is kept of the project.",
    }
    summary = f"As `aftertone {name}`. For programs: the body must be declared as application/json."
    return {"parameters": [project], "post": _takes(kind, said, odd) | {"summary": summary} | guarded}


def _takes(kind: type[BaseModel], reply: dict[str, Any], errors: dict[str, str]) -> dict[str, Any]:
    body = {"required": True, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}}
    summary = (kind.__doc__ or "").strip()
    return {"summary": summary, "requestBody": body, "responses": {"200": reply} | _errors(BODY_STATUSES | errors)}


def _reply(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": _object(properties)}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _errors(statuses: dict[str, str]) -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": text, "content": content} for status, text in statuses.items()}
