"""How the documents of the routes show bodies."""

from __future__ import annotations

from typing import Any, Final

BYTES: Final = {"type": "string", "format": "binary"}
BLOB: Final = {"requestBody": {"content": {"application/octet-stream": {"schema": BYTES}}}}


def json_body(kind: type[Any], multipart: bool = False) -> dict[str, Any]:
    """A body of JSON of this kind, or one of several parts too."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    if multipart:
        parts = {
            "request": {"type": "string"},
            "image": {"type": "array", "items": BYTES},
        }
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": parts}}
    return {"requestBody": {"content": content, "required": True}}
