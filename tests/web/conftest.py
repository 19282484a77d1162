"""A real browser on a real server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import Serving
from tests.server.tiny_bundle import make_bundle
from tests.web.viewer import KEY, Viewer
from tests.web.wiretap import Wiretap

WIDTH, HEIGHT = 1280, 800
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, with a profile of its own; CI must have it.

    Playwright keeps an event loop running in its thread, so it must end before other modules'
    tests start loops of their own.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "chromium is not installed (apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # A sandbox needs privileges that containers and CI machines do not give.
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab whose page must run without an uncaught error or a breach of the CSP."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    # Someone must listen from the start, or a chooser that opens at once is missed.
    tab.on("filechooser", lambda _: None)
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda line: faults.append(line.text) if "Policy" in line.text else None)
    yield tab
    context.close()
    assert faults == []


@pytest.fixture
def viewer(page: Page, server_url: str) -> Viewer:
    """The viewer, loaded and empty."""
    return Viewer(page, server_url)


@pytest.fixture
def wiretap(server_url: str) -> Iterator[Wiretap]:
    """The server, with someone listening on the wire."""
    with Wiretap(server_url) as tap:
        yield tap


@pytest.fixture(scope="session")
def locked_url(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that wants ``KEY`` and serves two models that differ in nothing but their names."""
    folders = [tmp_path_factory.mktemp("bundles") / name for name in ("first", "second")]
    for folder in folders:
        make_bundle(folder, name=folder.name)
    caller = {"name": "test", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    settings = {
        "PACX_BUNDLES": ",".join(map(str, folders)),
        "PACX_API_KEYS": json.dumps([caller]),
    }
    with serving(**settings) as address:
        yield address


@pytest.fixture
def film(tmp_path: Path, phantom_dicom: bytes) -> Path:
    """A DICOM file whose name must stay with its user."""
    path = tmp_path / "DOE^JANE_19540312.dcm"
    path.write_bytes(phantom_dicom)
    return path
