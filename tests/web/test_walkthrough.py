"""A visit from the first page to the saved picture; what was seen is kept in ``artifacts/web``."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.conftest import REPOSITORY
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.web.viewer import Viewer, drag

SCREENSHOTS = REPOSITORY / "artifacts" / "web"


@pytest.fixture(params=["RG1_J2KR.dcm", "phantom"])
def visited(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A film of a hospital in JPEG 2000 where it is at hand, and a phantom anywhere."""
    if request.param != "phantom":
        data: Path = request.getfixturevalue("data_dir")
        return data / "dicom" / str(request.param)
    path = tmp_path / "phantom.dcm"
    path.write_bytes(dicom_bytes(chest_pixels(400, 360)))
    return path


def test_open_switch_methods_window_read_the_ratio_and_save(
    viewer: Viewer, visited: Path, tmp_path: Path
) -> None:
    viewer.open(visited)
    answer = json.loads(viewer.ask_server("predict", visited))
    ratio = answer["anatomy"]["cardiothoracic_ratio"]
    row = viewer.page.locator(".facts tr", has_text="Cardiothoracic ratio")
    expect(row).to_contain_text(f"{ratio:.2f}")
    expect(viewer.page.locator(".outlines .ratio")).to_be_visible()
    keep(viewer, visited, "opened")

    seen = []
    for method in ("rollout", "last_layer", "relevance", "region_ablation"):
        viewer.at("method").select_option(method)
        viewer.settle()
        seen.append(viewer.film_pixels())
        keep(viewer, visited, method)
    for one, other in pairwise(seen):
        assert np.abs(one - other).max() > 10, "every method has a picture of its own"

    drag(viewer, 60, 40)
    assert viewer.state().startswith("Width 285 · level 148")
    keep(viewer, visited, "windowed")
    saved = viewer.save(tmp_path / "saved.png")
    image = answer["image"]
    assert saved.shape[1] == image["columns"]
    assert saved.shape[0] > image["rows"]
    assert np.ptp(saved[: image["rows"]], axis=2).max() > 60, "map and outlines are in it"
    assert re.search("region", viewer.caption(), re.IGNORECASE)


def keep(viewer: Viewer, film: Path, name: str) -> None:
    """Keep what is seen; the films are phantoms or a published sample, no patient's."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    viewer.page.screenshot(path=SCREENSHOTS / f"{film.stem}-{name}.png")
