"""Files that mean the same picture give the same picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pacx.reading import read
from tests.core.reading.standard import Display, Integers
from tests.dicom_files import dicom_file

FUNCTIONS = st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])
BITS = st.integers(6, 16)
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=60, deadline=None)


def noise(seed: int, bits: int) -> Integers:
    """Stored values ``[33, 34]`` of any size."""
    drawn: Integers = np.random.default_rng(seed).integers(0, 1 << bits, (33, 34), dtype=np.uint16)
    return drawn


def shown(pixels: Integers, **elements: Any) -> NDArray[np.float32]:  # noqa: ANN401
    return read(dicom_file(pixels, **elements)).pixels


@given(
    seed=SEEDS, bits=BITS, function=FUNCTIONS, center=st.floats(0.1, 0.9), width=st.floats(0.05, 2)
)
@few
def test_monochrome1_is_the_negative_of_its_twin(
    seed: int, bits: int, function: str, center: float, width: float
) -> None:
    """Complemented values, a window that is mirrored with them, and an inversion: no change."""
    pixels, top = noise(seed, bits), (1 << bits) - 1
    c, w = round(center * top), max(2, round(width * top))
    mirrored = top - c + (1 if function == "LINEAR" else 0)
    window = {"WindowWidth": w, "VOILUTFunction": function, "bits_stored": bits}
    one = shown(pixels, WindowCenter=c, **window)
    twin = shown(
        (top - pixels).astype(np.uint16),
        WindowCenter=mirrored,
        PhotometricInterpretation="MONOCHROME1",
        **window,
    )
    assert np.abs(one - twin).max() <= 2e-6


@given(seed=SEEDS, slope=st.integers(1, 8), intercept=st.integers(0, 2000), function=FUNCTIONS)
@few
def test_a_rescale_may_be_folded_into_the_pixels(
    seed: int, slope: int, intercept: int, function: str
) -> None:
    pixels = noise(seed, 12)
    window = {"WindowCenter": 3000, "WindowWidth": 5000, "VOILUTFunction": function}
    rescaled = shown(pixels, RescaleSlope=slope, RescaleIntercept=intercept, **window)
    folded = shown((pixels * slope + intercept).astype(np.uint16), **window)
    assert np.abs(rescaled - folded).max() <= 2e-6


@given(seed=SEEDS, bits=st.integers(6, 15), data=st.data())
@few
def test_where_the_bits_lie_does_not_matter(seed: int, bits: int, data: st.DataObject) -> None:
    high = data.draw(st.integers(bits - 1, 15))
    pixels = noise(seed, bits)
    assert np.array_equal(
        shown(pixels, bits_stored=bits), shown(pixels, bits_stored=bits, high_bit=high)
    )


@given(seed=SEEDS, slope=st.floats(0.01, 50), intercept=st.floats(-5000, 5000))
@few
def test_a_window_is_in_output_units(seed: int, slope: float, intercept: float) -> None:
    """A window over stored values, moved through the rescale line, shows the same."""
    slope, intercept = round(slope, 4), round(intercept, 4)
    pixels = noise(seed, 12)
    stored = shown(
        pixels, bits_stored=12, WindowCenter=2000, WindowWidth=1500, VOILUTFunction="LINEAR_EXACT"
    )
    output = shown(
        pixels,
        bits_stored=12,
        RescaleSlope=f"{slope:g}",
        RescaleIntercept=f"{intercept:g}",
        WindowCenter=f"{2000 * slope + intercept:.10g}",
        WindowWidth=f"{1500 * slope:.10g}",
        VOILUTFunction="LINEAR_EXACT",
    )
    assert np.abs(stored - output).max() <= 1e-3


@given(seed=SEEDS, bits=st.integers(9, 16), stretch=st.integers(1, 3), offset=st.integers(0, 500))
@few
def test_without_a_window_brightness_and_contrast_of_the_detector_do_not_matter(
    seed: int, bits: int, stretch: int, offset: int
) -> None:
    pixels = noise(seed, 12)
    bare = {"WindowCenter": None, "WindowWidth": None}
    plain = shown(pixels, **bare)
    other = shown((pixels * stretch + offset).astype(np.uint16), **bare)
    assert np.abs(plain - other).max() <= 1e-5


@given(
    seed=SEEDS,
    bits=BITS,
    signed=st.booleans(),
    slope=st.floats(-20, 20).filter(lambda slope: abs(slope) > 1e-3),
    intercept=st.floats(-1e4, 1e4),
    center=st.floats(-2e4, 2e4),
    width=st.floats(1, 5e4),
    function=FUNCTIONS,
    inverted=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_display_follows_the_standard(
    seed: int, bits: int, signed: bool, inverted: bool, function: str, **numbers: float
) -> None:
    unsigned = noise(seed, bits)
    pixels = (unsigned.astype(np.int32) - (1 << bits - 1)).astype(np.int16) if signed else unsigned
    texts = {name: f"{number:.9g}" for name, number in numbers.items()}
    read_back: dict[str, Any] = {name: float(text) for name, text in texts.items()}
    display = Display(function=function, inverted=inverted, **read_back)
    expected = display(pixels)
    assume(np.ptp(expected) > 1e-3)
    actual = shown(
        pixels,
        bits_stored=bits,
        RescaleSlope=texts["slope"],
        RescaleIntercept=texts["intercept"],
        WindowCenter=texts["center"],
        WindowWidth=texts["width"],
        VOILUTFunction=function,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
    )
    steep = abs(display.slope) / display.width
    assert np.abs(actual - expected).max() <= 2e-6 + 1e-6 * steep
