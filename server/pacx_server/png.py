"""PNG files from arrays, with the one filter and compressor that measured best for radiographs.

Pillow tries all five filters on every line and spends most of its time there; on a film of
2048 x 2500 the fixed filter "Sub" with libdeflate is several times faster and no larger
(``benchmarks/render.py``).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SUB_FILTER = 1
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


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
    lines = _filtered(pixels, samples)
    chunks.append(_chunk(b"IDAT", bytes(imagecodecs.deflate_encode(lines.tobytes(), level=1))))
    return _SIGNATURE + b"".join(chunks) + _chunk(b"IEND", b"")


def _filtered(pixels: NDArray[np.uint8], samples: int) -> NDArray[np.uint8]:
    """Each line as differences to the sample one pixel to the left, behind the filter's number."""
    lines = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    filtered = np.empty((len(lines), lines.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _SUB_FILTER
    filtered[:, 1 : samples + 1] = lines[:, :samples]
    np.subtract(lines[:, samples:], lines[:, :-samples], out=filtered[:, samples + 1 :])
    return filtered


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)
