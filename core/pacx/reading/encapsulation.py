"""One codestream out of encapsulated pixel data (PS3.5 section A.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pacx.errors import MultiFrame, PixelDataCorrupt, TooComplex, Truncated
from pacx.reading.codestream import FRAME_STARTS
from pacx.reading.content import Content

_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_MOST_FRAGMENTS = 10_000


def codestream(content: Content, start: int, *, fragmented: bool) -> bytes:
    """Join the fragments of the only frame, whose items begin at ``start``.

    The basic offset table is not needed for one frame, but tells of more.

    Args:
        content: The file.
        start: Offset of the offset table's item.
        fragmented: Whether a frame may have several fragments; one of RLE has not (section A.4.2).

    Raises:
        Truncated: The sequence of fragments has no end.
        MultiFrame: The offset table or the fragments tell of several frames.
        PixelDataCorrupt: There is no fragment, or something that is none.
        TooComplex: More fragments than a radiograph needs.
    """
    offset_table, *fragments = _items(content, start)
    if not fragments:
        raise PixelDataCorrupt("The encapsulated pixel data holds no frame.")
    frames = sum(fragment.startswith(FRAME_STARTS) for fragment in fragments)
    if len(offset_table) > 4 or frames > 1 or (len(fragments) > 1 and not fragmented):
        raise MultiFrame("The pixel data holds more than one frame.")
    return fragments[0] if len(fragments) == 1 else b"".join(fragments)


def _items(content: Content, start: int) -> list[bytes]:
    """Offset table and fragments; at least one entry."""
    items: list[bytes] = []
    for item in _walk(content, start):
        items.append(item)
        if len(items) > _MOST_FRAGMENTS:
            raise TooComplex(f"The frame is cut into more than {_MOST_FRAGMENTS} fragments.")
    if not items:
        raise PixelDataCorrupt("The encapsulated pixel data holds no frame.")
    return items


def _walk(content: Content, at: int) -> Iterator[bytes]:
    """Yield the items up to the sequence delimiter; encapsulation is always little endian."""
    while True:
        if at + 8 > len(content):
            raise Truncated("The file ends inside its pixel data.")
        group, element, length = struct.unpack_from("<HHI", content, at)
        at += 8
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise PixelDataCorrupt("The encapsulated pixel data is not a sequence of fragments.")
        if at + length > len(content):
            raise Truncated("The file ends inside its pixel data.")
        yield content[at : at + length]
        at += length
