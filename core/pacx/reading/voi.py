"""The values of interest: the device's units to a displayed grey (PS3.3 section C.11.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pacx.radiograph import ImageWarning
from pacx.reading import tags
from pacx.reading.lookup_table import Float64s, LookupTable, first_lookup_table
from pacx.reading.values import Values

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]

_FUNCTIONS: dict[str | None, Function] = {
    None: "LINEAR",
    "LINEAR": "LINEAR",
    "LINEAR_EXACT": "LINEAR_EXACT",
    "SIGMOID": "SIGMOID",
}
_SEVERAL = ImageWarning("several_windows", "The file offers several windows; the first is used.")
_INVALID = ImageWarning("window_invalid", "A window of the file is invalid and was left out.")
_UNKNOWN_FUNCTION = ImageWarning(
    "voi_function_unknown", "The VOI LUT function is unknown; LINEAR is used."
)


@dataclass(frozen=True, slots=True)
class Window:
    """A window of section C.11.2.1, with an output range of [0, 1]."""

    center: float
    width: float
    function: Function = "LINEAR"

    @property
    def valid(self) -> bool:
        """Width of at least 1 for LINEAR, above 0 for the others; both numbers finite."""
        if not (math.isfinite(self.center) and math.isfinite(self.width)):
            return False
        return self.width >= 1 if self.function == "LINEAR" else self.width > 0

    @property
    def line(self) -> tuple[float, float] | None:
        """Start and end of the ramp, or None where the window is a step or a sigmoid."""
        if self.function == "LINEAR" and self.width > 1:
            half = (self.width - 1) / 2
            return self.center - 0.5 - half, self.center - 0.5 + half
        if self.function == "LINEAR_EXACT":
            return self.center - self.width / 2, self.center + self.width / 2
        return None

    def __call__(self, values: Float64s) -> Float64s:
        """Apply the function of section C.11.2.1.2 or C.11.2.1.3."""
        if self.function == "SIGMOID":
            exponent = np.clip(-4 * (values - self.center) / self.width, -700, 700)
            return np.asarray(1 / (1 + np.exp(exponent)), dtype=np.float64)
        if self.line is None:
            return (values > self.center - 0.5).astype(np.float64)
        start, end = self.line
        return np.clip((values - start) / (end - start), 0.0, 1.0)


Voi = Window | LookupTable


def read_voi(values: Values, *, signed: bool) -> tuple[Voi | None, list[ImageWarning]]:
    """The first VOI lookup table, else the first valid window, else None.

    A window that section C.11.2.1.2 forbids is passed over, as though it had not been there.

    Args:
        values: Of the file.
        signed: Whether the modality transformation can give negative values.

    Raises:
        MalformedImage: The table is broken.
    """
    table = first_lookup_table(values, tags.VOI_LUT_SEQUENCE, signed=signed)
    if table is not None:
        return table, []
    name = values.text(tags.VOI_LUT_FUNCTION)
    function = _FUNCTIONS.get(name, "LINEAR")
    pairs = zip(
        values.decimals(tags.WINDOW_CENTER), values.decimals(tags.WINDOW_WIDTH), strict=False
    )
    windows = [Window(center, width, function) for center, width in pairs]
    valid = [window for window in windows if window.valid]
    warnings = [_INVALID] if len(valid) < len(windows) else []
    warnings += [_SEVERAL] if len(valid) > 1 else []
    warnings += [_UNKNOWN_FUNCTION] if name not in _FUNCTIONS else []
    return (valid[0] if valid else None), warnings
