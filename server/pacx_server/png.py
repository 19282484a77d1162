"""PNG files from arrays, with the one filter and compressor that measured best for radiographs.

Pillow tries all five filters on every line and spends most of its time there; on a film of
2048 x 2500 the fixed filter "Sub" with ISA-L's compressor, pieces of the film side by side, is many
times faster and hardly larger (``benchmarks/render.py``).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SUB_FILTER = 1
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
_LEVEL = 2
_RAW = -15
"""Window bits of a stream of deflate without head and checksum."""
_PIECE_BYTES = 2**19
"""What stays in a processor's cache; the film's size alone decides, so that equal films make equal
files."""


def encode_png(pixels: NDArray[np.uint8], text: Mapping[str, str] | None = None) -> bytes:
    """Write a PNG (ISO/IEC 15948) of 8 bits a sample.

    Args:
        pixels: uint8 ``[rows, columns]`` for grey, ``[rows, columns, 3]`` for RGB or 4 for RGBA.
        text: Latin-1 key words and texts, kept in ``tEXt`` chunks.
    """
    rows, columns = pixels.shape[:2]
    samples = pixels.size // (rows * columns)
    return encode_bands((rows, columns, samples), lambda start, stop: pixels[start:stop], text)


def encode_bands(
    shape: tuple[int, int, int],
    band: Callable[[int, int], NDArray[np.uint8]],
    text: Mapping[str, str] | None = None,
) -> bytes:
    """Write a PNG of which a band of rows after the other is made, filtered and compressed.

    Args:
        shape: Rows, columns and samples of a pixel.
        band: Makes the rows from a first one up to an end; called by several threads.
        text: As ``encode_png`` takes it.
    """
    rows, columns, samples = shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, _COLOUR_TYPES[samples], 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    for keyword, value in (text or {}).items():
        line = keyword.encode("latin-1") + b"\0" + value.encode("latin-1", "replace")
        chunks.append(_chunk(b"tEXt", line))
    chunks.append(_chunk(b"IDAT", _compressed(shape, band)))
    return _SIGNATURE + b"".join(chunks) + _chunk(b"IEND", b"")


def _filtered(pixels: NDArray[np.uint8], samples: int) -> NDArray[np.uint8]:
    """Each line as differences to the sample one pixel to the left, behind the filter's number."""
    lines = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    filtered = np.empty((len(lines), lines.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _SUB_FILTER
    filtered[:, 1 : samples + 1] = lines[:, :samples]
    np.subtract(lines[:, samples:], lines[:, :-samples], out=filtered[:, samples + 1 :])
    return filtered


def _compressed(
    shape: tuple[int, int, int], band: Callable[[int, int], NDArray[np.uint8]]
) -> bytes:
    """A stream of zlib (RFC 1950) whose bands are made and compressed side by side."""
    rows, columns, samples = shape
    step = max(1, _PIECE_BYTES // (columns * samples + 1))

    def deflated(start: int) -> tuple[bytes, NDArray[np.uint8]]:
        stop = min(start + step, rows)
        filtered = _filtered(band(start, stop), samples)
        compressor = isal_zlib.compressobj(level=_LEVEL, wbits=_RAW)
        flush = isal_zlib.Z_FINISH if stop == rows else isal_zlib.Z_FULL_FLUSH
        return compressor.compress(filtered.data.cast("B")) + compressor.flush(flush), filtered

    checksum, pieces = 1, [b"\x78\x01"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for piece, filtered in pool.map(deflated, range(0, rows, step)):
            checksum = isal_zlib.adler32(filtered.data.cast("B"), checksum)
            pieces.append(piece)
    return b"".join([*pieces, struct.pack(">I", checksum)])


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)
