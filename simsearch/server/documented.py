"""The page of what can be asked: drawn from the OpenAPI document, without a script and with nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from simsearch.page.templates import draw


def docs_page(schema: dict[str, Any]) -> bytes:
    """Return the page, HTML as UTF-8, of an OpenAPI document."""
    addresses = [
        {
            "method": method.upper(),
            "path": path,
            "summary": said["summary"],
            "words": " ".join(said.get("description", "").split()),
            "takes": _takes(said),
        }
        for path, methods in schema["paths"].items()
        for method, said in methods.items()
    ]
    return str(draw("server/docs.html", addresses=addresses)).encode()


def _takes(said: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    asked = [one for one in said.get("parameters", ()) if one["in"] == "query"]
    if asked:
        properties = {one["name"]: {**one["schema"], "description": one.get("description", "")} for one in asked}
        found.append({"kind": "after the ?", "fields": _fields(properties)})
    for kind, content in said.get("requestBody", {}).get("content", {}).items():
        found.append({"kind": kind, "fields": _fields(content["schema"].get("properties", {}))})
    return found


def _fields(properties: dict[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "kind": _kind(one), "words": one.get("description", "")} for name, one in properties.items()]


def _kind(schema: dict[str, Any]) -> str:
    """Return the kind of a field in a word or two, with its bounds."""
    one = next((part for part in schema.get("anyOf", ()) if part.get("type") != "null"), schema)
    word = "file" if one.get("format") == "binary" else str(one.get("type", "any"))
    least = one.get("minimum", one.get("exclusiveMinimum"))
    return word if least is None or "maximum" not in one else f"{word}, {least:g} to {one['maximum']:,}"
