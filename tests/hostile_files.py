"""Files that a reader must refuse, each with the answer that it deserves.

``FAULTS`` names them; every file is built when it is asked for, from a phantom, without any
outside data.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from PIL import Image
from pydicom import uid

from tests.dicom_files import ENCODERS, dicom_file
from tests.phantom_dicom import chest_pixels

EXPLICIT, DEFLATED = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99"
PIXELS = chest_pixels(200, 160)
_UNDEFINED = b"\xff\xff\xff\xff"
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")


@dataclass(frozen=True, slots=True)
class Fault:
    """One bad file.

    Attributes:
        row: Number of the case in the table of faults.
        name: What is wrong.
        build: Makes the file.
        codes: Error codes that are right answers to it.
    """

    row: int
    name: str
    build: Callable[[], bytes]
    codes: tuple[str, ...]


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One element in explicit VR little endian; ``length`` may lie."""
    size = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    return (
        head
        + struct.pack("<HI" if vr in _LONG else "<H", *((0, size) if vr in _LONG else (size,)))
        + value
    )


def part10(data_set: bytes, syntax: bytes = EXPLICIT) -> bytes:
    """Preamble, file meta group and a data set as it is."""
    uid_value = syntax + b"\0" * (len(syntax) % 2)
    group = element(0x00020010, b"UI", uid_value)
    length = element(0x00020000, b"UL", struct.pack("<I", len(group)))
    return b"\0" * 128 + b"DICM" + length + group + data_set


def data_set_of(file: bytes) -> bytes:
    """What follows the file meta group."""
    (length,) = struct.unpack_from("<I", file, 140)
    return file[144 + length :]


def nested_sequences(depth: int, *, closed: bool = True) -> bytes:
    """A referenced-image sequence within itself, of undefined length, ``depth`` times."""
    head = element(0x00081140, b"SQ", b"", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0" + _UNDEFINED
    tail = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return part10(head * depth + (tail * depth if closed else b""))


def deflate_bomb(inflated_bytes: int = 512_000_000) -> bytes:
    """A deflated data set of one huge element full of zeros."""
    head = element(0x00091010, b"OB", b"", inflated_bytes)
    return part10(_deflated(head, inflated_bytes), DEFLATED)


def _deflated(head: bytes, zeros: int) -> bytes:
    """``head`` and whole mebibytes of zeros; a block that was flushed fully can be repeated."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return first + block * (zeros >> 20) + compressor.flush()


def many_elements(count: int = 1_000_000) -> bytes:
    """Empty private elements before anything else."""
    return part10(element(0x00091010, b"LO", b"") * count)


def many_items(count: int = 300_000) -> bytes:
    """One sequence of empty items."""
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * count
    return part10(element(0x00081140, b"SQ", items))


def png_chunk(name: bytes, value: bytes) -> bytes:
    """One chunk with its checksum."""
    return (
        struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))
    )


def huge_png(columns: int = 13_300, rows: int = 13_300) -> bytes:
    """A small PNG file of zeros that declares 177 million pixels."""
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    data = b"\x78\xda" + _deflated(b"", (columns + 1) * rows) + b"\0\0\0\1"
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def picture_file(kind: str = "PNG") -> bytes:
    """The phantom as an 8-bit PNG, JPEG or TIFF file."""
    buffer = io.BytesIO()
    Image.fromarray((PIXELS >> 4).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def animated_png() -> bytes:
    """Two frames."""
    buffer = io.BytesIO()
    first = Image.fromarray((PIXELS >> 4).astype(np.uint8))
    first.save(buffer, "PNG", save_all=True, append_images=[first.rotate(180)])
    return buffer.getvalue()


def wrong_size() -> bytes:
    """A lossless codestream of another size than Rows and Columns."""
    return _compressed(Rows=PIXELS.shape[0] - 8)


def without_pixel_data() -> bytes:
    """A header only."""
    return dicom_file(PIXELS, PixelData=None)


def dicomdir() -> bytes:
    """The file meta group of a directory."""
    directory = element(0x00020002, b"UI", b"1.2.840.10008.1.3.10")
    return part10(b"").replace(b"DICM", b"DICM" + directory)


def _film(syntax: uid.UID = uid.ExplicitVRLittleEndian, **elements: object) -> bytes:
    return dicom_file(
        PIXELS, syntax=syntax, bits_stored=12, high_bit=None, codestream=None, **elements
    )


def _compressed(**elements: object) -> bytes:
    return _film(uid.JPEG2000Lossless, **elements)


def _damaged(syntax: uid.UID) -> bytes:
    stream = bytearray(ENCODERS[syntax](PIXELS, 12))
    middle = len(stream) // 2
    stream[middle : middle + 50] = bytes(50)
    return _codestream(bytes(stream), syntax)


def _halved(syntax: uid.UID) -> bytes:
    """Half of the entropy-coded data, with the end marker in place."""
    stream = ENCODERS[syntax](PIXELS, 12)
    return _codestream(stream[: len(stream) // 2] + stream[-2:], syntax)


def cut_in_lossless_jpeg(lost_bytes: int, predictor: int = 1) -> bytes:
    """Noise without the end of its entropy-coded data, with the end marker in place."""
    noise = np.random.default_rng(0).integers(0, 4096, (40, 36), dtype=np.uint16)
    stream = bytes(
        imagecodecs.jpeg8_encode(noise, lossless=True, predictor=predictor, bitspersample=12)
    )
    stream = stream[: len(stream) - 2 - lost_bytes] + stream[-2:]
    return dicom_file(noise, syntax=uid.JPEGLossless, bits_stored=12, codestream=stream)


def tiles_without(*missing: int, emptied: bool = False) -> bytes:
    """A JPEG 2000 film of tiles, some of which are left out or have no data."""
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG2000", tile_size=(40, 40), no_jp2=True)
    head, *parts = buffer.getvalue().split(b"\xff\x90\x00\x0a")
    kept = [head]
    for part in parts:
        (tile,) = struct.unpack_from(">H", part)
        if tile not in missing:
            kept.append(part)
        elif emptied:
            kept.append(part[:2] + struct.pack(">I", 14) + part[6:8] + b"\xff\x93")
    return _codestream(b"\xff\x90\x00\x0a".join(kept))


def _beyond_the_file() -> bytes:
    """Pixel data whose length would be that of many frames, had they been sent."""
    film = _film()
    at = film.index(b"\xe0\x7f\x10\x00OW") + 8
    return film[:at] + struct.pack("<I", 0xFFFFFFF0) + film[at + 4 :]


def _long_element() -> bytes:
    return part10(element(0x00081140, b"UN", b"", 0xFFFFFFF0))


def _rows_of_32_bits() -> bytes:
    short = element(0x00280010, b"US", struct.pack("<H", PIXELS.shape[0]))
    return _film().replace(short, element(0x00280010, b"UL", struct.pack("<I", 1 << 31)))


def _no_preamble_no_meta() -> bytes:
    return element(0x00080060, b"CS", b"DX") + element(0x00280010, b"US", b"\x10\0")


def _colours(photometric: str) -> bytes:
    rgb = np.repeat((PIXELS >> 4).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    return dicom_file(rgb, PhotometricInterpretation=photometric)


def _codestream(stream: bytes, syntax: uid.UID = uid.JPEG2000Lossless) -> bytes:
    return dicom_file(PIXELS, syntax=syntax, bits_stored=12, codestream=stream)


def _not_encapsulated() -> bytes:
    return part10(data_set_of(_film()), b"1.2.840.10008.1.2.4.70")


def _text_slope(text: bytes) -> bytes:
    return _film(RescaleSlope="1.25", RescaleIntercept="0").replace(b"1.25", text)


FAULTS = (
    Fault(1, "empty file", lambda: b"", ("empty_body",)),
    Fault(9, "random bytes", lambda: np.random.default_rng(0).bytes(5000), ("not_an_image",)),
    Fault(9, "ZIP", lambda: b"PK\x03\x04" + bytes(100), ("not_an_image",)),
    Fault(9, "HTML", lambda: b"<!doctype html><p>hello", ("not_an_image",)),
    Fault(9, "PDF", lambda: b"%PDF-1.7\n" + bytes(100), ("not_an_image",)),
    Fault(10, "no preamble, no meta group", _no_preamble_no_meta, ("not_an_image",)),
    Fault(10, "no preamble, broken meta group", lambda: b"\x02\0\0\0UL", ("truncated",)),
    Fault(11, "cut in the preamble", lambda: _film()[:120], ("not_an_image",)),
    Fault(11, "cut in the meta group", lambda: _film()[:150], ("truncated",)),
    Fault(11, "cut in the header", lambda: _film()[:500], ("truncated",)),
    Fault(11, "cut in the pixel data", lambda: _film()[:-100], ("truncated",)),
    Fault(11, "cut in compressed pixel data", lambda: _compressed()[:-100], ("truncated",)),
    Fault(12, "element beyond the file", _long_element, ("truncated",)),
    Fault(12, "pixel data beyond the file", _beyond_the_file, ("truncated",)),
    Fault(13, "240 nested sequences", lambda: nested_sequences(240), ("too_deep",)),
    Fault(13, "5,000 nested sequences", lambda: nested_sequences(5000), ("too_deep",)),
    Fault(13, "5,000 open sequences", lambda: nested_sequences(5000, closed=False), ("too_deep",)),
    Fault(15, "deflate bomb", deflate_bomb, ("inflated_too_large",)),
    Fault(15, "damaged deflate", lambda: part10(b"\xff" * 99, DEFLATED), ("malformed_image",)),
    Fault(16, "a million elements", many_elements, ("too_complex",)),
    Fault(16, "300,000 empty items", many_items, ("too_complex",)),
    Fault(
        17,
        "MPEG",
        lambda: part10(b"", b"1.2.840.10008.1.2.4.100"),
        ("unsupported_transfer_syntax",),
    ),
    Fault(17, "private syntax", lambda: part10(b"", b"1.2.3.4"), ("unsupported_transfer_syntax",)),
    Fault(17, "no syntax", lambda: part10(b"", b""), ("malformed_image",)),
    Fault(19, "damaged JPEG-LS", lambda: _damaged(uid.JPEGLSLossless), ("pixel_data_corrupt",)),
    Fault(19, "damaged RLE", lambda: _damaged(uid.RLELossless), ("pixel_data_corrupt",)),
    Fault(19, "half a JPEG", lambda: _halved(uid.JPEGLosslessSV1), ("pixel_data_corrupt",)),
    Fault(19, "half a 12-bit one", lambda: _halved(uid.JPEGExtended12Bit), ("pixel_data_corrupt",)),
    Fault(19, "half a JPEG 2000", lambda: _halved(uid.JPEG2000Lossless), ("pixel_data_corrupt",)),
    Fault(19, "half an HTJ2K", lambda: _halved(uid.HTJ2KLossless), ("pixel_data_corrupt",)),
    Fault(19, "most of a lossless JPEG", lambda: cut_in_lossless_jpeg(20), ("pixel_data_corrupt",)),
    Fault(19, "a missing tile", lambda: tiles_without(3), ("pixel_data_corrupt",)),
    Fault(19, "an empty tile", lambda: tiles_without(3, emptied=True), ("pixel_data_corrupt",)),
    Fault(19, "one tile", lambda: tiles_without(*range(1, 20)), ("pixel_data_corrupt",)),
    Fault(19, "codestream of another size", wrong_size, ("pixel_data_corrupt",)),
    Fault(19, "random codestream", lambda: _codestream(bytes(500)), ("pixel_data_corrupt",)),
    Fault(19, "native but said to be JPEG", _not_encapsulated, ("pixel_data_corrupt",)),
    Fault(20, "65,535 x 65,535", lambda: _film(Rows=65535, Columns=65535), ("too_large",)),
    Fault(20, "no rows", lambda: _film(Rows=0), ("malformed_image",)),
    Fault(20, "rows of 32 bits", _rows_of_32_bits, ("malformed_image",)),
    Fault(21, "PNG of 177 Mpx", huge_png, ("too_large",)),
    Fault(23, "animated PNG", animated_png, ("multi_frame",)),
    Fault(24, "TIFF of nothing", lambda: b"II*\0" + bytes(99), ("malformed_image",)),
    Fault(24, "cut PNG", lambda: picture_file()[:-40], ("truncated",)),
    Fault(24, "cut JPEG", lambda: picture_file("JPEG")[:-40], ("truncated",)),
    Fault(25, "no pixel data", without_pixel_data, ("no_pixel_data",)),
    Fault(25, "a report", lambda: _film(Modality="SR", PixelData=None), ("no_pixel_data",)),
    Fault(25, "empty pixel data", lambda: _film(PixelData=b""), ("no_pixel_data",)),
    Fault(25, "DICOMDIR", dicomdir, ("no_pixel_data",)),
    Fault(26, "CT", lambda: _film(Modality="CT"), ("not_a_chest_radiograph",)),
    Fault(26, "US", lambda: _film(Modality="US"), ("not_a_chest_radiograph",)),
    Fault(26, "a hand", lambda: _film(BodyPartExamined="HAND"), ("not_a_chest_radiograph",)),
    Fault(
        26,
        "raw values",
        lambda: _film(PresentationIntentType="FOR PROCESSING"),
        ("for_processing",),
    ),
    Fault(27, "two frames", lambda: _film(NumberOfFrames=2), ("multi_frame",)),
    Fault(
        27, "pixels of two frames", lambda: _film(PixelData=PIXELS.tobytes() * 2), ("multi_frame",)
    ),
    Fault(
        28,
        "palette without a table",
        lambda: _film(PhotometricInterpretation="PALETTE COLOR"),
        ("unusable_image",),
    ),
    Fault(28, "CMYK", lambda: _colours("CMYK"), ("unusable_image",)),
    Fault(31, "slope 0", lambda: _film(RescaleSlope=0, RescaleIntercept=0), ("unusable_image",)),
    Fault(31, "slope NaN", lambda: _text_slope(b"nan "), ("unusable_image",)),
    Fault(31, "slope infinite", lambda: _text_slope(b"inf "), ("unusable_image",)),
    Fault(33, "constant", lambda: dicom_file(np.full_like(PIXELS, 7)), ("no_contrast",)),
    Fault(34, "1 x N", lambda: dicom_file(PIXELS[:1]), ("too_small",)),
    Fault(34, "10 x 10", lambda: dicom_file(PIXELS[:10, :10]), ("too_small",)),
    Fault(34, "20,000 x 20,000", lambda: _film(Rows=20000, Columns=20000), ("too_large",)),
)
