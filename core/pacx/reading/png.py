"""PNG files (W3C PNG, third edition)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import imagecodecs
from PIL import Image

from pacx.errors import MalformedImage, MultiFrame, TooComplex, Truncated
from pacx.reading.failures import reported_as
from pacx.reading.limits import ReadingLimits
from pacx.reading.orientation import orientation_of
from pacx.reading.picture import check_size
from pacx.reading.samples import Samples

Chunk = tuple[bytes, tuple[int, int]]

_SIGNATURE_BYTES = 8
_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_OVERHEAD_BYTES = 12


def read_png(content: bytes, limits: ReadingLimits) -> Samples:
    """Read grey or colour, any depth, palette, alpha and interlace.

    Raises:
        Truncated: The file ends before its last chunk does.
        MultiFrame: It is animated.
        MalformedImage: It breaks the rules of PNG.
        TooComplex: More chunks than ``limits.elements``.
        TooLarge, TooSmall: By its declared size.
    """
    chunks = list(_chunks(content, limits))
    named = dict(chunks)
    if b"acTL" in named:
        raise MultiFrame("The PNG file is animated; send one radiograph.")
    columns, rows = struct.unpack_from(">II", content, named[b"IHDR"][0])
    check_size(rows, columns, limits)
    with reported_as(MalformedImage, "The PNG file cannot be decoded."):
        values = imagecodecs.png_decode(_picture_only(content, chunks))
    return Samples(
        values=values.reshape(rows, columns, -1),
        decoder=imagecodecs.png_version(),
        orientation=_orientation(content, named.get(b"eXIf")),
    )


def _picture_only(content: bytes, chunks: list[Chunk]) -> bytes:
    """The file without texts and profiles, of which libpng would complain by name on stderr."""
    parts = [content[start - 8 : end + 4] for name, (start, end) in chunks if name in _PICTURE]
    return content[:_SIGNATURE_BYTES] + b"".join(parts)


def _chunks(content: bytes, limits: ReadingLimits) -> Iterator[Chunk]:
    """Yield the name, first byte and end of every chunk up to IEND; IHDR comes first."""
    at = _SIGNATURE_BYTES
    for count in range(limits.elements):
        if at + _OVERHEAD_BYTES > len(content):
            raise Truncated("The PNG file ends before its last chunk.")
        length, name = struct.unpack_from(">I4s", content, at)
        end = at + 8 + length
        if end + 4 > len(content):
            raise Truncated("The PNG file ends inside a chunk.")
        if count == 0 and (name, length) != (b"IHDR", 13):
            raise MalformedImage("The PNG file does not begin with its header.")
        yield name, (at + 8, end)
        if name == b"IEND":
            return
        at = end + 4
    raise TooComplex(f"The PNG file has more than {limits.elements} chunks.")


def _orientation(content: bytes, chunk: tuple[int, int] | None) -> int:
    if chunk is None:
        return 1
    exif = Image.Exif()
    with reported_as(MalformedImage, "The EXIF data of the PNG file is damaged."):
        exif.load(b"Exif\0\0" + content[slice(*chunk)])
        return orientation_of(exif)
