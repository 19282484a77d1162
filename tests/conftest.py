"""Fixtures that several floors share: real data where it is at hand, phantoms, a real server."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests.live_server import running
from tests.phantom_dicom import chest_pixels, dicom_bytes

if TYPE_CHECKING:
    from pacx.bundle import Bundle
    from pacx_training.runs import RunDirectory

REPOSITORY = Path(__file__).parents[1]
_kept_alive: list[object] = []

# How long an example takes says more about the machine than about what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


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


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    """The library timm, which scripts/test installs with ``--no-deps``.

    torchvision beside the CPU build of torch lacks its compiled operators and refuses to be
    imported unless two of them are declared; the library object must be kept alive.
    """
    from torch.library import Library

    library = Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for operator in ("nms", "qnms"):
        library.define(operator + signature)  # type: ignore[no-untyped-call]
    _kept_alive.append(library)
    return importlib.import_module("timm")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run folder with a tiny encoder and heads."""
    from tests.tiny_bundle import write_run

    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A verified bundle of the tiny run; tests that spoil it work on ``tiny_copy``."""
    from pacx_export.assembly import export_bundle

    directory = tmp_path_factory.mktemp("bundles") / "tiny"
    return export_bundle(tiny_run, directory, name="tiny", version="0.1.0")


@pytest.fixture(scope="session")
def integer_bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny bundle with its integer variants."""
    from pacx.engines.parity import LIMITS
    from pacx_export.int8 import export_int8
    from tests.tiny_bundle import INTEGER_LIMITS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LIMITS, "int8", INTEGER_LIMITS)
        return export_int8(tiny_bundle, tmp_path_factory.mktemp("int8") / "tiny")


@pytest.fixture
def tiny_copy(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the tiny bundle's folder that a test may spoil."""
    return Path(shutil.copytree(tiny_bundle.directory, tmp_path / "tiny"))
