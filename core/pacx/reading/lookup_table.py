"""Lookup tables: modality, VOI and palette (PS3.3 sections C.11.1, C.11.2 and C.7.9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.errors import MalformedImage
from pacx.reading import tags
from pacx.reading.values import Values

Float64s = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LookupTable:
    """A table over consecutive input values.

    Attributes:
        first: Input value that the first entry belongs to.
        entries: Output values.
        bits: Bits of an entry, 1 to 16.
    """

    first: int
    entries: NDArray[np.uint16]
    bits: int

    def __call__(self, values: Float64s) -> Float64s:
        """Look values up; those outside take the nearest entry, fractions are rounded."""
        last = len(self.entries) - 1
        index = np.clip(np.rint(values) - self.first, 0, last).astype(np.int64)
        found: Float64s = self.entries[index].astype(np.float64)
        return found

    def normalised(self, values: Float64s) -> Float64s:
        """Look values up and scale the entries' whole range to [0, 1]."""
        scaled: Float64s = np.minimum(self(values) / (2.0**self.bits - 1), 1.0)
        return scaled


def read_lookup_table(
    values: Values, descriptor_tag: int, data_tag: int, *, signed: bool
) -> LookupTable:
    """Read a descriptor and its data.

    Args:
        values: Where both lie.
        descriptor_tag: Number of entries (0 means 65,536), first input value, bits of an entry.
        data_tag: Entries of 16 bits, or of 8 where there are just as many bytes as entries.
        signed: Whether the first input value is a two's complement.

    Raises:
        MalformedImage: The two are missing or contradict each other.
    """
    descriptor = values.words(descriptor_tag)
    if len(descriptor) != 3:
        raise MalformedImage("A lookup table has no descriptor of three values.")
    count, first, bits = (int(word) for word in descriptor)
    count = count or 1 << 16
    if not 1 <= bits <= 16:
        raise MalformedImage("A lookup table declares entries of an impossible size.")
    if signed and first >= 1 << 15:
        first -= 1 << 16
    return LookupTable(first, _entries(values.words(data_tag), count), bits)


def first_lookup_table(values: Values, sequence_tag: int, *, signed: bool) -> LookupTable | None:
    """The table of a modality or VOI sequence's first item that is not empty, or None.

    Raises:
        MalformedImage: The table is broken.
    """
    for item in values.items(sequence_tag):
        if tags.LUT_DESCRIPTOR in item or tags.LUT_DATA in item:
            return read_lookup_table(item, tags.LUT_DESCRIPTOR, tags.LUT_DATA, signed=signed)
    return None


def _entries(words: NDArray[np.uint16], count: int) -> NDArray[np.uint16]:
    if len(words) >= count:
        return words[:count].astype(np.uint16)
    if len(words) == (count + 1) // 2:
        return words.astype("<u2").view(np.uint8)[:count].astype(np.uint16)
    raise MalformedImage("A lookup table is shorter than its descriptor says.")
