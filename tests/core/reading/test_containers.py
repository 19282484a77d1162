"""The file around the picture: preambles, deflation, fragments, and bytes in colour."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from pacx.errors import MultiFrame, Truncated, UnsupportedTransferSyntax
from pacx.reading import available_decoders, read
from tests.core.reading.standard import greys_of_rgb
from tests.dicom_files import ENCODERS, LOSSLESS, Encoder, Pixels, dicom_file
from tests.hostile_files import data_set_of, element, part10
from tests.phantom_dicom import chest_pixels

PIXELS = chest_pixels(60, 48)
PLAIN = dicom_file(PIXELS, bits_stored=12)
RGB = np.random.default_rng(0).integers(0, 256, (40, 36, 3), dtype=np.uint8)


def test_a_file_without_preamble_is_read_if_its_meta_group_parses() -> None:
    expected = read(PLAIN).pixels
    assert np.array_equal(read(PLAIN[128:]).pixels, expected)
    assert np.array_equal(read(PLAIN[132:]).pixels, expected)


def test_a_preamble_may_be_another_format_s() -> None:
    for signature in (b"II*\0", b"MM\0*", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        content = signature + PLAIN[len(signature) :]
        assert read(content).source == "dicom"


def test_a_data_set_in_another_encoding_than_its_syntax_says() -> None:
    implicit = data_set_of(dicom_file(PIXELS, syntax=uid.ImplicitVRLittleEndian, bits_stored=12))
    assert np.array_equal(read(part10(implicit)).pixels, read(PLAIN).pixels)


def test_deflated_files_are_inflated_within_bounds() -> None:
    content = dicom_file(PIXELS, syntax=uid.DeflatedExplicitVRLittleEndian, bits_stored=12)
    assert np.array_equal(read(content).pixels, read(PLAIN).pixels)
    with pytest.raises(Truncated):
        read(content[:-20])


def test_a_codestream_in_fragments_is_joined() -> None:
    stream = ENCODERS[uid.JPEG2000Lossless](PIXELS, 12)
    pixel_data = encapsulate([stream], fragments_per_frame=5)
    content = dicom_file(PIXELS, syntax=uid.JPEG2000Lossless, bits_stored=12, PixelData=pixel_data)
    assert np.array_equal(read(content).pixels, read(PLAIN).pixels)


def jp2(pixels: Pixels, _: int) -> bytes:
    """A whole JP2 file as a frame."""
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", reversible=True))


FRAMES: list[tuple[uid.UID, Encoder]] = [
    *((syntax, ENCODERS[syntax]) for syntax in LOSSLESS),
    (uid.JPEG2000Lossless, jp2),
]


@pytest.mark.parametrize(("syntax", "encode"), FRAMES)
def test_two_frames_of_compressed_pixels_are_refused(syntax: uid.UID, encode: Encoder) -> None:
    frame = encode(PIXELS, 12)
    frame += b"\0" * (len(frame) % 2)
    several = [encapsulate([frame, frame], has_bot=has_bot) for has_bot in (True, False)]
    if syntax != uid.RLELossless:
        several.append(encapsulate([frame + frame]))
    for pixel_data in several:
        with pytest.raises(MultiFrame):
            read(dicom_file(PIXELS, syntax=syntax, bits_stored=12, PixelData=pixel_data))
    assert read(dicom_file(PIXELS, syntax=syntax, bits_stored=12, codestream=frame)).rows == 60


def test_icon_images_and_sequences_are_walked_past() -> None:
    icon = element(0x7FE00010, b"OW", bytes(32))
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(icon)) + icon
    content = before_pixels(PLAIN, element(0x00880200, b"SQ", item))
    assert np.array_equal(read(content).pixels, read(PLAIN).pixels)


def before_pixels(file: bytes, elements: bytes) -> bytes:
    """Insert elements."""
    data_set = data_set_of(file)
    at = data_set.index(struct.pack("<HH", 0x7FE0, 0x0010))
    return part10(data_set[:at] + elements + data_set[at:])


def of_unknown_vr(tag: int, item: Dataset) -> bytes:
    """A sequence of one item as UN of defined length, in implicit VR (PS3.5 section 6.2.2)."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    write_dataset(buffer, item)
    inside = buffer.getvalue()
    return element(tag, b"UN", b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inside)) + inside)


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_lookup_table_in_a_sequence_of_unknown_vr(keyword: str) -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = [65535 - 16 * i for i in range(4096)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    plain = dicom_file(PIXELS, bits_stored=12, WindowCenter=32768, WindowWidth=65536)
    elements: dict[str, Any] = {keyword: [table], "WindowCenter": 32768, "WindowWidth": 65536}
    known = dicom_file(PIXELS, bits_stored=12, **elements)
    unknown = before_pixels(plain, of_unknown_vr(tag_for_keyword(keyword) or 0, table))
    assert np.array_equal(read(unknown).pixels, read(known).pixels)
    assert not np.array_equal(read(unknown).pixels, read(plain).pixels)


def test_a_coded_view_in_a_sequence_of_unknown_vr() -> None:
    code = Dataset()
    code.CodeValue = "399348003"
    plain = dicom_file(PIXELS, bits_stored=12, ViewPosition=None)
    assert read(before_pixels(plain, of_unknown_vr(0x00540220, code))).view == "AP"


def test_words_of_8_bit_pixels_in_big_endian() -> None:
    eight = (PIXELS >> 4).astype(np.uint8)
    content = dicom_file(eight, syntax=uid.ExplicitVRBigEndian)
    assert b"OB" in content
    swapped = eight.reshape(-1, 2)[:, ::-1].tobytes()
    words = content.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW").replace(
        eight.tobytes(), swapped
    )
    assert np.array_equal(read(words).pixels, read(content).pixels)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
def test_planes_of_colour(syntax: uid.UID, planar: int) -> None:
    elements: dict[str, Any] = {"PlanarConfiguration": planar}
    if syntax == uid.ExplicitVRLittleEndian and planar:
        elements["PixelData"] = np.moveaxis(RGB, -1, 0).tobytes()
    content = dicom_file(RGB, syntax=syntax, **elements)
    assert np.abs(read(content).pixels - greys_of_rgb(RGB, 8)).max() <= 1e-6


def test_luminance_of_ybr_is_its_first_sample() -> None:
    content = dicom_file(RGB, PhotometricInterpretation="YBR_FULL")
    assert np.abs(read(content).pixels - RGB[..., 0] / 255).max() <= 1e-6


@pytest.mark.parametrize("syntax", [uid.JPEGLossless, uid.JPEGLosslessSV1])
@pytest.mark.parametrize("coded", ["RGB", "YCBCR"])
def test_colours_of_lossless_jpeg_are_those_of_the_header(syntax: uid.UID, coded: str) -> None:
    stream = bytes(
        imagecodecs.jpeg8_encode(
            RGB, lossless=True, predictor=1, colorspace=coded, outcolorspace=coded
        )
    )
    for photometric, expected in (("YBR_FULL", RGB[..., 0] / 255), ("RGB", greys_of_rgb(RGB, 8))):
        content = dicom_file(
            RGB, syntax=syntax, codestream=stream, PhotometricInterpretation=photometric
        )
        assert np.abs(read(content).pixels - expected).max() <= 1e-6


@pytest.mark.parametrize("photometric", ["YBR_FULL", "RGB"])
def test_a_jfif_codestream_is_ycbcr_whatever_the_header_says(photometric: str) -> None:
    soft = np.repeat((PIXELS >> 4).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    soft[..., 0] //= 2
    content = dicom_file(soft, syntax=uid.JPEGBaseline8Bit, PhotometricInterpretation=photometric)
    assert np.abs(read(content).pixels - greys_of_rgb(soft, 8)).mean() <= 2 / 255


def test_every_supported_syntax_is_named_to_those_who_send_another() -> None:
    with pytest.raises(UnsupportedTransferSyntax) as raised:
        read(part10(b"", b"1.2.3.4"))
    assert all(decoder.name in raised.value.detail for decoder in available_decoders())
    assert "1.2.3.4" not in raised.value.detail


def test_reading_takes_few_times_the_size_of_the_picture() -> None:
    large = dicom_file(chest_pixels(1200, 1000), bits_stored=12)
    tracemalloc.start()
    radiograph = read(large)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 3 * radiograph.pixels.nbytes
