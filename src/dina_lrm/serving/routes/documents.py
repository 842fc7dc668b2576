"""The documents of the routes: as OpenAPI, and as a page that runs no script and asks nobody else for anything."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from dina_lrm.reports.pages import template_environment
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.http.examples import VERSION_HEADER, with_examples

BYTES: Final = {"type": "string", "format": "binary"}
BLOB: Final = {"requestBody": {"content": {"application/octet-stream": {"schema": BYTES}}, "required": True}}
_SCHEMAS: Final = "#/components/schemas/"
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "For programs."},
                "message": {"type": "string", "description": "What was given, and what is accepted."},
            },
        }
    },
}


def json_body(kind: type[BaseModel], multipart: bool = False) -> dict[str, Any]:
    """A body of JSON of this kind, or one of several parts too."""
    schema = kind.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if multipart:
        parts = {"request": {"type": "string"}, "image": {"type": "array", "items": BYTES}}
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": parts, "required": ["request"]}}
    return {"requestBody": {"content": content, "required": True}}


def completed(document: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """FastAPI's document of the routes, with our errors in the place of its own, and with examples that run."""
    schemas = {"Error": _ERROR}
    error = {"description": "Why there is no score", "content": _json({"$ref": f"{_SCHEMAS}Error"})}
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        operation["responses"] = {
            **{status: told for status, told in operation["responses"].items() if status != "422"},
            "default": error,
        }
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schemas.update(content["schema"].pop("$defs", {}))
    document["components"] = {"schemas": schemas}
    return with_examples(document, engine)


def page(document: dict[str, Any], address: str, token: bool) -> str:
    """The documents as a page, for people; `address` is the server's, which `token` guards."""
    template = template_environment().get_template("routes.html.jinja")
    routes = [
        {
            "method": method.upper(),
            "path": path,
            "summary": told.get("summary", ""),
            "fields": [*_fields(told)],
            "examples": [*_examples(method, path, told, address, token)],
        }
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]
    return template.render(title=document["info"]["title"], version=document["info"]["version"], routes=routes)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _fields(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of a body of JSON, each with what is said of it."""
    schema = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for name, field in schema.get("properties", {}).items():
        needed = " (needed)" if name in schema.get("required", ()) else ""
        yield f"{name}{needed}", field.get("description", "")


def _examples(method: str, path: str, told: dict[str, Any], address: str, token: bool) -> Iterator[tuple[str, str]]:
    """What each example is called, and the command that asks it."""
    named = {each["name"]: each["example"] for each in told.get("parameters", []) if "example" in each}
    where = f"{address}{path.format(**named)}" if "{" not in path or named else ""
    guard = ' -H "authorization: Bearer $TOKEN"' if token else ""
    for kind, content in told.get("requestBody", {}).get("content", {}).items():
        for name, example in content.get("examples", {}).items():
            protocol = f" -H '{VERSION_HEADER}: {name[-1]}'" if name.startswith("protocol") else ""
            ask = f"curl -s -X {method.upper()} {shlex.quote(where)}{guard}{protocol} -H 'content-type: {kind}'"
            value = example["value"]
            if kind == "application/json":
                yield name, f"{ask} --data {shlex.quote(json.dumps(value))}"
            else:
                yield name, f"echo {value} | base64 -d | {ask} --data-binary @-"
    if method == "get" and where:
        yield "", f"curl -s {shlex.quote(where)}{guard}"
