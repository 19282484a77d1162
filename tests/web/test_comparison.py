"""Two films, or two models, side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.web.viewer import KEY, Viewer


@pytest.fixture
def second_film(tmp_path: Path) -> Path:
    """A film of another shape."""
    path = tmp_path / "second.dcm"
    path.write_bytes(dicom_bytes(chest_pixels(90, 100)))
    return path


def test_two_films_stand_side_by_side_and_are_looked_at_alike(
    viewer: Viewer, film: Path, second_film: Path
) -> None:
    viewer.open(film, second_film)
    boxes = [viewer.film_box(name) for name in "AB"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    rows = viewer.page.locator(".findings tbody tr")
    assert rows.count() == 2 * len(json.loads(viewer.ask_server("predict", film))["findings"])
    header = viewer.page.locator(".facts thead").first
    assert header.inner_text().split() == ["A", "B"]

    viewer.frame("A").press("+")
    assert viewer.state("A") == viewer.state("B") == "Width 255 · level 128 · zoom 1.3"
    viewer.page.get_by_label("Link views").uncheck()
    viewer.frame("A").press("+")
    assert viewer.state("A") != viewer.state("B")

    saved = viewer.save(film.with_suffix(".png"))
    assert saved.shape[1] == 420 + 8 + 100
    viewer.at("compare").click()
    expect(viewer.frame("B")).to_have_count(0)
    assert rows.count() == len(json.loads(viewer.ask_server("predict", film))["findings"])


def test_a_file_dropped_on_a_film_replaces_that_film(
    viewer: Viewer, film: Path, second_film: Path
) -> None:
    viewer.open(film, film)
    data = viewer.page.evaluate_handle(
        "(bytes) => { const data = new DataTransfer();"
        "data.items.add(new File([new Uint8Array(bytes)], 'dropped')); return data; }",
        list(second_film.read_bytes()),
    )
    viewer.frame("B").dispatch_event("drop", {"dataTransfer": data})
    viewer.settle()
    heads = viewer.page.locator(".plate.head")
    expect(heads.nth(1)).to_contain_text("100 x 90")
    expect(heads.nth(0)).to_contain_text("420 x 500")


def test_two_models_read_the_same_film(page: Page, locked_url: str, film: Path) -> None:
    viewer = Viewer(page, locked_url)
    viewer.unlock(KEY)
    viewer.open(film)
    viewer.at("compare").click()
    page.get_by_role("button", name="read by second").click()
    page.locator(".pane[data-name=B]").wait_for()
    viewer.settle()
    choices = page.locator(".plate select")
    expect(choices.nth(0)).to_have_value("first")
    expect(choices.nth(1)).to_have_value("second")
    np.testing.assert_array_equal(viewer.film_pixels("A"), viewer.film_pixels("B"))
    choices.nth(0).select_option("second")
    viewer.settle()
    expect(viewer.at("model")).to_have_text(re.compile(r"^second 1.0 · [0-9a-f]{8}$"))
