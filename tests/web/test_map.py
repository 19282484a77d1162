"""The map over the film: its pixels, where they sit, and how strong they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pacx.preprocessing import Geometry, upsample
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.web.viewer import Viewer, decode


@pytest.fixture(params=[(500, 420), (333, 601)], ids=["portrait", "odd landscape"])
def shaped_film(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Films of several shapes."""
    path = tmp_path / "shaped.dcm"
    path.write_bytes(dicom_bytes(chest_pixels(*request.param)))
    return path


def test_the_map_grows_with_the_slider(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    changes = []
    viewer.set_opacity(0)
    bare = viewer.film_pixels()
    for percent in (25, 50, 100):
        viewer.set_opacity(percent)
        changes.append(float(np.abs(viewer.film_pixels() - bare).mean()))
    assert 0.5 < changes[0] < changes[1] < changes[2]
    assert changes[0] / changes[2] == pytest.approx(0.25, rel=0.1)


def test_the_film_alone_is_grey_and_comes_back(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    with_map = viewer.film_pixels()
    viewer.at("overlay").uncheck()
    bare = viewer.film_pixels()
    assert np.ptp(bare, axis=2).max() == 0
    assert np.ptp(with_map, axis=2).max() > 30
    viewer.at("overlay").check()
    np.testing.assert_array_equal(viewer.film_pixels(), with_map)


def test_the_map_sits_where_the_server_looked(viewer: Viewer, shaped_film: Path) -> None:
    viewer.open(shaped_film)
    viewer.set_opacity(100)
    blacken(viewer)
    seen = viewer.film_pixels().sum(axis=2)
    rows, columns = seen.shape
    grid = viewer.grid(shaped_film, "rollout")
    expected = upsample(grid, Geometry(rows=rows, columns=columns, size=224))
    assert rank_correlation(seen, expected) > 0.99
    row, column = np.unravel_index(int(expected.argmax()), expected.shape)
    assert seen[row, column] >= seen.max() - 12


def test_what_is_saved_is_what_the_server_draws(viewer: Viewer, shaped_film: Path) -> None:
    """Film, map and colours are the server's, pixel for pixel, whatever the shape."""
    viewer.open(shaped_film)
    viewer.set_opacity(60)
    saved = viewer.save(shaped_film.with_suffix(".png"))
    drawn = decode(
        viewer.ask_server("explanations?opacity=0.6&legend=false", shaped_film, "image/png")
    )
    rows, columns = drawn.shape[:2]
    assert saved.shape[1] == columns
    assert saved.shape[0] > rows, "a caption stands below the film"
    difference = np.abs(saved[:rows] - drawn)
    assert difference.max() <= 4
    assert difference.mean() < 1


def test_every_method_has_a_map_of_its_own(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    titles = viewer.at("method").locator("option").all_inner_texts()
    assert titles[:2] == ["Attention rollout", "Attention, last layer"]
    pictures = []
    for title in titles:
        viewer.at("method").select_option(label=title)
        viewer.settle()
        assert title in viewer.page.locator(".plate.foot").inner_text()
        assert title in viewer.announced()
        pictures.append(viewer.film_pixels())
    assert np.abs(pictures[0] - pictures[1]).max() > 10


def test_a_mouse_drag_moves_the_window(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    viewer.at("overlay").uncheck()
    before = viewer.film_pixels()
    drag(viewer, 60, 40)
    assert viewer.state().startswith("Width 285 · level 148")
    assert viewer.film_pixels().mean() < before.mean()
    viewer.at("reset").click()
    viewer.settle()
    np.testing.assert_array_equal(viewer.film_pixels(), before)


def test_the_wheel_zooms_at_the_mouse_and_a_drag_pans(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    before = viewer.film_box()
    x, y = before["x"] + before["width"] / 4, before["y"] + before["height"] / 4
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.wheel(0, -277)
    viewer.settle()
    assert "zoom 2.0" in viewer.state()
    zoomed = viewer.film_box()
    assert (x - zoomed["x"]) / zoomed["width"] == pytest.approx(0.25, abs=0.01)
    assert (y - zoomed["y"]) / zoomed["height"] == pytest.approx(0.25, abs=0.01)
    viewer.page.get_by_role("radio", name="Pan").check()
    drag(viewer, 30, 20)
    panned = viewer.film_box()
    assert (panned["x"] - zoomed["x"], panned["y"] - zoomed["y"]) == pytest.approx((30, 20))


def drag(viewer: Viewer, right: float, down: float) -> None:
    """Press in the middle of the film, move, release."""
    box = viewer.frame().bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x + right, y + down, steps=3)
    viewer.page.mouse.up()
    viewer.settle()


def blacken(viewer: Viewer) -> None:
    """Window so that the film turns black and the map alone is seen."""
    viewer.at("overlay").uncheck()
    for _ in range(3):
        drag(viewer, -300, 260)
    assert viewer.film_pixels().max() == 0
    viewer.at("overlay").check()
    viewer.settle()


def rank_correlation(seen: np.ndarray, expected: np.ndarray) -> float:
    """Spearman's correlation of every seventh pixel."""
    ranks = [values.ravel()[::7].argsort().argsort() for values in (seen, expected)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
