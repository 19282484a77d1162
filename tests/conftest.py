"""Fixtures that several floors share: real data where it is at hand, phantoms, a real server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.phantom_dicom import chest_pixels, dicom_bytes

REPOSITORY = Path(__file__).parents[1]
START_TIMEOUT_S = 120


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


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real server process with the bundled model, ready to answer."""
    port = _free_port()
    log = tmp_path_factory.mktemp("server") / "log"
    environment = os.environ | {"PACX_HOST": "127.0.0.1", "PACX_PORT": str(port)}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "pacx", "serve"], env=environment, stdout=sink, stderr=sink
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"the server did not become ready:\n{log.read_text()}")
