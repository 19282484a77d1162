"""Laws of the way from original pixels to the model's grid and back."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import Geometry, PreprocessingSpec, normalise, prepare, upsample
from pacx.radiograph import Radiograph
from pacx.resampling import resize

SPEC = PreprocessingSpec()
sides = st.integers(min_value=33, max_value=700)


@given(rows=sides, columns=sides, data=st.data())
@settings(max_examples=40, deadline=None)
def test_prepare_stays_within_two_steps_of_the_8_bit_picture(
    rows: int, columns: int, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**16))
    eight_bit = np.random.default_rng(seed).integers(0, 256, (rows, columns), dtype=np.uint8)
    ours = prepare(Radiograph.from_array(eight_bit), SPEC).pixels
    theirs = Image.fromarray(eight_bit).resize((224, 224), Image.Resampling.BILINEAR)
    assert np.abs(ours - np.asarray(theirs) / np.float32(255)).max() <= 2 / 255


@given(rows=sides, columns=sides)
@settings(max_examples=40, deadline=None)
def test_prepare_keeps_the_unit_interval_and_the_geometry(rows: int, columns: int) -> None:
    pixels = np.zeros((rows, columns), dtype=np.float32)
    pixels[rows // 2 :] = 1.0
    prepared = prepare(Radiograph.from_array(pixels), SPEC)
    assert prepared.pixels.shape == (224, 224)
    assert prepared.pixels.dtype == np.float32
    assert prepared.pixels.min() >= 0
    assert prepared.pixels.max() <= 1
    assert prepared.geometry == Geometry(rows, columns, 224)


@given(
    rows=st.integers(1, 5000),
    columns=st.integers(1, 5000),
    point=st.tuples(st.floats(0, 224), st.floats(0, 224)),
)
def test_the_map_and_its_way_back_are_inverse(
    rows: int, columns: int, point: tuple[float, float]
) -> None:
    geometry = Geometry(rows, columns, 224)
    there = geometry.to_original(*point)
    assert np.allclose(geometry.to_model(*there), point, atol=1e-9)
    assert 0 <= there[0] <= rows * (1 + 1e-12)
    assert 0 <= there[1] <= columns * (1 + 1e-12)


@given(
    rows=st.integers(150, 900),
    columns=st.integers(150, 900),
    patch=st.tuples(st.integers(0, 13), st.integers(0, 13)),
)
@settings(max_examples=60, deadline=None)
def test_a_marked_square_comes_back_to_its_original_pixels(
    rows: int, columns: int, patch: tuple[int, int]
) -> None:
    """Forward: the square lands on its patch. Back: the map peaks on the square."""
    geometry = Geometry(rows, columns, 224)
    top, left = geometry.to_original(patch[0] * 16, patch[1] * 16)
    bottom, right = geometry.to_original(patch[0] * 16 + 16, patch[1] * 16 + 16)
    pixels = np.full((rows, columns), 0.1, dtype=np.float32)
    pixels[round(top) : round(bottom), round(left) : round(right)] = 1.0
    grid = prepare(Radiograph.from_array(pixels), SPEC).pixels
    grid = grid.reshape(14, 16, 14, 16).mean(axis=(1, 3))
    assert np.unravel_index(grid.argmax(), grid.shape) == patch

    heat = upsample(grid, geometry)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.shape == (rows, columns)
    assert abs(row + 0.5 - (top + bottom) / 2) <= rows / 28
    assert abs(column + 0.5 - (left + right) / 2) <= columns / 28


@given(
    grid=arrays(np.float32, (14, 14), elements=st.floats(-5, 5, width=32)),
    rows=st.integers(20, 400),
    columns=st.integers(20, 400),
)
@settings(max_examples=40, deadline=None)
def test_upsampling_agrees_with_pillow_and_never_overshoots(
    grid: NDArray[np.float32], rows: int, columns: int
) -> None:
    heat = upsample(grid, Geometry(rows, columns, 224))
    oracle = Image.fromarray(grid).resize((columns, rows), Image.Resampling.BILINEAR)
    assert np.allclose(heat, np.asarray(oracle), atol=1e-4)
    assert heat.min() >= grid.min() - 1e-4
    assert heat.max() <= grid.max() + 1e-4


@given(rows=sides, columns=sides, side=st.integers(16, 512), seed=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_resizing_is_pillows_to_the_rounding(rows: int, columns: int, side: int, seed: int) -> None:
    picture = np.random.default_rng(seed).random((rows, columns), dtype=np.float32)
    oracle = Image.fromarray(picture).resize((side, rows), Image.Resampling.BILINEAR)
    assert np.abs(resize(picture, rows, side) - np.asarray(oracle)).max() <= 5e-7
    stack = resize(np.stack([picture, 1 - picture]), side, columns)
    oracle = Image.fromarray(picture).resize((columns, side), Image.Resampling.BILINEAR)
    assert np.abs(stack[0] - np.asarray(oracle)).max() <= 5e-7
    assert np.abs(stack[0] + stack[1] - 1).max() <= 1e-6


@pytest.mark.parametrize("shape", [(32, 200_000), (200_001, 32)])
def test_an_absurdly_long_film_takes_little_memory_and_leaves_none_behind(
    shape: tuple[int, int],
) -> None:
    picture = np.zeros(shape, np.float32)
    tracemalloc.start()
    try:
        assert resize(picture, 224, 224).shape == (224, 224)
        held_bytes, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 2**20
    assert most_bytes < picture.nbytes


def test_normalise_repeats_the_grey_channel_with_imagenets_statistics() -> None:
    grey = np.linspace(0, 1, 2 * 224 * 224, dtype=np.float32).reshape(2, 224, 224)
    values = normalise(grey, SPEC)
    assert values.shape == (2, 3, 224, 224)
    assert values.dtype == np.float32
    for channel, (mean, std) in enumerate(zip(SPEC.mean, SPEC.std, strict=True)):
        assert np.allclose(values[:, channel] * std + mean, grey, atol=1e-6)
