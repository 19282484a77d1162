"""Servers that evaluate, and labelled films for them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pacx_client import PacxClient
from tests.evaluation.conftest import DrawnFilms, make_films
from tests.live_server import LiveServer, running

SCOPES = {"anna": ["evaluate"], "bert": ["evaluate"], "root": ["admin"], "paul": ["predict"]}
Ask = Callable[[str], PacxClient]


def key_of(name: str) -> str:
    """The key of a caller."""
    return f"the-key-of-{name}-{'0' * 24}"


def settings_of(bundle: Path, folder: Path, **settings: object) -> dict[str, str]:
    """Settings of a server with four callers that keeps evaluations in a folder."""
    callers = [
        {
            "name": name,
            "scopes": scopes,
            "sha256": hashlib.sha256(key_of(name).encode()).hexdigest(),
        }
        for name, scopes in SCOPES.items()
    ]
    return {
        "PACX_BUNDLES": str(bundle),
        "PACX_PRECISION": "f32",
        "PACX_API_KEYS": json.dumps(callers),
        "PACX_EVALUATION_DIRECTORY": str(folder),
    } | {f"PACX_EVALUATION_{name.upper()}": str(value) for name, value in settings.items()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnFilms:
    """Films of 60 patients; seven have no label, and ``rare`` has one positive film."""
    films = make_films(tmp_path_factory.mktemp("drawn"))
    table = films.table.astype({"opacity": object})
    table.loc[:6, "opacity"] = "NaN"
    table["rare"] = 0
    table.loc[table.index[table["split"] == "test"][0], "rare"] = 1
    table.to_csv(films.manifest, index=False)
    os.utime(films.manifest, (0, 0))  # as files of reproducible images have it
    return DrawnFilms(folder=films.folder, table=table)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared server keeps evaluations; made by the server."""
    return tmp_path_factory.mktemp("store") / "evaluations"


@pytest.fixture(scope="module")
def evaluating(
    tiny: Path, store: Path, drawn: DrawnFilms, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """A server that evaluates for its callers, also what lies in the folder of drawn films."""
    # Other tests keep all processors busy, where an idle process would starve first.
    settings = settings_of(tiny, store, root=drawn.folder, workers=2, files=2000, urgency="low")
    with running(tmp_path_factory.mktemp("evaluating"), settings) as server:
        yield server


@pytest.fixture
def asks(evaluating: LiveServer) -> Iterator[Ask]:
    """Clients of the shared server, by the caller's name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(
            PacxClient(evaluating.url, api_key=key_of(name), retries=0)
        )
