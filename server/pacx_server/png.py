"""PNG files from arrays, with the one filter and compressor that measured best for radiographs.

Pillow tries all five filters on every line and spends most of its time there; on a film of
2048 x 2500 the fixed filter "Sub" with ISA-L's compressor, pieces of the film side by side, is many
times faster and hardly larger (``benchmarks/render.py``).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
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
_PIECE_BYTES = 2**21
"""What is worth a thread; the film's size alone decides, so that equal films make equal files."""


def encode_png(pixels: NDArray[np.uint8], text: Mapping[str, str] | None = None) -> bytes:
    """Write a PNG (ISO/IEC 15948) of 8 bits a sample.

    Args:
        pixels: uint8 ``[rows, columns]`` for grey, ``[rows, columns, 3]`` for RGB or 4 for RGBA.
        text: Latin-1 key words and texts, kept in ``tEXt`` chunks.
    """
    rows, columns = pixels.shape[:2]
    samples = pixels.size // (rows * columns)
    header = struct.pack(">IIBBBBB", columns, rows, 8, _COLOUR_TYPES[samples], 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    for keyword, value in (text or {}).items():
        line = keyword.encode("latin-1") + b"\0" + value.encode("latin-1", "replace")
        chunks.append(_chunk(b"tEXt", line))
    chunks.append(_chunk(b"IDAT", _compressed(_filtered(pixels, samples).data.cast("B"))))
    return _SIGNATURE + b"".join(chunks) + _chunk(b"IEND", b"")


def _filtered(pixels: NDArray[np.uint8], samples: int) -> NDArray[np.uint8]:
    """Each line as differences to the sample one pixel to the left, behind the filter's number."""
    lines = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    filtered = np.empty((len(lines), lines.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _SUB_FILTER
    filtered[:, 1 : samples + 1] = lines[:, :samples]
    np.subtract(lines[:, samples:], lines[:, :-samples], out=filtered[:, samples + 1 :])
    return filtered


def _compressed(data: memoryview) -> bytes:
    """A stream of zlib (RFC 1950) whose pieces are compressed side by side."""
    starts = range(0, len(data), _PIECE_BYTES)
    pieces = [data[start : start + _PIECE_BYTES] for start in starts]
    flushes = [isal_zlib.Z_FULL_FLUSH] * (len(pieces) - 1) + [isal_zlib.Z_FINISH]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        deflated = b"".join(pool.map(_deflated, pieces, flushes))
    return b"\x78\x01" + deflated + struct.pack(">I", isal_zlib.adler32(data))


def _deflated(piece: memoryview, flush: int) -> bytes:
    compressor = isal_zlib.compressobj(level=_LEVEL, wbits=_RAW)
    return bytes(compressor.compress(piece) + compressor.flush(flush))


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)
