"""Contours enclose exactly what they outline."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pacx.contours import Polygon, contours
from pacx.masks import Mask
from pacx.preprocessing import Geometry
from pacx_training.cohorts.phantom import phantom_radiograph

SQUARE = Geometry(rows=112, columns=112, size=112)


def contour(mask: Mask, geometry: Geometry) -> Polygon:
    (polygon,) = contours(mask[np.newaxis], geometry)
    return polygon


def filled(polygon: np.ndarray, rows: int, columns: int) -> Mask:
    picture = Image.new("1", (columns * 4, rows * 4))
    points = [(column * 4 - 0.5, row * 4 - 0.5) for row, column in polygon.tolist()]
    ImageDraw.Draw(picture).polygon(points, fill=1)
    return np.asarray(picture)[2::4, 2::4]


@pytest.mark.parametrize("seed", range(4))
def test_filling_the_contour_gives_the_mask_back(seed: int) -> None:
    film = phantom_radiograph(seed, 112)
    for mask in (film.heart, film.left_lung):
        again = filled(contour(mask, SQUARE), 112, 112)
        assert (again ^ mask).sum() <= 0.02 * mask.sum()


def test_a_contour_lies_on_the_original_pixels() -> None:
    mask = np.zeros((112, 112), np.bool_)
    mask[28:56, 14:98] = True
    polygon = contour(mask, Geometry(rows=448, columns=224, size=112))
    assert polygon.min(axis=0) == pytest.approx([112, 28], abs=2)
    assert polygon.max(axis=0) == pytest.approx([224, 196], abs=2)


def test_straight_borders_need_few_points() -> None:
    mask = np.zeros((112, 112), np.bool_)
    mask[28:56, 14:98] = True
    assert len(contour(mask, SQUARE)) == 8


def test_an_empty_mask_has_no_contour() -> None:
    assert contour(np.zeros((8, 8), np.bool_), SQUARE).shape == (0, 2)


def test_a_hole_does_not_win() -> None:
    mask = np.ones((20, 20), np.bool_)
    mask[5:9, 5:9] = False
    polygon = contour(mask, Geometry(rows=20, columns=20, size=20))
    assert polygon.min() == 0
    assert polygon.max() == 20


def test_masks_of_one_stack_are_traced_as_if_they_were_alone() -> None:
    film = phantom_radiograph(5, 112)
    full = np.ones((112, 112), np.bool_)
    masks = np.stack([film.heart, np.zeros_like(full), full, film.left_lung])
    for polygon, mask in zip(contours(masks, SQUARE), masks, strict=True):
        np.testing.assert_array_equal(polygon, contour(mask, SQUARE))
