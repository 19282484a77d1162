"""Every transfer syntax, depth, sign and display, pixel for pixel against the standard's text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from pacx.reading import available_decoders, read
from tests.core.reading.standard import Display, Integers
from tests.dicom_files import ENCODERS, LOSSLESS, LOSSY, NATIVE, NEAR_LOSSLESS_ERROR, dicom_file
from tests.phantom_dicom import chest_pixels

UNSIGNED = [(8, "u1"), (10, "u2"), (12, "u2"), (14, "u2"), (15, "u2"), (16, "u2")]
DEPTHS = [*UNSIGNED, (8, "i1"), (12, "i2"), (16, "i2")]
TOLERANCE = 2e-6


def film(bits: int, dtype: str) -> Integers:
    """Stored values over the whole range of the type, with noise in the lowest bits."""
    grey = chest_pixels(48, 40).astype(np.int64) * ((1 << bits) - 1) // 4095
    grey += np.random.default_rng(bits).integers(-3, 4, grey.shape)
    lowest = -(1 << bits - 1) if dtype.startswith("i") else 0
    return (np.clip(grey, 0, (1 << bits) - 1) + lowest).astype(dtype)


def displays(bits: int, *, signed: bool) -> list[Display]:
    """Windows of every function, in stored and in rescaled units, and tables."""
    middle = 0 if signed else 1 << bits - 1
    span = float(1 << bits)
    return [
        Display(center=middle, width=span),
        Display(center=middle + 0.25, width=span / 3, inverted=True),
        Display(center=middle, width=span / 4, function="LINEAR_EXACT"),
        Display(center=middle, width=span / 5, function="SIGMOID", inverted=True),
        Display(slope=-0.5, intercept=100, center=100 - middle / 2, width=span / 4),
        Display(slope=2, intercept=-span, center=2 * middle - span, width=1.0),
    ]


def elements(display: Display) -> dict[str, Any]:
    """The display as DICOM elements."""
    return {
        "PhotometricInterpretation": "MONOCHROME1" if display.inverted else "MONOCHROME2",
        "RescaleSlope": display.slope,
        "RescaleIntercept": display.intercept,
        "WindowCenter": display.center,
        "WindowWidth": display.width,
        "VOILUTFunction": display.function,
    }


@pytest.mark.parametrize(("bits", "dtype"), DEPTHS)
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=lambda syntax: syntax.keyword)
def test_lossless_pixels_are_those_they_were_made_from(
    syntax: uid.UID, bits: int, dtype: str
) -> None:
    stored = film(bits, dtype)
    for display in displays(bits, signed=dtype.startswith("i")):
        content = dicom_file(stored, syntax=syntax, bits_stored=bits, **elements(display))
        shown = read(content).pixels
        assert np.abs(shown - display(stored)).max() <= TOLERANCE, display


@pytest.mark.parametrize(("bits", "dtype"), DEPTHS)
def test_any_high_bit_and_overlays_beside_the_stored_bits(bits: int, dtype: str) -> None:
    width = 8 * np.dtype(dtype).itemsize
    stored = film(bits, dtype)
    display = displays(bits, signed=dtype.startswith("i"))[0]
    for high in range(bits - 1, width):
        clean = dicom_file(stored, bits_stored=bits, high_bit=high, **elements(display))
        assert np.abs(read(clean).pixels - display(stored)).max() <= TOLERANCE
        mask = ((1 << bits) - 1) << (high - bits + 1)
        overlay = np.random.default_rng(high).integers(0, 1 << width, stored.shape) & ~mask
        codes = (stored.astype(np.int64) << (high - bits + 1)) & mask | overlay
        dirty = dicom_file(
            stored,
            bits_stored=bits,
            high_bit=high,
            PixelData=codes.astype(f"u{width // 8}").tobytes(),
            **elements(display),
        )
        assert np.array_equal(read(dirty).pixels, read(clean).pixels)


@pytest.mark.parametrize("dtype", ["u2", "i2"])
@pytest.mark.parametrize("high", [11, 13, 15])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
def test_any_high_bit_and_overlays_in_a_codestream_of_all_bits(
    syntax: uid.UID, high: int, dtype: str
) -> None:
    stored = film(12, dtype)
    display = displays(12, signed=dtype == "i2")[0]
    mask = 0xFFF << (high - 11)
    overlay = np.random.default_rng(high).integers(0, 1 << 16, stored.shape) & ~mask
    codes = (stored.astype(np.int64) << (high - 11)) & mask | overlay
    stream = ENCODERS[syntax](codes.astype("u2").view(dtype), 16)
    content = dicom_file(
        stored,
        syntax=syntax,
        bits_stored=12,
        high_bit=high,
        codestream=stream,
        **elements(display),
    )
    assert np.abs(read(content).pixels - display(stored)).max() <= TOLERANCE


@pytest.mark.parametrize("high", [11, 15])
@pytest.mark.parametrize("syntax", [uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K])
def test_lossy_white_is_never_black(syntax: uid.UID, high: int) -> None:
    stored = np.where(film(12, "u2") > 1500, 4095, 0).astype("u2")
    stored[:, ::7] = 4095
    stream = ENCODERS[syntax](stored << (high - 11), 16)
    content = dicom_file(stored, syntax=syntax, bits_stored=12, high_bit=high, codestream=stream)
    assert read(content).pixels[stored == 4095].min() > 0.5


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: syntax.keyword)
def test_lossy_pixels_are_within_the_codec_s_tolerance(syntax: uid.UID) -> None:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    stored = film(bits, "u1" if bits == 8 else "u2")
    display = Display(center=1 << bits - 1, width=1 << bits)
    shown = read(dicom_file(stored, syntax=syntax, bits_stored=bits)).pixels
    error = np.abs(shown - display(stored)) * ((1 << bits) - 1)
    assert error.max() > 0
    if syntax == uid.JPEGLSNearLossless:
        assert error.max() <= NEAR_LOSSLESS_ERROR + 0.01
    assert error.mean() <= 0.02 * (1 << bits)


@pytest.mark.parametrize("signed", [False, True])
def test_lookup_tables_instead_of_lines(signed: bool) -> None:
    stored = film(8, "i1" if signed else "u1")
    first = -100 if signed else 20
    curve = [int(60_000 * (i / 199) ** 2) for i in range(200)]
    display = Display(
        modality_lut=(first, curve), voi_lut=(500, [3 * i % 1024 for i in range(340)], 10)
    )
    content = dicom_file(
        stored,
        ModalityLUTSequence=[lookup_table(first, curve, 16, signed=signed)],
        VOILUTSequence=[lookup_table(500, [3 * i % 1024 for i in range(340)], 10)],
        WindowCenter=None,
        WindowWidth=None,
    )
    assert np.abs(read(content).pixels - display(stored)).max() <= TOLERANCE


def test_a_lookup_table_of_8_bit_entries_packed_in_bytes() -> None:
    stored = film(8, "u1")
    curve = [255 - i for i in range(256)]
    item = lookup_table(0, curve, 8)
    item.add_new("LUTData", "OW", bytes(curve))
    content = dicom_file(stored, VOILUTSequence=[item])
    display = Display(voi_lut=(0, curve, 8))
    assert np.abs(read(content).pixels - display(stored)).max() <= TOLERANCE


def lookup_table(first: int, entries: list[int], bits: int, *, signed: bool = False) -> Dataset:
    """A modality or VOI lookup table."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    item.add_new("ModalityLUTType", "LO", "US")
    return item


def test_every_transfer_syntax_that_is_read_is_tested() -> None:
    tested = {*NATIVE, *LOSSLESS, *LOSSY}
    assert {decoder.transfer_syntax for decoder in available_decoders()} == tested
