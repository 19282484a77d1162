"""What OpenAPI says about bodies and errors that are the same for several routes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pacx_server.problems import MEDIA_TYPE
from pacx_server.uploads import FORM_TYPE, RAW_TYPES

Responses = dict[int | str, dict[str, Any]]

_REASONS = {
    400: "The request or the file is malformed.",
    401: "No key or token, or not a valid one.",
    403: "The key or token lacks the scope.",
    404: "No such model.",
    405: "The address takes other methods.",
    406: "None of the media types that the caller accepts is offered.",
    408: "The body came too slowly.",
    409: "Not as things stand: a refused new version, or a report that is not there.",
    413: "Over a limit on bytes or pixels.",
    415: "Not a type, coding or transfer syntax that is read.",
    422: "Readable but not usable, or an invalid parameter.",
    429: "Over the caller's quota; retry-after says when to come back.",
    500: "A fault of the server.",
    501: "An optional part is not installed.",
    503: "Busy, starting or stopping; retry-after says when to come back.",
    504: "No answer before the deadline.",
    507: "The disk is full where evaluations are kept.",
}
BINARY_CONTENT: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
UPLOAD_STATUSES = (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 501, 503, 504)


def problems(*statuses: int) -> Responses:
    """Declare errors of a route."""
    return {
        status: {
            "description": _REASONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def links(**targets: tuple[str, str, dict[str, str]]) -> dict[str, Any]:
    """Say which operations an answer leads to (OpenAPI 3.1, section 4.8.20).

    Args:
        targets: Method, path and parameters of each, by the link's name; a parameter's value is a
            runtime expression.
    """
    return {
        "links": {
            name: {
                "operationRef": f"#/paths/{quote(path.replace('/', '~1'), safe=':')}/{method}",
                "parameters": parameters,
            }
            for name, (method, path, parameters) in targets.items()
        }
    }


def upload_body(*, many: bool) -> dict[str, Any]:
    """Declare the request body of a route that takes radiographs."""
    file = {"type": "string", "format": "binary", "description": "DICOM, PNG, JPEG or TIFF."}
    files = {"type": "array", "items": file, "minItems": 1} if many else file
    reference = {"type": "string", "maxLength": 256, "description": "Echoed in the answer."}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": files, "reference": reference},
    }
    content: dict[str, Any] = {FORM_TYPE: {"schema": form}}
    for kind in RAW_TYPES:
        content[kind] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": content}}
