"""What a codestream says about itself, read before a codec allocates for it.

JPEG, JPEG lossless and JPEG-LS share the marker segments of ISO/IEC 10918-1 annex B; JPEG 2000
and HTJ2K begin with the SIZ segment of ISO/IEC 15444-1 annex A.5.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pacx.errors import PixelDataCorrupt, TooComplex, Truncated
from pacx.reading.tiles import check_tiles

_LOSSLESS_FRAME = 0xC3
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_STANDALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
_FRAMES = (frozenset(range(0xC0, 0xD0)) - _NOT_FRAMES) | {0xF7}
_JP2 = b"\x00\x00\x00\x0cjP  "
_SIZ = b"\xff\x4f\xff\x51"
_END_OF_CODESTREAM = b"\xff\xd9"
FRAME_STARTS = (b"\xff\xd8\xff", _SIZ, _JP2)


@dataclass(frozen=True, slots=True)
class CodestreamHeader:
    """Size and sample format of the coded picture.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        components: Samples of a pixel.
        precision: Bits of a sample.
        marker: Low byte of the frame header's marker (0xC0 baseline, 0xF7 JPEG-LS, 0x51 SIZ, ...).
        nbytes: Length of the codestream; what follows is no part of it.
    """

    rows: int
    columns: int
    components: int
    precision: int
    marker: int
    nbytes: int

    @property
    def lossless_jpeg(self) -> bool:
        """Whether it is JPEG of process 14."""
        return self.marker == _LOSSLESS_FRAME


def unwrapped(stream: bytes) -> bytes:
    """The codestream inside a JP2 file, which some writers encapsulate whole."""
    return stream[stream.find(_SIZ) :] if stream.startswith(_JP2) else stream


def read_codestream_header(stream: bytes, most_scans: int) -> CodestreamHeader:
    """Read the header of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream.

    Raises:
        PixelDataCorrupt: There is none, or it makes no sense.
        TooComplex: More than ``most_scans`` scans.
        Truncated: The codestream ends before its end marker.
    """
    try:
        if stream.startswith(_SIZ):
            return _jpeg_2000(stream)
        return _jpeg(stream, most_scans)
    except (struct.error, IndexError):
        raise PixelDataCorrupt("The codestream ends inside its header.") from None


def end_of_image(stream: bytes) -> int:
    """Offset of the end marker of a JPEG codestream; other pictures may follow it.

    Raises:
        Truncated: There is none.
    """
    *_, (_, behind) = _segments(stream)
    return behind - 2


def _jpeg_2000(stream: bytes) -> CodestreamHeader:
    """SIZ: capabilities, extent and offset of the reference grid, tiles, components."""
    x1, y1, x0, y0 = struct.unpack_from(">4I", stream, 8)
    components, depth, x_step, y_step = struct.unpack_from(">HBBB", stream, 40)
    if not (x_step == y_step == 1) or x1 <= x0 or y1 <= y0:
        raise PixelDataCorrupt("The codestream has no pixels, or subsampled ones.")
    end = check_tiles(stream)
    end += 2 * (stream[end : end + 2] == _END_OF_CODESTREAM)
    return CodestreamHeader(y1 - y0, x1 - x0, components, (depth & 0x7F) + 1, 0x51, end)


def _jpeg(stream: bytes, most_scans: int) -> CodestreamHeader:
    frames: list[tuple[int, int]] = []
    scans = at = 0
    for marker, at in _segments(stream):
        if marker in _FRAMES:
            frames.append((marker, at))
        scans += marker == _START_OF_SCAN
        if scans > most_scans:
            raise TooComplex(f"The codestream has more than {most_scans} scans.")
    if len(frames) != 1 or scans == 0:
        raise PixelDataCorrupt("The codestream has no frame header or scan, or several frames.")
    return _frame_header(stream, *frames[0], nbytes=at)


def _frame_header(stream: bytes, marker: int, at: int, nbytes: int) -> CodestreamHeader:
    precision, rows, columns, components = struct.unpack_from(">BHHB", stream, at + 2)
    if 0 in (rows, columns):
        raise PixelDataCorrupt("The codestream declares no picture.")
    return CodestreamHeader(rows, columns, components, precision, marker, nbytes)


def _segments(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker with the offset behind it, up to and with the end of the image."""
    if not stream.startswith(b"\xff\xd8"):
        raise PixelDataCorrupt("The codestream does not begin with a known marker.")
    at = 2
    while True:
        at = stream.find(b"\xff", at)
        if at < 0 or at + 1 >= len(stream):
            raise Truncated("The codestream has no end marker.")
        marker = stream[at + 1]
        at += 1 if marker == 0xFF else 2
        if marker == _END_OF_IMAGE:
            yield marker, at
            return
        if marker in (0x00, 0xFF) or marker in _STANDALONE or marker < 0x80:
            continue
        yield marker, at
        at += struct.unpack_from(">H", stream, at)[0]
