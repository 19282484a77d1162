"""Stored pixels of a DICOM file, native or compressed (PS3.5 section 8)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pacx.errors import MultiFrame, PixelDataCorrupt, Truncated
from pacx.reading import tags
from pacx.reading.codestream import (
    FRAME_STARTS,
    CodestreamHeader,
    read_codestream_header,
    unwrapped,
)
from pacx.reading.content import Content
from pacx.reading.decoders import Frame, Stored, decode
from pacx.reading.elements import UNDEFINED, Element
from pacx.reading.encapsulation import codestream
from pacx.reading.grey_scale import StoredBits
from pacx.reading.limits import ReadingLimits
from pacx.reading.part10 import Part10
from pacx.reading.picture import Picture


@dataclass(frozen=True, slots=True, eq=False)
class StoredPixels:
    """The frame as it was stored.

    Attributes:
        codes: Integers of one or two bytes, ``[rows, columns]`` or ``[rows, columns, 3]``, not
            yet masked. Of native YBR_FULL_422 only the luminance.
        stored: Which of their bits are the stored value.
    """

    codes: Stored
    stored: StoredBits


def stored_pixels(file: Part10, picture: Picture, limits: ReadingLimits) -> StoredPixels:
    """Read the only frame.

    Raises:
        Truncated: Fewer bytes than the header promises.
        MultiFrame: Bytes for more than one frame.
        PixelDataCorrupt: The codestream cannot be decoded or contradicts the header.
        TooComplex: The codestream has too many scans or fragments.
    """
    element = file.data_set[tags.PIXEL_DATA]
    declared = StoredBits(picture.bits_stored, picture.high_bit, picture.signed)
    if file.syntax.compression == "none":
        return StoredPixels(_native(file, element, picture), declared)
    if element.length != UNDEFINED:
        raise PixelDataCorrupt("Compressed pixel data must be encapsulated.")
    rle = file.syntax.compression == "rle"
    stream = unwrapped(codestream(file.content, element.offset, fragmented=not rle))
    frame = Frame(
        rows=picture.rows,
        columns=picture.columns,
        samples=picture.samples,
        bytes_per_sample=picture.bits_allocated // 8,
        photometric=picture.photometric,
    )
    if not rle:
        header = read_codestream_header(stream, limits.scans)
        _check_header(header, picture)
        _check_alone(stream, header)
        declared = _coded_bits(header, declared, lossy=file.syntax.lossy)
        frame = replace(frame, lossless_jpeg=header.lossless_jpeg)
    return StoredPixels(decode(file.syntax.compression, stream, frame), declared)


def _coded_bits(header: CodestreamHeader, declared: StoredBits, *, lossy: bool) -> StoredBits:
    """Bits of a decoded sample.

    A codestream of more bits than are stored carries the whole code as the header describes it,
    with its overlay bits. Any other is right-aligned, so its high bit is its precision's. A sign
    sits where the header or the codestream puts it, whichever is lower: some encoders extend it,
    some do not.
    """
    precision, signed = header.precision, declared.signed
    if declared.bits < precision and declared.high_bit < precision:
        return _overshooting(precision, declared) if lossy and not signed else declared
    bits = min(precision, declared.bits) if signed else precision
    return StoredBits(bits, bits - 1, signed)


def _overshooting(precision: int, declared: StoredBits) -> StoredBits:
    """Also the bits above: lossy coding cannot keep overlays, but makes white whiter than white."""
    below = declared.high_bit + 1 - declared.bits
    return StoredBits(precision - below, precision - 1, signed=False)


def _native(file: Part10, element: Element, picture: Picture) -> Stored:
    if element.length == UNDEFINED:
        raise PixelDataCorrupt("Native pixel data must state its length.")
    if element.offset + element.length > len(file.content):
        raise Truncated("The file ends inside its pixel data.")
    _check_length(element.length, picture)
    dtype = np.dtype(f"{file.encoding.order}u{picture.bits_allocated // 8}")
    count = picture.nbytes // dtype.itemsize
    flat = np.frombuffer(file.content, dtype=dtype, count=count, offset=element.offset)
    if element.vr == b"OW" and file.encoding.big_endian and dtype.itemsize == 1:
        flat = _words_swapped(file.content, element, count)
    grid = (picture.rows, picture.columns)
    if picture.samples == 1:
        return flat.reshape(grid)
    if picture.photometric == "YBR_FULL_422":
        return flat.reshape(-1, 4)[:, :2].reshape(grid)
    if picture.planar:
        return np.moveaxis(flat.reshape(picture.samples, *grid), 0, -1)
    return flat.reshape(*grid, picture.samples)


def _words_swapped(content: Content, element: Element, count: int) -> Stored:
    """Bytes that were written as big-endian words (PS3.5 section 7.3)."""
    words = np.frombuffer(content, ">u2", element.length // 2, element.offset)
    return words.astype("<u2").view(np.uint8)[:count]


def _check_length(length: int, picture: Picture) -> None:
    """One frame, and at most the padding of less than a row behind it."""
    if length < picture.nbytes:
        raise Truncated("The pixel data is shorter than rows and columns say.")
    if length - picture.nbytes >= picture.nbytes // picture.rows:
        raise MultiFrame("The pixel data is longer than one frame.")


def _check_header(header: CodestreamHeader, picture: Picture) -> None:
    if (header.rows, header.columns) != (picture.rows, picture.columns):
        raise PixelDataCorrupt("The codestream's size differs from rows and columns.")
    if header.components != picture.samples or header.precision > picture.bits_allocated:
        raise PixelDataCorrupt("The codestream's samples differ from the header's.")


def _check_alone(stream: bytes, header: CodestreamHeader) -> None:
    starts = tuple(start.lstrip(b"\0") for start in FRAME_STARTS)
    if stream[header.nbytes :].lstrip(b"\0").startswith(starts):
        raise MultiFrame("The pixel data holds more than one frame.")
