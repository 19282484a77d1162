"""The API document is complete, current, and kept: schemathesis finds no answer outside it.

It asks every operation alone, and in stories that follow the document's links.
"""

from __future__ import annotations

import base64
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
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from pacx_server.app import create_app
from pacx_server.settings import Settings
from pacx_server.uploads import RAW_TYPES
from tests.live_server import LiveServer, running

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = 12
STORIES, STEPS = 12, 8
PATIENCE_S = 120
"""Archives are unpacked with the lowest priority, which gets little of a busy machine."""
JSON = "application/json"
FORM = "multipart/form-data"
KEY = "k" * 43
REPLACED: list[CheckFunction] = [positive_data_acceptance, negative_data_rejection]
"""Checks that take a body for what was drawn, and not for what a test has put in its place."""
MANIFEST = "manifest.csv"


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
    """A server that wants a key, so that the checks of authentication mean something.

    It queues evaluations of one manifest and leaves them to others.
    """
    folder = tmp_path_factory.mktemp("locked")
    (folder / MANIFEST).write_text("path,opacity\n", encoding="utf-8")
    key = {"name": "tester", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    settings = {
        "PACX_BUNDLES": str(tiny),
        "PACX_API_KEYS": json.dumps([key | {"scopes": ["predict", "evaluate", "admin"]}]),
        "PACX_EVALUATION_DIRECTORY": str(folder / "evaluations"),
        "PACX_EVALUATION_ROOT": str(folder),
        "PACX_EVALUATION_WORKERS": "0",
        "PACX_EVALUATION_QUEUE": "1000",
        "PACX_EVALUATION_QUEUE_PER_CALLER": "1000",
    }
    with running(folder, settings) as server:
        yield server


FRAMING = {"connection", "content-length", "transfer-encoding", "upgrade"}
"""Headers of the message's own form: wrong ones are the parser's to refuse, before any route."""


def remove_framing(case: schemathesis.Case[Any]) -> None:
    """Leave the message's form to the library that sends it."""
    for name in FRAMING & {str(name).lower() for name in case.headers}:
        del case.headers[name]


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
        remove_framing(case)
        # What lies in a form is text, also where a number was drawn because it is none.
        in_form = [negative_data_rejection] if case.media_type == FORM else []
        case.call_and_validate(
            base_url=locked.url,
            headers={"x-api-key": KEY},
            timeout=PATIENCE_S,
            excluded_checks=[*excluded, *in_form],
        )

    with suppress(Unsatisfiable):  # some operations have nothing that could be wrong
        explore()


def usable(case: schemathesis.Case[Any], film: bytes) -> Any:  # noqa: ANN401 - any JSON, or bytes
    """What no schema can say: a radiograph, and where a manifest lies."""
    encoded = base64.b64encode(film).decode()
    messages: dict[str, object] = {
        "/evaluations": {"path": MANIFEST},
        ":predict": {"instances": [{"b64": encoded}]},
        "/infer": {
            "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [encoded]}]
        },
    }
    if case.media_type == JSON:
        return next(body for path, body in messages.items() if case.path.endswith(path))
    return film if case.media_type in RAW_TYPES else case.body


@pytest.mark.parametrize(
    ("paths", "reached"),
    [
        (
            # The events of an evaluation that nobody runs have no end.
            r"^/evaluations(?!.*/events$)",
            {
                ("POST /evaluations", 202),
                ("GET /evaluations/{name}", 200),
                ("POST /evaluations/{name}/cancel", 200),
                ("DELETE /evaluations/{name}", 204),
                ("GET /evaluations/{name}", 404),
            },
        ),
        (
            r"^/(models|predict|v1|v2/models)",
            {
                ("GET /models/{name}", 200),
                ("POST /models/{name}/reload", 200),
                ("POST /predict", 200),
                ("POST /v1/models/{name}:predict", 200),
                ("GET /v2/models/{name}/versions/{version}/ready", 200),
            },
        ),
    ],
)
def test_no_story_is_outside_the_document(
    locked: LiveServer, phantom_dicom: bytes, paths: str, reached: set[tuple[str, int]]
) -> None:
    """Stateful: what an answer leads to is there, is what it was said to be, and goes for good."""
    document = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
    told: set[tuple[str, int]] = set()
    faults: list[Exception] = []

    class Stories(document.include(path_regex=paths).as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: schemathesis.Case[Any]) -> None:
            remove_framing(case)
            meant_well = case.meta and case.meta.generation.mode is GenerationMode.POSITIVE
            if case.media_type and meant_well:
                case.body = usable(case, phantom_dicom)

        def get_call_kwargs(self, _: schemathesis.Case[Any]) -> dict[str, Any]:
            return {"base_url": locked.url, "headers": {"x-api-key": KEY}, "timeout": PATIENCE_S}

        def validate_response(
            self, response: schemathesis.Response, case: schemathesis.Case[Any], **kwargs: object
        ) -> None:
            told.add((case.operation.label, response.status_code))
            try:
                case.validate_response(response, excluded_checks=REPLACED, transport_kwargs=kwargs)
            except Exception as wrong:
                faults.append(wrong)
                raise

    # What answers hold, such as an id, moves later draws, so that one run may miss a rare link.
    for derandomize in (True, False, False, False):
        if not reached <= told:
            explore = settings(
                max_examples=STORIES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=derandomize,
                database=None,  # no story can be told again word by word
                suppress_health_check=list(HealthCheck),
            )
            with suppress(FlakyStrategyDefinition):  # nor can a server's answers be drawn again
                Stories.run(settings=explore)
    assert not faults
    assert reached <= told
