"""The map over the film: its pixels, where they sit, and how strong they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from pacx.preprocessing import Geometry, upsample
from pacx_server.colours import sequential
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.web.viewer import Viewer, decode, drag


@pytest.fixture(params=[(500, 420), (333, 601)], ids=["portrait", "odd landscape"])
def shaped_film(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Films of several shapes."""
    path = tmp_path / "shaped.dcm"
    path.write_bytes(dicom_bytes(chest_pixels(*request.param)))
    return path


def test_the_map_grows_with_the_slider(viewer: Viewer, film: Path) -> None:
    viewer.open_plain(film)
    pictures = {}
    for percent in (0, 25, 50, 100):
        viewer.set_opacity(percent)
        pictures[percent] = viewer.film_pixels()
    changes = {percent: np.abs(picture - pictures[0]) for percent, picture in pictures.items()}
    hot = changes[100] > 60
    assert hot.any()
    for percent in (25, 50):
        assert changes[percent][hot].sum() / changes[100][hot].sum() == pytest.approx(
            percent / 100, abs=0.02
        )


def test_the_film_alone_is_grey_and_comes_back(viewer: Viewer, film: Path) -> None:
    viewer.open_plain(film)
    with_map = viewer.film_pixels()
    viewer.at("overlay").uncheck()
    bare = viewer.film_pixels()
    assert np.ptp(bare, axis=2).max() == 0
    assert np.ptp(with_map, axis=2).max() > 30
    viewer.at("overlay").check()
    np.testing.assert_array_equal(viewer.film_pixels(), with_map)


def test_the_map_sits_where_the_server_looked(viewer: Viewer, shaped_film: Path) -> None:
    viewer.open_plain(shaped_film)
    viewer.set_opacity(100)
    blacken(viewer)
    seen = viewer.film_pixels()
    rows, columns = seen.shape[:2]
    grid = viewer.grid(shaped_film, "rollout")
    expected = upsample(grid - grid.min(), Geometry(rows=rows, columns=columns, size=224))
    levels = np.rint(expected * (255 / np.ptp(grid))).astype(int)
    coloured = sequential().colours[levels] * (levels[..., np.newaxis] / 255)
    assert np.abs(seen - coloured).mean() < 1
    assert np.abs(seen - coloured).max() < 40, "no edge is moved by more than a pixel or two"
    hottest = np.unravel_index(int(seen.sum(axis=2).argmax()), expected.shape)
    peak = np.unravel_index(int(expected.argmax()), expected.shape)
    assert np.hypot(*np.subtract(hottest, peak)) < rows / 14 / 2, "within half a patch"


def test_what_is_saved_is_what_the_server_draws(viewer: Viewer, shaped_film: Path) -> None:
    """Film, map and colours are the server's, pixel for pixel, whatever the shape."""
    viewer.open_plain(shaped_film)
    viewer.set_opacity(60)
    saved = viewer.save(shaped_film.with_suffix(".png"))
    drawn = decode(
        viewer.ask_server(
            "explanations?opacity=0.6&legend=false&outlines=", shaped_film, "image/png"
        )
    )
    rows, columns = drawn.shape[:2]
    assert saved.shape[1] == columns
    assert saved.shape[0] > rows, "a caption stands below the film"
    difference = np.abs(saved[:rows] - drawn)
    assert difference.max() <= 4
    assert difference.mean() < 1


def test_every_kind_of_attention_has_a_map_of_its_own(viewer: Viewer, film: Path) -> None:
    viewer.open_plain(film)
    pictures = []
    for title in ("Attention rollout", "Attention, last layer"):
        viewer.at("method").select_option(label=title)
        viewer.settle()
        assert title in viewer.caption()
        assert title in viewer.announced()
        pictures.append(viewer.film_pixels())
    assert np.abs(pictures[0] - pictures[1]).max() > 10


def test_a_map_explains_one_finding_or_one_against_another(viewer: Viewer, film: Path) -> None:
    viewer.open_plain(film)
    expect(viewer.at("target")).to_be_hidden()
    viewer.at("method").select_option("relevance")
    viewer.settle()
    labels = viewer.at("target").locator("option").all_inner_texts()
    assert f"Relevance · {labels[0]}" in viewer.caption()
    pictures = [viewer.film_pixels()]
    viewer.at("target").select_option(label=labels[1])
    viewer.settle()
    assert f"Relevance · {labels[1]}" in viewer.caption()
    pictures.append(viewer.film_pixels())
    viewer.at("versus").select_option(label=labels[0])
    viewer.settle()
    assert f"Relevance · {labels[1]} against {labels[0]}" in viewer.caption()
    pictures.append(viewer.film_pixels())
    assert np.abs(pictures[0] - pictures[1]).max() > 10
    assert np.abs(pictures[1] - pictures[2]).max() > 10


def test_a_signed_map_is_blue_against_and_orange_for(viewer: Viewer, film: Path) -> None:
    viewer.open_plain(film)
    answer = json.loads(viewer.ask_server("explanations", film))
    answer |= {"method": "relevance", "signed": True, "grid": [[-1.0, -1.0, 0.0, 0.5, 0.5]] * 5}
    viewer.page.route("**/explanations?*relevance*", lambda route: route.fulfill(json=answer))
    viewer.at("method").select_option("relevance")
    viewer.set_opacity(100)
    blacken(viewer)
    line = viewer.film_pixels()[300]
    against, neither, in_favour = line[10], line[len(line) // 2], line[-10]
    assert against[2] > 200 > against[0], "blue at full strength"
    assert in_favour[0] == pytest.approx(127, abs=4), "orange at half strength"
    assert in_favour[0] > in_favour[2]
    assert neither.max() < 4


def test_a_jpeg_2000_film_of_a_hospital(viewer: Viewer, data_dir: Path) -> None:
    viewer.open_plain(data_dir / "dicom" / "RG1_J2KR.dcm")
    assert "CR · PA · 1841 x 1955" in viewer.page.locator(".plate.head").inner_text()
    warnings = viewer.page.get_by_role("list", name="Warnings")
    assert "spacing" in warnings.inner_text().lower()


def test_a_mouse_drag_moves_the_window(viewer: Viewer, film: Path) -> None:
    viewer.open_plain(film)
    viewer.at("overlay").uncheck()
    before = viewer.film_pixels()
    drag(viewer, 60, 40)
    assert viewer.state().startswith("Width 285 · level 148")
    assert viewer.film_pixels().mean() < before.mean()
    viewer.at("reset").click()
    viewer.settle()
    np.testing.assert_array_equal(viewer.film_pixels(), before)


def test_the_wheel_zooms_at_the_mouse_and_a_drag_pans(viewer: Viewer, film: Path) -> None:
    viewer.open_plain(film)
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


def blacken(viewer: Viewer) -> None:
    """Window so that the film turns black and the map alone is seen."""
    viewer.at("overlay").uncheck()
    for _ in range(3):
        drag(viewer, -300, 260)
    assert viewer.film_pixels().max() == 0
    viewer.at("overlay").check()
    viewer.settle()
