"""Servers with small bundles: one that all tests share, and others with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.live_server import LiveServer, running
from tests.server.tiny_bundle import make_bundle

Launch = Callable[..., LiveServer]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose answers can be foreseen."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny").directory


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that takes its time, some ten milliseconds per image."""
    folder = tmp_path_factory.mktemp("bundles") / "busy"
    return make_bundle(folder, name="busy", work=100).directory


@pytest.fixture(scope="session")
def tiny_server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the tiny bundle in single precision, shared by tests that leave it as it is."""
    environment = {"PACX_BUNDLES": str(tiny), "PACX_PRECISION": "f32"}
    with running(tmp_path_factory.mktemp("tiny"), environment) as server:
        yield server


@pytest.fixture
def http(tiny_server: LiveServer) -> Iterator[httpx.Client]:
    """A plain client of the shared server."""
    with httpx.Client(base_url=tiny_server.url, timeout=60) as client:
        yield client


@pytest.fixture
def launch(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Starts servers with settings of their own; stops them when the test ends."""
    with ExitStack() as stack:

        def start(
            *, wait: bool = True, program: Sequence[str] = ("-m", "pacx"), **settings: object
        ) -> LiveServer:
            environment = {"PACX_BUNDLES": str(tiny), "PACX_PRECISION": "f32"} | {
                f"PACX_{name.upper()}": str(value) for name, value in settings.items()
            }
            folder = tmp_path_factory.mktemp("launched")
            return stack.enter_context(running(folder, environment, wait=wait, program=program))

        yield start
