"""The API document is complete, current, and kept: schemathesis finds no answer outside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pacx_server.app import create_app
from pacx_server.settings import Settings
from tests.live_server import LiveServer, running

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = 12
KEY = "k" * 43


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings())


def test_the_committed_document_is_current(app: FastAPI) -> None:
    """`python -m pacx_server.openapi > openapi.json` brings it up to date."""
    committed = json.loads((REPOSITORY / "openapi.json").read_text(encoding="utf-8"))
    assert committed == app.openapi()


def test_every_operation_declares_its_errors_as_problems(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    kinds = list(answer["content"])
                    assert kinds == ["application/problem+json"], (method, path, status)


@pytest.fixture(scope="module")
def locked(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that wants a key, so that the checks of authentication mean something."""
    key = {"name": "tester", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    settings = {
        "PACX_BUNDLES": str(tiny),
        "PACX_API_KEYS": json.dumps([key | {"scopes": ["predict", "admin"]}]),
    }
    with running(tmp_path_factory.mktemp("locked"), settings) as server:
        yield server


FRAMING = {"connection", "content-length", "transfer-encoding", "upgrade"}
"""Headers of the message's own form: wrong ones are the parser's to refuse, before any route."""


def operations() -> list[schemathesis.APIOperation[Any, Any, Any, Any]]:
    """All operations of the document."""
    document = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
    found = document.get_all_operations()
    return [operation.ok() for operation in found if isinstance(operation, Ok)]


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_answer_is_outside_the_document(
    locked: LiveServer,
    operation: schemathesis.APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
) -> None:
    """All checks: no 5xx, no status, type, header or body that is not declared, and more."""
    # No schema can say which bytes are a radiograph, so that one check has nothing to go by.
    excluded: list[CheckFunction] = [positive_data_acceptance] if operation.method == "post" else []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def explore(case: schemathesis.Case[Any]) -> None:
        for name in FRAMING & {str(name).lower() for name in case.headers}:
            del case.headers[name]
        case.call_and_validate(
            base_url=locked.url, headers={"x-api-key": KEY}, excluded_checks=excluded
        )

    with suppress(Unsatisfiable):  # some operations have nothing that could be wrong
        explore()
