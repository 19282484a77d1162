"""PNG, JPEG and TIFF of every kind that cameras, archives and data sets write."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pacx.errors import PixelDataCorrupt, UnusableImage
from pacx.radiograph import Radiograph
from pacx.reading import read
from tests.core.reading.standard import greys_of_rgb
from tests.hostile_files import png_chunk
from tests.phantom_dicom import chest_pixels

GREY = (chest_pixels(60, 48) >> 4).astype(np.uint8)
RGB = np.stack([GREY, np.roll(GREY, 5, 0), np.roll(GREY, 5, 1)], axis=2)
ORIENTATION = 0x0112


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> Radiograph:  # noqa: ANN401
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return read(buffer.getvalue())


def png(
    lines: list[bytes], shape: tuple[int, ...], bits: int, *, interlaced: bool = False
) -> bytes:
    """A grey PNG file of unfiltered lines."""
    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, 0, 0, 0, interlaced)
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def codes(radiograph: Radiograph) -> list[str]:
    return [warning.code for warning in radiograph.warnings]


def test_colours_become_luminance_with_a_warning() -> None:
    radiograph = saved(Image.fromarray(RGB))
    assert np.abs(radiograph.pixels - greys_of_rgb(RGB, 8)).max() <= 1e-6
    assert codes(radiograph) == ["colour_converted"]


def test_grey_written_as_colour_stays_grey() -> None:
    radiograph = saved(Image.fromarray(np.repeat(GREY[..., np.newaxis], 3, axis=2)))
    assert np.abs(radiograph.pixels - GREY / 255).max() <= 1e-6


def test_a_palette_is_looked_up() -> None:
    picture = Image.fromarray(255 - GREY)
    picture.putpalette([255 - i // 3 for i in range(768)])
    radiograph = saved(picture)
    assert np.abs(radiograph.pixels - GREY / 255).max() <= 1e-6


def test_transparent_pixels_are_black() -> None:
    alpha = np.full_like(GREY, 255)
    alpha[:10] = 0
    alpha[10:20] = 51
    radiograph = saved(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]))
    assert np.abs(radiograph.pixels - GREY / 255 * (alpha / 255)).max() <= 1e-6
    assert codes(radiograph) == ["alpha_composited"]


def test_an_opaque_alpha_channel_is_no_news() -> None:
    radiograph = saved(Image.fromarray(GREY).convert("LA"))
    assert np.abs(radiograph.pixels - GREY / 255).max() <= 1e-6
    assert codes(radiograph) == []


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_shallow_pngs_use_their_whole_range(bits: int) -> None:
    levels = GREY >> (8 - bits)
    single = levels[..., np.newaxis] >> np.arange(bits - 1, -1, -1, dtype=np.uint8) & 1
    packed = np.packbits(single.reshape(len(GREY), -1), axis=1)
    radiograph = read(png([line.tobytes() for line in packed], GREY.shape, bits))
    assert np.abs(radiograph.pixels - levels / ((1 << bits) - 1)).max() <= 1e-6


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_kept_in_every_kind_of_png(channels: int) -> None:
    deep = np.random.default_rng(channels).integers(0, 65536, (40, 50, channels), dtype=np.uint16)
    if channels in (2, 4):
        deep[..., -1] = 65535
    radiograph = read(bytes(imagecodecs.png_encode(deep if channels > 1 else deep[..., 0])))
    expected = deep[..., 0] / 65535 if channels < 3 else greys_of_rgb(deep[..., :3], 16)
    assert np.abs(radiograph.pixels - expected).max() <= 1e-6


def test_12_bits_in_a_16_bit_file_are_not_shown_black() -> None:
    pixels = chest_pixels(60, 48)
    pixels[0, 0] = 4095
    radiograph = read(bytes(imagecodecs.png_encode(pixels)))
    assert np.abs(radiograph.pixels - pixels / 4095).max() <= 1e-6
    assert codes(radiograph) == ["depth_from_values"]


def test_interlaced_pngs_are_woven_back() -> None:
    """Adam7: first row, first column, row step and column step of each pass."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    lines = [
        line.tobytes()
        for top, left, down, across in [*passes, (1, 0, 2, 1)]
        for line in GREY[top::down, left::across]
    ]
    radiograph = read(png(lines, GREY.shape, 8, interlaced=True))
    assert np.abs(radiograph.pixels - GREY / 255).max() <= 1e-6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_photographs_are_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(GREY)
    options = {"quality": 100} if kind == "JPEG" else {}
    radiograph = saved(stored, kind, exif=exif, **options)
    stored.getexif()[ORIENTATION] = orientation
    expected = np.asarray(transposed(stored, orientation)) / 255
    assert radiograph.pixels.shape == expected.shape
    assert np.abs(radiograph.pixels - expected).max() <= 3 / 255
    assert ("orientation_applied" in codes(radiograph)) == (orientation != 1)


def transposed(picture: Image.Image, orientation: int) -> Image.Image:
    """The table of the EXIF standard, in Pillow's terms."""
    methods = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return picture.transpose(methods[orientation]) if orientation in methods else picture


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_colour_jpegs_become_luminance(mode: str) -> None:
    soft = Image.fromarray(np.repeat(GREY[..., np.newaxis], 3, axis=2))
    radiograph = saved(soft.convert(mode), "JPEG", quality=100)
    assert np.abs(radiograph.pixels - GREY / 255).max() <= 6 / 255
    assert codes(radiograph) == ["colour_converted"]


def test_a_progressive_jpeg_is_read() -> None:
    radiograph = saved(Image.fromarray(GREY), "JPEG", progressive=True, quality=100)
    assert np.abs(radiograph.pixels - GREY / 255).max() <= 4 / 255


def test_a_jpeg_thumbnail_is_not_the_picture() -> None:
    thumbnail = io.BytesIO()
    Image.fromarray(np.zeros((40, 40), dtype=np.uint8)).save(thumbnail, "JPEG")
    comment = thumbnail.getvalue()
    radiograph = saved(Image.fromarray(GREY), "JPEG", comment=comment)
    assert radiograph.pixels.shape == GREY.shape


def test_of_a_telephone_s_pictures_the_first_is_read_and_must_be_whole() -> None:
    second = Image.fromarray(255 - GREY)
    buffer = io.BytesIO()
    first = Image.fromarray(GREY)
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=100)
    content = buffer.getvalue()
    assert np.abs(read(content).pixels - GREY / 255).max() <= 4 / 255
    end = content.index(b"\xff\xd9")
    with pytest.raises(PixelDataCorrupt):
        read(content[: end - 700] + content[end:])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_16_bit_tiffs_are_read_in_any_compression(compression: str | None) -> None:
    deep = chest_pixels(60, 48) * np.uint16(16)
    radiograph = saved(Image.fromarray(deep), "TIFF", compression=compression)
    assert radiograph.source == "tiff"
    assert np.abs(radiograph.pixels - deep / 65535).max() <= 1e-6


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_white_is_zero_in_a_tiff(mode: str) -> None:
    deep = chest_pixels(60, 48) * np.uint16(16)
    radiograph = saved(deep_picture(mode), "TIFF", tiffinfo={262: 0})
    assert np.abs(radiograph.pixels - (1 - deep / 65535)).max() <= 1e-6


def test_big_endian_tiffs_are_read() -> None:
    deep = chest_pixels(60, 48) * np.uint16(16)
    assert np.abs(saved(deep_picture("I;16B"), "TIFF").pixels - deep / 65535).max() <= 1e-6


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_scans_are_turned_upright(orientation: int, mode: str) -> None:
    radiograph = saved(deep_picture(mode), "TIFF", tiffinfo={ORIENTATION: orientation})
    expected = np.asarray(transposed(deep_picture("I;16"), orientation)) / 65535
    assert radiograph.pixels.shape == expected.shape
    assert np.abs(radiograph.pixels - expected).max() <= 1e-6
    assert ("orientation_applied" in codes(radiograph)) == (orientation != 1)


def deep_picture(mode: str) -> Image.Image:
    """16 bits in either byte order."""
    deep = chest_pixels(60, 48) * np.uint16(16)
    return Image.frombytes(
        mode, (48, 60), deep.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    )


def test_other_tiffs_are_refused() -> None:
    with pytest.raises(UnusableImage):
        saved(Image.fromarray(GREY), "TIFF")
