"""A bounded walk over the elements of a DICOM data set (PS3.5 section 7).

The walk visits every element up to the pixel data without recursion, counts them, and keeps where
the few wanted values lie. Nothing else, the patient's name least of all, becomes an object. It is
done before (and instead of) a general parser because those recurse, inflate and materialise
without a bound.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, keyword_dict

from pacx.errors import MalformedImage, TooComplex, TooDeep, Truncated
from pacx.reading.content import Content
from pacx.reading.limits import ReadingLimits

PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"}
    | {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_SEQUENCE_TAGS = frozenset(tag for tag in keyword_dict.values() if dictionary_VR(tag) == "SQ")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written: with or without VR, and in which byte order."""

    implicit: bool
    big_endian: bool = False

    @property
    def order(self) -> str:
        """Byte order in the notation of :mod:`struct` and numpy."""
        return ">" if self.big_endian else "<"


@dataclass(frozen=True, slots=True)
class Element:
    """Where a wanted value lies.

    Attributes:
        vr: Two letters, or empty where the encoding does not say.
        offset: First byte of the value.
        length: Bytes of the value, or ``UNDEFINED``.
        items: Data sets of a sequence's items.
    """

    vr: bytes
    offset: int
    length: int
    items: list[DataSet] = field(default_factory=list)


DataSet = dict[int, Element]


@dataclass(slots=True)
class _Level:
    """One open sequence or item.

    Attributes:
        end: First byte behind it, or ``UNDEFINED`` where a delimiter ends it.
        encoding: Of the elements inside.
        keep: Wanted elements inside an item; None inside a sequence.
        items: Where the items of a wanted sequence go; None where nothing of it is wanted.
        fragments: Items hold bytes instead of elements (encapsulated pixel data).
    """

    end: int
    encoding: Encoding
    keep: DataSet | None = None
    items: list[DataSet] | None = None
    fragments: bool = False


def plausible_vr(vr: bytes) -> bool:
    """Whether two bytes name a value representation of PS3.5 section 6.2."""
    return vr in _LONG_VRS or vr in _SHORT_VRS


def read_header(content: Content, at: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
    """Read the tag, VR and length of the element at ``at`` (PS3.5 section 7.1).

    An element whose VR is none of the standard's, in a file that should name VRs, is read as
    though it had none: such mixtures are written by real devices.

    Returns:
        Tag, VR (empty where not written), length of the value, offset of the value.

    Raises:
        Truncated: The file ends inside.
    """
    order = encoding.order
    try:
        group, element = struct.unpack_from(order + "HH", content, at)
        tag, vr = group << 16 | element, content[at + 4 : at + 6]
        if encoding.implicit or group == 0xFFFE or not plausible_vr(vr):
            return tag, b"", struct.unpack_from(order + "I", content, at + 4)[0], at + 8
        if vr in _LONG_VRS:
            return tag, vr, struct.unpack_from(order + "I", content, at + 8)[0], at + 12
        return tag, vr, struct.unpack_from(order + "H", content, at + 6)[0], at + 8
    except struct.error:
        raise Truncated("The file ends inside the header of an element.") from None


def walk(
    content: Content, start: int, encoding: Encoding, wanted: frozenset[int], limits: ReadingLimits
) -> DataSet:
    """Find the wanted elements of a data set, up to and including its pixel data.

    Raises:
        Truncated: A value reaches beyond the file.
        TooDeep: Sequences nest deeper than ``limits.depth``.
        TooComplex: More elements and items than ``limits.elements``.
        MalformedImage: Sequences and items do not fit into one another.
    """
    return _Walk(content, encoding, wanted, limits).run(start)


class _Walk:
    """State of one walk: where it stands, what is open, how much has been seen."""

    def __init__(
        self, content: Content, encoding: Encoding, wanted: frozenset[int], limits: ReadingLimits
    ) -> None:
        self._content = content
        self._wanted = wanted
        self._limits = limits
        self._found: DataSet = {}
        self._open = [_Level(len(content), encoding, keep=self._found)]
        self._seen = 0
        self._at = 0

    def run(self, start: int) -> DataSet:
        self._at = start
        while self._open and PIXEL_DATA not in self._found:
            level = self._open[-1]
            if self._at == level.end:
                self._open.pop()
            elif level.end != UNDEFINED and self._at > level.end:
                raise MalformedImage("An element reaches beyond the sequence that holds it.")
            else:
                self._step(level)
        return self._found

    def _step(self, level: _Level) -> None:
        self._seen += 1
        if self._seen > self._limits.elements:
            raise TooComplex(f"More than {self._limits.elements} elements before the pixel data.")
        if level.keep is None:
            self._item(level)
        else:
            self._element(level, level.keep)

    def _item(self, level: _Level) -> None:
        tag, _, length, value = read_header(self._content, self._at, level.encoding)
        self._at = value
        if tag == _SEQUENCE_END:
            self._close(level)
        elif tag != _ITEM:
            raise MalformedImage("A sequence holds something that is not an item.")
        elif level.fragments:
            self._skip(length)
        else:
            data_set: DataSet = {}
            if level.items is not None:
                level.items.append(data_set)
            self._descend(_Level(self._end(length), level.encoding, keep=data_set))

    def _element(self, level: _Level, keep: DataSet) -> None:
        tag, vr, length, value = read_header(self._content, self._at, level.encoding)
        self._at = value
        if tag == _ITEM_END:
            self._close(level)
            return
        element = Element(vr, value, length)
        if tag in self._wanted:
            keep[tag] = element
        if tag == PIXEL_DATA and len(self._open) == 1:
            keep[tag] = element
        elif length == UNDEFINED or self._is_sequence(tag, vr):
            self._sequence(level, tag, element)
        else:
            self._skip(length)

    def _is_sequence(self, tag: int, vr: bytes) -> bool:
        """What names no VR is one by its tag; of unknown VR only what is wanted is opened."""
        named = not vr or (vr == b"UN" and tag in self._wanted)
        return vr == b"SQ" or (named and tag in _SEQUENCE_TAGS)

    def _sequence(self, level: _Level, tag: int, element: Element) -> None:
        """Open a sequence; of unknown VR it is in implicit little endian (PS3.5 section 6.2.2)."""
        unknown = element.vr == b"UN"
        encoding = Encoding(implicit=True) if unknown else level.encoding
        fragments = tag == PIXEL_DATA or element.vr not in (b"SQ", b"UN", b"")
        items = element.items if tag in self._wanted else None
        end = self._end(element.length)
        self._descend(_Level(end, encoding, items=items, fragments=fragments))

    def _descend(self, level: _Level) -> None:
        if len(self._open) > 2 * self._limits.depth:
            raise TooDeep(f"Sequences nest deeper than {self._limits.depth} levels.")
        self._open.append(level)

    def _close(self, level: _Level) -> None:
        if level.end != UNDEFINED or len(self._open) == 1:
            raise MalformedImage("A delimiter ends something that was not open.")
        self._open.pop()

    def _end(self, length: int) -> int:
        return UNDEFINED if length == UNDEFINED else self._checked_end(length)

    def _skip(self, length: int) -> None:
        self._at = self._checked_end(length)

    def _checked_end(self, length: int) -> int:
        end = self._at + length
        if end > len(self._content):
            raise Truncated("An element is longer than what is left of the file.")
        return end
