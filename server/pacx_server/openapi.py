"""The OpenAPI document: what FastAPI derives, and what it cannot see in raw bodies."""

from __future__ import annotations

import json
import sys
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from pacx_server.evaluations.schemas import ServerPath
from pacx_server.protocol_schemas import PredictionRequest
from pacx_server.schemas import (
    Problem,
)
from pacx_server.tensors import InferRequest

_REFERENCE = "#/components/schemas/{model}"
_SCHEMES = {
    "APIKeyHeader": {
        "type": "apiKey",
        "description": "A key of the server's.",
        "in": "header",
        "name": "x-api-key",
    },
    "HTTPBearer": {
        "type": "http",
        "description": "A key, or a token of the OIDC provider.",
        "scheme": "bearer",
    },
}
_UNUSED = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Let the application serve the complete document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """Make the document; every body that the server reads by itself is declared in it."""
    document: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    bodies = (InferRequest, PredictionRequest, ServerPath, Problem)
    models = [(model, "validation") for model in bodies]
    _, definitions = models_json_schema(models, ref_template=_REFERENCE)  # type: ignore[arg-type]
    schemas = document["components"]["schemas"]
    for name, schema in definitions["$defs"].items():
        schemas.setdefault(name, schema)
    for name in _UNUSED:
        schemas.pop(name, None)
    _secure(document)
    return document


def _secure(document: dict[str, Any]) -> None:
    """Say how a caller may say who it is, wherever that may be asked.

    FastAPI would say so for dependencies of its own, which look at every request once more.
    """
    document["components"]["securitySchemes"] = _SCHEMES
    for operations in document["paths"].values():
        for operation in operations.values():
            if str(HTTPStatus.UNAUTHORIZED.value) in operation["responses"]:
                operation["security"] = [{name: []} for name in _SCHEMES]


def main() -> None:
    """Print the document as ``openapi.json`` keeps it."""
    from pacx_server.app import create_app
    from pacx_server.settings import Settings

    json.dump(create_app(Settings()).openapi(), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
