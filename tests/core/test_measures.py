"""The cardiothoracic ratio, areas and focus obey the laws of geometry."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pacx.masks import Mask, cleaned, thorax
from pacx.measures import areas_mm2, cardiothoracic, peaks_in, silhouette_focus
from pacx.preprocessing import Geometry
from pacx_training.cohorts.phantom import phantom_of
from pacx_training.cohorts.thorax import Thorax

SIZE = 112
SQUARE = Geometry(rows=SIZE, columns=SIZE, size=SIZE)
shifts = st.tuples(st.integers(-10, 10), st.integers(-10, 10))
maps = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).random((14, 14)).astype(np.float32)
)


@lru_cache
def chest(ratio: float = 0.5) -> Mask:
    film = phantom_of(Thorax(cardiothoracic_ratio=ratio), seed=1, size=SIZE)
    masks = np.stack([film.heart, film.right_lung, film.left_lung])
    masks.flags.writeable = False
    return masks


def ratio_of(masks: Mask, geometry: Geometry = SQUARE) -> float:
    measured = cardiothoracic(cleaned(masks), geometry)
    assert measured is not None
    return measured.ratio


@pytest.mark.parametrize("ratio", [0.38, 0.45, 0.5, 0.6, 0.7])
def test_the_ratio_of_a_phantom_is_the_one_it_was_drawn_with(ratio: float) -> None:
    assert ratio_of(chest(ratio)) == pytest.approx(ratio, abs=2 / SIZE)


@given(shift=shifts)
def test_moving_the_chest_moves_the_lines_and_keeps_the_ratio(shift: tuple[int, int]) -> None:
    still = cardiothoracic(chest(), SQUARE)
    moved = cardiothoracic(np.roll(chest(), shift, axis=(1, 2)), SQUARE)
    assert still is not None
    assert moved is not None
    assert moved.ratio == still.ratio
    for before, after in ((still.heart, moved.heart), (still.chest, moved.chest)):
        assert after.row - before.row == pytest.approx(shift[0])
        assert after.start - before.start == pytest.approx(shift[1])


def test_a_mirrored_chest_has_the_same_ratio() -> None:
    masks = chest()
    mirrored = masks[[0, 2, 1], :, ::-1]
    assert ratio_of(mirrored) == ratio_of(masks)


@given(rows=st.integers(100, 4000), columns=st.integers(100, 4000))
def test_lines_lie_on_the_original_picture_and_the_ratio_knows_no_scale(
    rows: int, columns: int
) -> None:
    stretched = cardiothoracic(chest(), Geometry(rows=rows, columns=columns, size=SIZE))
    square = cardiothoracic(chest(), SQUARE)
    assert stretched is not None
    assert square is not None
    assert stretched.ratio == pytest.approx(square.ratio)
    assert stretched.chest.start == pytest.approx(square.chest.start * columns / SIZE)
    assert stretched.heart.row == pytest.approx(square.heart.row * rows / SIZE)


@given(seed=st.integers(0, 2**32 - 1), pixels=st.integers(1, 60))
def test_single_pixels_change_nothing(seed: int, pixels: int) -> None:
    clean = chest()
    masks, random = clean.copy(), np.random.default_rng(seed)
    # A lattice with gaps of three, so that every added pixel stands alone.
    lattice = 4 * random.integers(0, SIZE // 4, (pixels, 2))
    for row, column in lattice:
        channel = random.integers(3)
        if not clean[channel, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any():
            masks[channel, row, column] = True
    assert ratio_of(masks) == ratio_of(clean)


def test_a_spur_of_one_pixel_does_not_widen_the_heart() -> None:
    masks = chest().copy()
    row = int(np.flatnonzero(masks[0].any(axis=1)).mean())
    end = int(np.flatnonzero(masks[0][row])[-1])
    masks[0, row, end : end + 9] = True
    assert ratio_of(masks) == ratio_of(chest())


@pytest.mark.parametrize("structure", [0, 1, 2])
def test_without_a_structure_there_is_no_ratio(structure: int) -> None:
    masks = chest().copy()
    masks[structure] = False
    assert cardiothoracic(masks, SQUARE) is None


@given(scale=st.integers(1, 8), spacing=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)))
def test_an_area_is_the_share_of_the_pictures_own_area(
    scale: int, spacing: tuple[float, float]
) -> None:
    masks, geometry = chest(), Geometry(rows=100 * scale, columns=80 * scale, size=SIZE)
    picture = 100 * scale * spacing[0] * 80 * scale * spacing[1]
    for area, mask in zip(areas_mm2(masks, geometry, spacing), masks, strict=True):
        assert area == pytest.approx(mask.mean() * picture)


@given(value=st.floats(2**-20, 2**20, width=32), ratio=st.sampled_from([0.4, 0.6]))
def test_a_uniform_map_has_the_focus_of_chance_exactly(value: float, ratio: float) -> None:
    focus = silhouette_focus(np.full((14, 14), value, np.float32), chest(ratio))
    assert (focus.heart, focus.lungs, focus.outside) == (1.0, 1.0, 1.0)


@given(grid=maps, factor=st.floats(0.01, 100))
def test_focus_knows_no_units_and_ignores_evidence_against(
    grid: NDArray[np.float32], factor: float
) -> None:
    focus = silhouette_focus(grid, chest())
    scaled = silhouette_focus((grid * factor).astype(np.float32), chest())
    signed = silhouette_focus(np.where(grid > 0.5, grid, -grid), chest())
    halved = silhouette_focus(np.where(grid > 0.5, grid, 0), chest())
    assert scaled.heart == pytest.approx(focus.heart, rel=1e-4)
    assert signed == halved


@given(grid=maps)
def test_the_mass_of_all_regions_is_the_whole_map(grid: NDArray[np.float32]) -> None:
    masks = chest()
    between = thorax(masks) & ~masks.any(axis=0)
    regions = np.stack([between, masks[1] | masks[2], np.zeros_like(between)])
    focus, middle = silhouette_focus(grid, masks), silhouette_focus(grid, regions)
    areas = (masks[0], masks[1] | masks[2], ~thorax(masks), between)
    values = (focus.heart, focus.lungs, focus.outside, middle.heart)
    total = sum(value * area.mean() for value, area in zip(values, areas, strict=True) if value)
    assert total == pytest.approx(1)


def test_a_map_inside_the_heart_has_all_its_mass_there() -> None:
    masks = chest()
    share = masks[0].reshape(14, 8, 14, 8).mean(axis=(1, 3))
    focus = silhouette_focus((share == 1).astype(np.float32), masks)
    assert focus.heart == pytest.approx(1 / masks[0].mean())
    assert (focus.lungs, focus.outside) == (0, 0)


def test_an_empty_map_has_no_focus() -> None:
    focus = silhouette_focus(np.zeros((14, 14), np.float32), chest())
    assert (focus.heart, focus.lungs, focus.outside) == (None, None, None)


@given(row=st.integers(0, 13), column=st.integers(0, 13))
def test_a_peak_lies_in_what_its_cell_touches(row: int, column: int) -> None:
    grid = np.zeros((14, 14), np.float32)
    grid[row, column] = 1
    region = np.zeros((SIZE, SIZE), np.bool_)
    region[row * 8 + 7, column * 8] = True
    assert peaks_in(grid, region)
    assert not peaks_in(grid, np.roll(region, 1, axis=0))
