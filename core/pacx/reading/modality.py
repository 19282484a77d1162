"""The modality transformation: stored values to the device's units (PS3.3 section C.11.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pacx.errors import UnusableImage
from pacx.reading import tags
from pacx.reading.lookup_table import Float64s, LookupTable, first_lookup_table
from pacx.reading.values import Values

_LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Rescale:
    """Output = slope * stored value + intercept (section C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, values: Float64s) -> Float64s:
        """Apply the line."""
        return values * self.slope + self.intercept


Modality = Rescale | LookupTable


def read_modality(values: Values, *, signed: bool) -> Modality:
    """The table of the Modality LUT Sequence if there is one, else the rescale line.

    Raises:
        UnusableImage: A slope of zero, or one of the two is not finite.
        MalformedImage: The table is broken.
    """
    table = first_lookup_table(values, tags.MODALITY_LUT_SEQUENCE, signed=signed)
    if table is not None:
        return table
    slope = values.decimal(tags.RESCALE_SLOPE)
    intercept = values.decimal(tags.RESCALE_INTERCEPT)
    rescale = Rescale(1.0 if slope is None else slope, intercept or 0.0)
    if not _usable(rescale.slope) or rescale.slope == 0 or not _usable(rescale.intercept):
        raise UnusableImage("The rescale slope is zero, or slope or intercept is not finite.")
    return rescale


def _usable(number: float) -> bool:
    return math.isfinite(number) and abs(number) < _LARGEST
