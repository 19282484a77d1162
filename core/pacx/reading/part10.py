"""A DICOM file's container: preamble, file meta group, transfer syntax, inflation (PS3.10)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from pacx.errors import InflatedTooLarge, MalformedImage, NoPixelData, NotAnImage, Truncated
from pacx.reading.content import Content
from pacx.reading.elements import DataSet, Encoding, plausible_vr, read_header, walk
from pacx.reading.limits import ReadingLimits
from pacx.reading.sniffing import PREAMBLE_BYTES, lacks_preamble
from pacx.reading.transfer_syntaxes import TransferSyntax, transfer_syntax
from pacx.reading.values import Values

_META_GROUP = 0x0002
_MEDIA_STORAGE_SOP_CLASS = 0x00020002
_TRANSFER_SYNTAX = 0x00020010
_META_WANTED = frozenset({_MEDIA_STORAGE_SOP_CLASS, _TRANSFER_SYNTAX})
_EXPLICIT_LITTLE = Encoding(implicit=False)
_DICOMDIR = "1.2.840.10008.1.3.10"
_MOST_META_ELEMENTS = 64
_INFLATE_STEP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part10:
    """A parsed container.

    Attributes:
        syntax: Transfer syntax of the data set.
        encoding: How its elements are really written.
        content: Bytes that the elements' offsets refer to; inflated where they were deflated.
        data_set: The wanted elements.
    """

    syntax: TransferSyntax
    encoding: Encoding
    content: Content
    data_set: DataSet

    @property
    def values(self) -> Values:
        """Typed access to the wanted elements."""
        return Values(self.content, self.data_set, self.encoding.order)


def open_part10(content: Content, wanted: frozenset[int], limits: ReadingLimits) -> Part10:
    """Parse a DICOM file as far as its pixel data.

    The file meta group comes first and its transfer syntax is looked up in the allow-list before
    anything is inflated or walked.

    Raises:
        NotAnImage: The file meta group does not parse.
        UnsupportedTransferSyntax: Not on the allow-list.
        NoPixelData: The file is a DICOMDIR.
        Truncated, TooDeep, TooComplex, MalformedImage, InflatedTooLarge: See :func:`walk`.
    """
    meta, start = _file_meta(content, limits)
    if meta.text(_MEDIA_STORAGE_SOP_CLASS) == _DICOMDIR:
        raise NoPixelData("A DICOMDIR lists other files and holds no picture.")
    syntax = transfer_syntax(meta.text(_TRANSFER_SYNTAX))
    if syntax.deflated:
        content, start = _inflate(content, start, limits.inflated_bytes), 0
    encoding = _real_encoding(content, start, syntax)
    return Part10(syntax, encoding, content, walk(content, start, encoding, wanted, limits))


def _file_meta(content: Content, limits: ReadingLimits) -> tuple[Values, int]:
    """Read group 0002, always in explicit VR little endian (PS3.10 section 7.1)."""
    start = 0 if lacks_preamble(content) else PREAMBLE_BYTES
    at = start = start + 4 if content[start : start + 4] == b"DICM" else start
    for _ in range(_MOST_META_ELEMENTS):
        if at == len(content) or _group(content, at) != _META_GROUP:
            break
        _, vr, length, value = read_header(content, at, _EXPLICIT_LITTLE)
        if not vr:
            raise NotAnImage("The DICOM file meta group cannot be parsed.")
        at = value + length
        if at > len(content):
            raise Truncated("The file ends inside its file meta group.")
    if at == start:
        raise NotAnImage("The file has no DICOM file meta group.")
    found = walk(content[:at], start, _EXPLICIT_LITTLE, _META_WANTED, limits)
    return Values(content, found, "<"), at


def _group(content: Content, at: int) -> int:
    try:
        return int(struct.unpack_from("<H", content, at)[0])
    except struct.error:
        raise Truncated("The file ends inside its file meta group.") from None


def _real_encoding(content: Content, start: int, syntax: TransferSyntax) -> Encoding:
    """Look whether the first element carries a VR; some writers disagree with their own header."""
    implicit = not plausible_vr(content[start + 4 : start + 6])
    return Encoding(implicit=implicit, big_endian=syntax.big_endian)


def _inflate(content: Content, start: int, most: int) -> bytes:
    """Inflate a raw RFC 1951 stream (PS3.5 section A.5) without ever exceeding ``most`` bytes."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    pending, parts, total = content[start:], [], 0
    while pending and not inflater.eof:
        try:
            parts.append(inflater.decompress(pending, _INFLATE_STEP_BYTES))
        except zlib.error:
            raise MalformedImage("The deflated data set is damaged.") from None
        pending, total = inflater.unconsumed_tail, total + len(parts[-1])
        if total > most:
            raise InflatedTooLarge(f"The data set inflates to more than {most} bytes.")
    if not inflater.eof:
        raise Truncated("The deflated data set ends too early.")
    return b"".join(parts)
