"""Fixtures that several floors share: real data where it is at hand, phantoms, a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.live_server import running
from tests.phantom_dicom import chest_pixels, dicom_bytes

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real radiographs; tests that need it run only where it is at hand."""
    folder = Path(os.environ.get("PACX_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real radiographs are not at hand (set PACX_DATA)")
    return folder


@pytest.fixture(scope="session")
def phantom_dicom() -> bytes:
    """A chest phantom as a DICOM file of 500 x 420 pixels."""
    return dicom_bytes(chest_pixels())


class Serving(Protocol):
    """Starts a server process with settings of its own."""

    def __call__(self, **settings: str) -> AbstractContextManager[str]:
        """Serve while the context lasts; ``PACX_*`` settings in, the address out."""


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """For tests that need a real server process with other settings than ``server_url`` has."""

    @contextmanager
    def serve(**settings: str) -> Iterator[str]:
        with running(tmp_path_factory.mktemp("server"), settings) as server:
            yield server.url

    return serve


@pytest.fixture(scope="session")
def server_url(serving: Serving) -> Iterator[str]:
    """Address of a real server process with the bundled model, ready to answer."""
    with serving() as address:
        yield address
