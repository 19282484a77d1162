"""Values of the few wanted elements, by their value representation (PS3.5 section 6.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pacx.errors import MalformedImage
from pacx.reading.content import Content
from pacx.reading.elements import UNDEFINED, DataSet, Element

_LONGEST_TEXT_BYTES = 4096


class Values:
    """Typed access to elements that a walk has found; nothing is decoded before it is asked for.

    Messages name tags, never values.
    """

    def __init__(self, content: Content, data_set: DataSet, order: str) -> None:
        """Read from ``content`` in byte order ``order`` (``<`` or ``>``)."""
        self._content = content
        self._data_set = data_set
        self._order = order

    def __contains__(self, tag: int) -> bool:
        """Whether the element is there with a value that is not empty."""
        element = self._data_set.get(tag)
        return element is not None and element.length != 0

    def element(self, tag: int) -> Element | None:
        """Where the value of ``tag`` lies, or None where there is no such element."""
        return self._data_set.get(tag)

    def raw(self, tag: int) -> bytes:
        """Bytes of a value; empty where there is no such element."""
        element = self._data_set.get(tag)
        if element is None or element.length == UNDEFINED:
            return b""
        return self._content[element.offset : element.offset + element.length]

    def texts(self, tag: int) -> tuple[str, ...]:
        """Upper-case components of a code string or unique identifier; () where absent."""
        raw = self.raw(tag)
        if len(raw) > _LONGEST_TEXT_BYTES:
            raise MalformedImage(f"{_name(tag)} is longer than its type allows.")
        text = raw.decode("ascii", errors="replace")
        stripped = tuple(part.strip(" \0").upper() for part in text.split("\\"))
        return stripped if any(stripped) else ()

    def text(self, tag: int) -> str | None:
        """First component of a code string or unique identifier, or None."""
        return next(iter(self.texts(tag)), None)

    def decimals(self, tag: int) -> tuple[float, ...]:
        """Components of a decimal or integer string, in their places; () where absent.

        Empty ones, but for those at the end, and what is no number are NaN. The caller judges NaN
        and infinity: a broken spacing is unknown, a broken slope is fatal.
        """
        text = "\\".join(self.texts(tag)).rstrip("\\")
        return tuple(_number(part) for part in text.split("\\")) if text else ()

    def decimal(self, tag: int) -> float | None:
        """First component of a decimal or integer string, or None."""
        text = self.text(tag)
        return _number(text) if text else None

    def words(self, tag: int) -> NDArray[np.uint16]:
        """16-bit words of a US, SS or OW value; empty where absent.

        Raises:
            MalformedImage: Another type of value, or half a word.
        """
        element, raw = self._data_set.get(tag), self.raw(tag)
        if element is not None and element.vr not in (b"", b"US", b"SS", b"OW", b"OB", b"UN"):
            raise MalformedImage(f"{_name(tag)} has the wrong type.")
        if len(raw) % 2:
            raise MalformedImage(f"{_name(tag)} has an odd length.")
        return np.frombuffer(raw, dtype=f"{self._order}u2")

    def integer(self, tag: int) -> int | None:
        """The one unsigned 16-bit integer of a value, or None where absent.

        Raises:
            MalformedImage: Another type, or more than one.
        """
        words = self.words(tag)
        if len(words) > 1:
            raise MalformedImage(f"{_name(tag)} has more than one value.")
        return int(words[0]) if len(words) else None

    def items(self, tag: int) -> Iterator[Values]:
        """Data sets of a sequence's items."""
        element = self._data_set.get(tag)
        for item in element.items if element is not None else ():
            yield Values(self._content, item, self._order)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
