"""What an anatomy decoder's masks say about a film, and whether they can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pacx.masks import Mask, cleaned, raw_masks
from pacx.measures import Cardiothoracic, Spacing, areas_mm2, cardiothoracic, counts
from pacx.preprocessing import Geometry
from pacx.radiograph import ImageWarning

SHARES = {"heart": (0.02, 0.20), "lung": (0.02, 0.30)}
"""Least and greatest share of the picture: of 110 outlined films 0.033-0.135 and 0.039-0.231."""
LEAST_STEP = 0.02
"""Least distance, right lung to heart to left lung and lungs to heart, in picture sides."""
LEAST_WIDENING = 1.25
"""Least quotient of the gap between the lungs in the lower and in the upper third of the rows that
cross both: the heart widens it. Of 533 adult NIH films one had less than 1.39, and of the same
films upside down one in a hundred had more than 1.25 (``docs/results/anatomy.md``)."""
LEAST_PIECE = 0.75
"""Least share of a structure's pixels that its largest piece holds."""
RATIOS = (0.25, 0.95)
"""Cardiothoracic ratios that are believed; 110 outlined films had 0.35-0.89."""

_NOT_SEEN = (
    "Heart and lungs do not look like those of a frontal chest film, so nothing is measured."
)
_UPSIDE_DOWN = (
    "The film may be upside down: the gap between the lungs grows narrower towards the bottom of "
    "the picture, where the heart should widen it. Nothing is measured."
)
_LATERAL = "Heart and lungs are measured on frontal films only, and this is a lateral one."
_SUPINE = (
    "AP films, such as those of patients who lie, enlarge the heart: the cardiothoracic ratio is "
    "not comparable with PA films."
)
_UNKNOWN = "The view is unknown: the cardiothoracic ratio is meant for upright PA films."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Anatomy:
    """Heart and lungs of one film.

    Attributes:
        masks: bool ``[3, S, S]`` on the model's input grid, in the order of ``STRUCTURES``.
        cardiothoracic: None where the masks are implausible.
        heart_area_mm2: None where implausible or where spacing is unknown; at the detector.
        right_lung_area_mm2: The same for the patient's right lung.
        left_lung_area_mm2: The same for the left one.
        faults: Why the masks are implausible: ``missing``, ``fragmented``, ``size``, ``position``,
            ``upside_down``, ``ratio`` or ``view``; empty where they are not.
        warnings: What a reader should know before using the numbers.
    """

    masks: Mask
    cardiothoracic: Cardiothoracic | None
    heart_area_mm2: float | None
    right_lung_area_mm2: float | None
    left_lung_area_mm2: float | None
    faults: tuple[str, ...]
    warnings: tuple[ImageWarning, ...]

    @property
    def plausible(self) -> bool:
        """Whether this looks like heart and lungs of a frontal chest film."""
        return not self.faults


def measure_anatomy(
    logits: NDArray[np.float32],
    geometry: Geometry,
    *,
    spacing_mm: Spacing | None = None,
    view: str | None = None,
) -> Anatomy:
    """Measure a film from its decoder's logits; implausible masks measure nothing.

    Args:
        logits: float32 ``[3, side, side]``, positive inside a structure.
        geometry: The way from the model's input to the original picture.
        spacing_mm: Distance between rows and between columns, None where unknown.
        view: ``PA``, ``AP``, ``LATERAL`` or None.
    """
    raw = raw_masks(logits, geometry.size)
    masks = cleaned(raw)
    ratio = cardiothoracic(masks, geometry)
    faults = find_faults(raw, masks)
    if not faults and (ratio is None or not RATIOS[0] <= ratio.ratio <= RATIOS[1]):
        faults = ("ratio",)
    if not faults and view == "LATERAL":
        faults = ("view",)
    measured = spacing_mm is not None and not faults
    areas = areas_mm2(masks, geometry, spacing_mm) if measured and spacing_mm else (None,) * 3
    return Anatomy(
        masks=masks,
        cardiothoracic=None if faults else ratio,
        heart_area_mm2=areas[0],
        right_lung_area_mm2=areas[1],
        left_lung_area_mm2=areas[2],
        faults=faults,
        warnings=_warnings(faults, view),
    )


def find_faults(raw: Mask, masks: Mask) -> tuple[str, ...]:
    """Say why masks cannot be heart and lungs of a frontal film.

    Args:
        raw: bool ``[3, S, S]`` as the decoder gave them.
        masks: The largest piece of each.

    Returns:
        ``missing`` alone, or any of ``fragmented``, ``size``, ``position`` and ``upside_down``.
    """
    if not masks.any(axis=(1, 2)).all():
        return ("missing",)
    checks = {
        "fragmented": all(map(_holds_together, raw, masks)),
        "size": _sizes_fit(masks),
        "position": _positions_fit(masks),
        "upside_down": _widens_downwards(masks),
    }
    return tuple(fault for fault, passed in checks.items() if not passed)


def _holds_together(raw: Mask, mask: Mask) -> bool:
    return bool(np.count_nonzero(raw & mask) >= LEAST_PIECE * np.count_nonzero(raw))


def _sizes_fit(masks: Mask) -> bool:
    limits = (SHARES["heart"], SHARES["lung"], SHARES["lung"])
    shares = [np.count_nonzero(mask) / mask.size for mask in masks]
    return all(low <= share <= high for share, (low, high) in zip(shares, limits, strict=True))


def _positions_fit(masks: Mask) -> bool:
    """From left to right: right lung, heart, left lung; the heart below the lungs' middle."""
    heart, right, left = np.transpose([_centres(along) for along in counts(masks)])
    step = LEAST_STEP * masks.shape[1]
    in_order = all(a + step <= b for a, b in pairwise((right[1], heart[1], left[1])))
    return bool(in_order and (right[0] + left[0]) / 2 + step <= heart[0])


def _widens_downwards(masks: Mask) -> bool:
    """Whether the gap between the lungs is wider where the heart lies than between the apices.

    A quotient of widths does not depend on how the film was squashed. Where no row crosses both
    lungs this says nothing; the ratio is missing then.
    """
    _, right, left = masks
    rows = np.flatnonzero(right.any(axis=1) & left.any(axis=1))
    if not len(rows):
        return True
    ends_of_right = masks.shape[2] - right[rows, ::-1].argmax(axis=1)
    gaps = left[rows].argmax(axis=1) - ends_of_right
    third = max(1, len(rows) // 3)
    return bool(gaps[-third:].mean() >= LEAST_WIDENING * gaps[:third].mean())


def _centres(counted: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean place of the pixels counted along an axis, ``[3, S]`` -> ``[3]``; there must be one."""
    places = np.arange(counted.shape[1], dtype=np.float64)
    return np.asarray(counted @ places / counted.sum(axis=1))


def _warnings(faults: tuple[str, ...], view: str | None) -> tuple[ImageWarning, ...]:
    if faults == ("view",):
        return (ImageWarning("anatomy_implausible", _LATERAL),)
    if faults:
        turned = "upside_down" in faults and {*faults} <= {"position", "upside_down"}
        return (ImageWarning("anatomy_implausible", _UPSIDE_DOWN if turned else _NOT_SEEN),)
    if view is None:
        return (ImageWarning("view_unknown", _UNKNOWN),)
    return (ImageWarning("heart_enlarged_by_view", _SUPINE),) if view == "AP" else ()
