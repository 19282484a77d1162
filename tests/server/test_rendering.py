"""Overlays: the right pixels, the exact size, and a film that stays readable."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pacx.preprocessing import Geometry, PreprocessingSpec, prepare, upsample
from pacx.radiograph import Radiograph
from pacx_server.colours import diverging, scale_of, sequential
from pacx_server.legend import Legend, legend_strip
from pacx_server.outlines import COLOURS, Box, Outline
from pacx_server.png import encode_png
from pacx_server.rendering import Decoration, render_overlay, to_display

GRID = 14
SPEC = PreprocessingSpec()
sides = st.integers(48, 400)
cells = st.integers(0, GRID - 1)


def open_picture(png: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(png), formats=("PNG",)) as picture:
        return np.asarray(picture)


def film(rows: int, columns: int) -> NDArray[np.uint8]:
    """A grey ramp with every level, so that a mixture with any other level is noticed."""
    return np.resize(np.arange(256, dtype=np.uint8), (rows, columns))


def peak(row: int, column: int) -> NDArray[np.float32]:
    grid = np.zeros((GRID, GRID), dtype=np.float32)
    grid[row, column] = 1
    return grid


def overlay(
    display: NDArray[np.uint8], grid: NDArray[np.float32], opacity: float, legend: bool = False
) -> NDArray[np.uint8]:
    geometry = Geometry(display.shape[0], display.shape[1], SPEC.size)
    decoration = Decoration(legend=legend)
    png = render_overlay(display, grid, geometry, opacity=opacity, decoration=decoration)
    return open_picture(png)


def colourfulness(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    levels = picture.astype(np.int64)
    return np.asarray(levels.max(axis=2) - levels.min(axis=2))


@given(rows=sides, columns=sides, row=cells, column=cells)
@settings(deadline=None, max_examples=60)
def test_a_marked_square_is_coloured_where_it_lies(
    rows: int, columns: int, row: int, column: int
) -> None:
    """The way of a phantom's bright square through the model's grid and back to its pixels."""
    cell_rows, cell_columns = rows / GRID, columns / GRID
    centre_row, centre_column = (row + 0.5) * cell_rows, (column + 0.5) * cell_columns
    phantom = np.full((rows, columns), 0.1, dtype=np.float32)
    phantom[
        round(centre_row - cell_rows / 2) : round(centre_row + cell_rows / 2),
        round(centre_column - cell_columns / 2) : round(centre_column + cell_columns / 2),
    ] = 1
    seen = prepare(Radiograph.from_array(phantom), SPEC)
    patches = seen.pixels.reshape(GRID, 16, GRID, 16).mean(axis=(1, 3))
    flat = np.full((rows, columns), 40, dtype=np.uint8)
    picture = overlay(flat, patches, opacity=1)
    brightness = picture.astype(int).sum(axis=2)
    hottest = np.argwhere(brightness == brightness.max()).mean(axis=0) + 0.5
    assert abs(hottest[0] - centre_row) <= cell_rows / 2
    assert abs(hottest[1] - centre_column) <= cell_columns / 2
    assert colourfulness(picture).max() > 0


@given(rows=sides, columns=sides, legend=st.booleans(), opacity=st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_the_picture_has_exactly_the_size_of_the_film(
    rows: int, columns: int, legend: bool, opacity: float
) -> None:
    picture = overlay(film(rows, columns), peak(3, 4), opacity, legend)
    assert picture.shape[:2] == (rows, columns)


@given(rows=sides, columns=sides)
@settings(deadline=None, max_examples=20)
def test_no_opacity_gives_the_film_itself(rows: int, columns: int) -> None:
    display = film(rows, columns)
    assert np.array_equal(overlay(display, peak(0, 0), opacity=0), display)


def test_the_film_shows_through_where_the_map_is_low() -> None:
    display = film(280, 280)
    picture = overlay(display, peak(7, 7), opacity=1)
    assert np.array_equal(picture[:100], np.repeat(display[:100, :, np.newaxis], 3, axis=2))
    assert colourfulness(picture)[140:160, 140:160].min() > 0


@pytest.mark.parametrize("value", [0.0, 1 / 196, -3.0])
def test_a_constant_map_colours_nothing(value: float) -> None:
    display = film(100, 90)
    grid = np.full((GRID, GRID), value, dtype=np.float32)
    picture = overlay(display, grid, opacity=1)
    assert np.array_equal(picture, np.repeat(display[..., np.newaxis], 3, axis=2))
    assert overlay(display, grid, opacity=1, legend=True).shape == (100, 90, 3)


@pytest.mark.parametrize("side", [224, 120])
def test_a_small_film_still_says_what_it_is_and_what_it_is_not_for(side: int) -> None:
    display = np.full((side, side), 255, np.uint8)
    decoration = Decoration(
        title="a-model-with-a-long-name 1.0.0 · integrated_gradients · High NT-proBNP (simulated)",
        notes=["Hottest outside heart and lungs", "Cardiothoracic ratio 0.55 (view unknown)"],
    )
    geometry = Geometry(side, side, SPEC.size)
    grid = np.zeros((GRID, GRID), dtype=np.float32)
    picture = open_picture(render_overlay(display, grid, geometry, decoration=decoration))
    written = (picture != 255).any(axis=(1, 2))
    assert written.any()
    assert not written[: side // 2].any()


def test_the_legend_stays_in_its_corner() -> None:
    display = film(900, 1100)
    grid = np.linspace(0, 1, GRID * GRID, dtype=np.float32).reshape(GRID, GRID)
    geometry = Geometry(900, 1100, SPEC.size)
    title = "a model 1.0.0 · rollout"
    plain, drawn = (
        open_picture(render_overlay(display, grid, geometry, decoration=decoration))
        for decoration in (Decoration(legend=False), Decoration(title=title, notes=["Ratio 0.5"]))
    )
    changed = np.argwhere((plain != drawn).any(axis=2))
    assert len(changed) > 1000
    assert changed[:, 0].min() > 900 * 3 / 4
    assert changed[:, 1].max() < 1100 * 3 / 4


def test_the_legend_gives_way_on_a_film_that_it_would_hide() -> None:
    display = film(48, 48)
    title = "a model with a long name 1.0.0 · rollout"
    geometry = Geometry(48, 48, SPEC.size)
    with_legend, without = (
        open_picture(render_overlay(display, peak(1, 1), geometry, decoration=decoration))
        for decoration in (Decoration(title=title), Decoration(title=title, legend=False))
    )
    assert np.array_equal(with_legend, without)


def test_the_file_says_what_it_is_even_without_a_legend() -> None:
    decoration = Decoration(legend=False, title="m 1 · rollout")
    png = render_overlay(film(60, 60), peak(1, 1), Geometry(60, 60, 224), decoration=decoration)
    with Image.open(BytesIO(png), formats=("PNG",)) as picture:
        assert picture.info["Title"] == "m 1 · rollout"
        assert picture.info["Disclaimer"] == "Not for clinical use"


def test_the_same_input_gives_the_same_bytes() -> None:
    grid = np.random.default_rng(5).random((GRID, GRID), dtype=np.float32)
    arguments = (film(301, 203), grid, Geometry(301, 203, 224))
    assert render_overlay(*arguments) == render_overlay(*arguments)


@given(
    opacity=st.floats(0, 1),
    heat=st.integers(0, 255),
    grey=st.integers(0, 255),
    signed=st.booleans(),
)
def test_every_mixture_lies_between_film_and_colour(
    opacity: float, heat: int, grey: int, signed: bool
) -> None:
    scale = scale_of(signed=signed)
    table = scale.blend_table(opacity).view(np.uint8).reshape(256, 256, 4)
    mixed = table[heat, grey, :3].astype(int)
    expected = grey + opacity * scale.strengths[heat] * (scale.colours[heat].astype(int) - grey)
    assert np.abs(mixed - expected).max() <= 0.5 + 1e-3


def test_the_colour_map_rises_evenly_in_lightness() -> None:
    """Lightness must never fall: order is then seen without seeing colours."""
    linear = (sequential().colours / 255.0) ** 2.2
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(np.cbrt(luminance)) > -1e-3).all()


def test_the_scale_of_signed_maps_is_symmetrical_and_empty_at_zero() -> None:
    strengths = diverging().strengths
    assert strengths[127] == strengths[128] == 0
    assert strengths[0] == strengths[255] == 1
    np.testing.assert_allclose(strengths, strengths[::-1])
    assert (np.diff(strengths[128:]) > 0).all()


@pytest.mark.parametrize("reach", [0.02, 40.0])
def test_a_signed_map_is_blue_against_and_orange_for_with_one_measure(reach: float) -> None:
    """Weak evidence for stays weak beside strong evidence against, whatever the minimum."""
    grid = np.zeros((3, 3), np.float32)
    grid[:, 0], grid[:, 2] = -reach, reach / 4
    geometry = Geometry(90, 90, 224)
    plain = Decoration(legend=False)
    display = np.full((90, 90), 100, np.uint8)
    picture = open_picture(
        render_overlay(display, grid, geometry, signed=True, opacity=1, decoration=plain)
    ).astype(int)
    against, neither, favoured = picture[45, 2], picture[45, 45], picture[45, 88]
    assert against.tolist() == diverging().colours[0].tolist()
    assert neither.tolist() == [100, 100, 100]
    assert favoured[0] - favoured[2] == pytest.approx((255 - 77) / 4, abs=3)


def test_a_signed_map_of_zeros_colours_nothing() -> None:
    display, grid = film(100, 90), np.zeros((GRID, GRID), np.float32)
    plain = Decoration(legend=False)
    png = render_overlay(display, grid, Geometry(100, 90, 224), signed=True, decoration=plain)
    picture = open_picture(png)
    assert np.array_equal(picture, np.repeat(display[..., np.newaxis], 3, axis=2))


def test_outlines_lie_on_the_pixels_of_the_film_also_where_it_is_cropped() -> None:
    display, flat = np.full((400, 300), 40, np.uint8), np.zeros((GRID, GRID), np.float32)
    points = [(100.0, 150.0), (200.0, 150.0), (200.0, 300.0), (100.0, 300.0)]
    heart = Outline(name="heart", points=points, closed=True)
    geometry = Geometry(400, 300, 224)
    whole, part = (
        open_picture(
            render_overlay(
                display,
                flat,
                geometry,
                decoration=Decoration(outlines=[heart], legend=False, box=box),
            )
        )
        for box in (None, (60, 120, 260, 330))
    )
    drawn = np.argwhere((whole == COLOURS["heart"]).all(axis=2))
    for row, column in points:
        assert np.abs(drawn - (column, row)).max(axis=1).min() <= 2
    inner = (whole[155:295, 105:195] == 40).all()
    assert inner
    assert np.array_equal(part, whole[120:330, 60:260])


@pytest.mark.parametrize("box", [None, (101, 203, 1303, 1307)])
def test_a_picture_of_many_bands_is_the_one_that_is_drawn_as_a_whole(box: Box | None) -> None:
    display, grid = film(1500, 1400), np.random.default_rng(0).random((GRID, GRID), np.float32)
    geometry = Geometry(1500, 1400, 224)
    turn = np.linspace(0, 6.2, 80)
    points = [(700 + 400 * np.cos(angle), 800 + 600 * np.sin(angle)) for angle in turn]
    outlines = [
        Outline(name="heart", points=points, closed=True),
        Outline(name="ratio", points=[(200.5, 900.1), (1250.2, 900.1)], closed=False),
    ]
    decoration = Decoration(outlines=outlines, title="a model", box=box)
    drawn = open_picture(render_overlay(display, grid, geometry, decoration=decoration))

    low, high = grid.min(), grid.max()
    levels = upsample((grid - low) * (255 / (high - low)) + np.float32(0.5), geometry)
    table = sequential().blend_table(0.5).view(np.uint8).reshape(256, 256, 4)
    whole = Image.fromarray(table[levels.astype(np.uint8), display, :3])
    draw = ImageDraw.Draw(whole)
    for outline in outlines:
        line = outline.points + outline.points[:1] * outline.closed
        draw.line(line, COLOURS[outline.name], round(1400 / 400), joint="curve")
    expected = np.asarray(whole.crop(box) if box else whole).copy()
    legend = Legend(scale=sequential(), low=float(low), high=float(high), title="a model")
    strip = legend_strip((expected.shape[1], expected.shape[0]), legend)
    assert strip is not None
    expected[-strip.shape[0] :, : strip.shape[1]] = strip
    assert (expected != drawn).mean() < 1e-5  # rounding at the edge of a level


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), colour=st.booleans(), data=st.data())
@settings(deadline=None)
def test_a_png_holds_the_pixels_it_was_given(
    rows: int, columns: int, colour: bool, data: st.DataObject
) -> None:
    shape = (rows, columns, 3) if colour else (rows, columns)
    seed = data.draw(st.integers(0, 1000))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(open_picture(encode_png(pixels)), pixels)


@pytest.mark.parametrize("rows", [255, 256, 257, 2500])
def test_a_large_film_is_compressed_in_pieces_and_always_to_the_same_file(rows: int) -> None:
    """2,048 bytes a line (one more for the filter): less than a piece, just one, several."""
    pixels = np.random.default_rng(rows).integers(0, 256, (rows, 2047), dtype=np.uint8)
    pixels[rows // 3 : rows // 2] = 7
    files = {encode_png(pixels) for _ in range(3)}
    assert len(files) == 1
    assert np.array_equal(open_picture(files.pop()), pixels)


@given(rows=st.integers(32, 500), columns=st.integers(32, 500), grid_side=st.integers(1, 37))
@settings(deadline=None, max_examples=40)
def test_upsampling_is_pillows_bilinear_interpolation(
    rows: int, columns: int, grid_side: int
) -> None:
    grid = np.random.default_rng(rows).random((grid_side, grid_side), dtype=np.float32)
    expected = Image.fromarray(grid).resize((columns, rows), Image.Resampling.BILINEAR)
    spread = upsample(grid, Geometry(rows, columns, 224))
    assert np.abs(spread - np.asarray(expected)).max() <= 1e-5


@pytest.mark.parametrize(("value", "grey"), [(0.0, 0), (0.5, 128), (1.0, 255)])
def test_display_levels_are_rounded(value: float, grey: int) -> None:
    assert to_display(np.full((2, 2), value, dtype=np.float32)).tolist() == [[grey, grey]] * 2
