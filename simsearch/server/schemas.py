"""What the OpenAPI document says of bodies that the routes read themselves, and of problems."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from simsearch.server.bodies import FORM, JSON
from simsearch.server.problems import MEDIA_TYPE

PROBLEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": ["string", "null"]},
    },
    "required": ["type", "title", "status", "detail"],
}
SAID = {
    400: "The request cannot be read.",
    401: "The token of the server is wanted.",
    403: "Another site's page asks.",
    404: "There is no such build, state or image.",
    408: "The request came too slowly.",
    410: "The build changed: search again.",
    413: "More bytes or pixels than are taken.",
    415: "Another Content-Type is expected.",
    421: "The server is not called so.",
    422: "A picture, key or value that cannot be used.",
    503: "The server is busy: Retry-After says when to come back.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {MEDIA_TYPE: {"schema": PROBLEM}}} for status, words in SAID.items()
}


def body_schema(form: type[BaseModel], document: type[BaseModel] | None, *files: str) -> dict[str, Any]:
    """Return what a route takes: a form with pictures in the fields `files`, and JSON where there is a `document`."""
    fields = _schema(form)
    pictures = {name: {"type": "string", "format": "binary", "description": "A picture."} for name in files}
    whole = {**fields, "properties": {**pictures, **fields.get("properties", {})}, "required": list(files)}
    content: dict[str, Any] = {FORM: {"schema": whole}}
    if document is not None:
        content[JSON] = {"schema": _schema(document)}
    return {"requestBody": {"required": True, "content": content}}


def json_schema(document: type[BaseModel]) -> dict[str, Any]:
    """Return what a route takes that takes JSON alone."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": _schema(document)}}}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a model, with nothing in it that leads elsewhere."""
    found = model.model_json_schema()
    parts = found.pop("$defs", {})

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return whole(parts[value["$ref"].rpartition("/")[2]])
        return {key: whole(one) for key, one in value.items()}

    return dict(whole(found))
