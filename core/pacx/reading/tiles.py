"""Whether a JPEG 2000 codestream holds all its tiles (ISO/IEC 15444-1 annexes A.4 and B.3).

A decoder paints tiles that are missing in one grey, so that a few bytes could pass as a film.
"""

from __future__ import annotations

import struct

from pacx.errors import PixelDataCorrupt

_SOT = b"\xff\x90"
_EMPTY_TILE_PART_BYTES = 14
_MOST_TILES = 65_535


def check_tiles(stream: bytes) -> int:
    """Find a tile-part that is not empty for every tile of the reference grid.

    Args:
        stream: From its SIZ segment on.

    Returns:
        Offset behind the last tile-part.

    Raises:
        PixelDataCorrupt: A tile is missing, or a tile-part is longer than the codestream.
        struct.error: The codestream ends inside a header.
    """
    at = _first_tile_part(stream)
    found: set[int] = set()
    while stream[at : at + 2] == _SOT:
        tile, length = struct.unpack_from(">HI", stream, at + 4)
        length = length or len(stream) - at
        if not _EMPTY_TILE_PART_BYTES <= length <= len(stream) - at:
            raise PixelDataCorrupt("A tile of the codestream has an impossible length.")
        if length > _EMPTY_TILE_PART_BYTES:
            found.add(tile)
        at += length
    tiles = _tiles(stream)
    if tiles > _MOST_TILES or found != set(range(tiles)):
        raise PixelDataCorrupt("Tiles of the codestream are missing.")
    return at


def _first_tile_part(stream: bytes) -> int:
    """Skip the segments of the main header."""
    at = 2
    while at < len(stream) and stream[at : at + 2] != _SOT:
        (length,) = struct.unpack_from(">H", stream, at + 2)
        at += 2 + length
    return at


def _tiles(stream: bytes) -> int:
    """Tiles of the reference grid, by the SIZ segment."""
    x1, y1, _, _, x_step, y_step, x0, y0 = struct.unpack_from(">8I", stream, 8)
    if 0 in (x_step, y_step):
        raise PixelDataCorrupt("The codestream has tiles of no size.")
    return int(-((x0 - x1) // x_step) * -((y0 - y1) // y_step))
