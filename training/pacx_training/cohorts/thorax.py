"""The shape of a simulated chest: what varies between people, and the outlines that follow.

Coordinates are those of a frontal film on a unit square: ``u`` runs from -1 (the picture's left,
the patient's right) to 1, ``v`` from -1 (top) to 1 (bottom). Proportions are drawn by hand after
what frontal films look like; unless a source is named, every constant here is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Mask = NDArray[np.bool_]
Side = Literal["right", "left"]

APEX = -0.78
"""Level of the lungs' upper end."""
BASE = 0.46
"""Level of the diaphragm's dome at full inspiration with a normal lung."""
HEART_TILT = np.deg2rad(38.0)
"""The heart's long axis points to the patient's left and down; tilt against the horizontal."""
HEART_ASPECT = 0.74
"""Short axis of the heart's silhouette divided by its long axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thorax:
    """What one simulated film shows; every quantity is exact by construction.

    Attributes:
        cardiothoracic_ratio: Width of the heart over the inner width of the chest, 0.36-0.72.
        congestion: 0 none, 1 alveolar oedema.
        right_effusion: Share of the right pleural space's height that is filled, 0-0.7.
        left_effusion: The same on the left.
        emphysema: 0 none, 1 flat diaphragm and very bright air.
        consolidation: 0 none, 1 a dense opacity.
        consolidated_side: Where it lies.
        aorta: 0 slim, 1 unfolded aortic arch.
        chest_wall: 0 slender, 1 obese.
        inspiration: 0 poor, 1 deep breath.
        rotation_degrees: Tilt of the patient in the picture's plane.
        scale: Size of the chest in the picture.
        shift_right: Offset of the chest, in ``u``.
        shift_down: Offset of the chest, in ``v``.
        left_atrium: 0 normal, 1 large: a dense disc below the carina and a full left heart border.
        vascular_pedicle: Width of the great vessels, 0 narrow (dry), 1 wide (overfilled).
        bone_density: 0 poor in calcium, 1 dense.
        pacemaker: Whether a generator and a lead are seen.
        dialysis_catheter: Whether a tunnelled catheter is seen on the right.
    """

    cardiothoracic_ratio: float = 0.47
    congestion: float = 0.0
    right_effusion: float = 0.0
    left_effusion: float = 0.0
    emphysema: float = 0.0
    consolidation: float = 0.0
    consolidated_side: Side = "right"
    aorta: float = 0.2
    chest_wall: float = 0.4
    inspiration: float = 0.8
    rotation_degrees: float = 0.0
    scale: float = 1.0
    shift_right: float = 0.0
    shift_down: float = 0.0
    left_atrium: float = 0.0
    vascular_pedicle: float = 0.3
    bone_density: float = 0.6
    pacemaker: bool = False
    dialysis_catheter: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that no outline can be drawn for.

        Raises:
            ValueError: A quantity is outside its range.
        """
        for field in fields(self):
            low, high = _RANGES.get(field.name, (0.0, 1.0))
            value = getattr(self, field.name)
            if field.name != "consolidated_side" and not low <= value <= high:
                raise ValueError(f"{field.name} must lie in [{low}, {high}]")


_RANGES: dict[str, tuple[float, float]] = {
    "cardiothoracic_ratio": (0.34, 0.74),
    "right_effusion": (0.0, 0.7),
    "left_effusion": (0.0, 0.7),
    "rotation_degrees": (-15.0, 15.0),
    "scale": (0.8, 1.15),
    "shift_right": (-0.15, 0.15),
    "shift_down": (-0.15, 0.15),
}


def draw_thorax(generator: np.random.Generator) -> Thorax:
    """Draw a chest at random, ill about half of the time; independent of any physiology."""

    def sometimes(probability: float, low: float, high: float) -> float:
        amount = float(generator.uniform(low, high))
        return amount if generator.random() < probability else 0.0

    return Thorax(
        cardiothoracic_ratio=float(np.clip(generator.normal(0.50, 0.07), 0.36, 0.72)),
        congestion=sometimes(0.3, 0.1, 1.0),
        right_effusion=sometimes(0.2, 0.08, 0.6),
        left_effusion=sometimes(0.2, 0.08, 0.6),
        emphysema=sometimes(0.2, 0.2, 1.0),
        consolidation=sometimes(0.2, 0.3, 1.0),
        consolidated_side="right" if generator.random() < 0.5 else "left",
        aorta=float(generator.random()),
        left_atrium=sometimes(0.2, 0.2, 1.0),
        vascular_pedicle=float(generator.beta(2, 3)),
        bone_density=float(generator.beta(4, 3)),
        pacemaker=bool(generator.random() < 0.05),
        dialysis_catheter=bool(generator.random() < 0.03),
        **draw_positioning(generator),
    )


def draw_positioning(generator: np.random.Generator) -> dict[str, float]:
    """Draw what depends on build and positioning rather than on illness.

    Returns:
        Values for the fields of :class:`Thorax` that say how a patient was filmed.
    """
    return {
        "chest_wall": float(generator.beta(2, 3)),
        "inspiration": float(generator.beta(4, 2)),
        "rotation_degrees": float(np.clip(generator.normal(0, 2.5), -8, 8)),
        "scale": float(generator.uniform(0.9, 1.06)),
        "shift_right": float(np.clip(generator.normal(0, 0.03), -0.08, 0.08)),
        "shift_down": float(np.clip(generator.normal(0, 0.03), -0.08, 0.08)),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The chest's own coordinates at the centre of every pixel, each ``[rows, columns]``."""

    u: Field
    v: Field


def frame(thorax: Thorax, shape: tuple[int, int]) -> Frame:
    """Lay the chest's coordinates over a picture of ``shape`` (rows, columns)."""
    rows, columns = shape
    v, u = np.meshgrid(
        (np.arange(rows) + 0.5) / rows * 2 - 1,
        (np.arange(columns) + 0.5) / columns * 2 - 1,
        indexing="ij",
    )
    u, v = u - thorax.shift_right, v - thorax.shift_down
    cosine, sine = (
        np.cos(np.deg2rad(thorax.rotation_degrees)),
        np.sin(np.deg2rad(thorax.rotation_degrees)),
    )
    return Frame((u * cosine + v * sine) / thorax.scale, (v * cosine - u * sine) / thorax.scale)


def inner_half_width(thorax: Thorax) -> float:
    """Half of the inner width of the chest at its widest, in ``u``; barrel-shaped in emphysema."""
    return 0.70 + 0.03 * thorax.emphysema - 0.03 * thorax.chest_wall


def diaphragm(thorax: Thorax, side: Side, at: Frame) -> Field:
    """Level of a diaphragm's dome for every ``u``: high in the middle, low at the chest wall."""
    level = BASE - 0.16 * (1 - thorax.inspiration) + 0.10 * thorax.emphysema
    level -= 0.05 if side == "right" else 0.0
    height = 0.20 * (1 - 0.75 * thorax.emphysema)
    offset = (_outwards(side, at) - 0.33) / 0.40
    return level + height * np.minimum(offset**2, 1.6)


def lung_space(thorax: Thorax, side: Side, at: Frame) -> Mask:
    """The pleural space of one side, fluid and what the heart hides included."""
    outwards = _outwards(side, at)
    depth = np.clip((at.v - APEX) / (0.2 - APEX), 0, 1)
    width = inner_half_width(thorax)
    outer = 0.20 + (width - 0.20) * np.sqrt(1 - (1 - depth) ** 2.4)
    inner = 0.07 + 0.10 * (1 - depth) ** 2 + 0.05 * thorax.aorta * (side == "left") * (depth < 0.5)
    inside = (outwards > inner) & (outwards < outer)
    return np.asarray(inside & (at.v > APEX) & (at.v < diaphragm(thorax, side, at)))


def heart_radius(thorax: Thorax, at: Frame) -> Field:
    """Distance from the heart's centre, 1 on its border.

    The silhouette is a tilted ellipse whose horizontal extent is the cardiothoracic ratio times
    the inner width of the chest; two fifths of it lie right of the midline.
    """
    half_width = thorax.cardiothoracic_ratio * inner_half_width(thorax)
    cosine, sine = np.cos(HEART_TILT), np.sin(HEART_TILT)
    long_axis = half_width / np.hypot(cosine, HEART_ASPECT * sine)
    half_height = long_axis * np.hypot(sine, HEART_ASPECT * cosine)
    level = BASE - 0.16 * (1 - thorax.inspiration) + 0.10 * thorax.emphysema
    across = at.u - 0.30 * half_width
    down = at.v - (level + 0.10 - half_height)
    along = across * cosine + down * sine
    beside = down * cosine - across * sine
    return np.asarray(np.hypot(along, beside / HEART_ASPECT) / long_axis)


def fluid(thorax: Thorax, side: Side, at: Frame) -> Mask:
    """Where pleural fluid stands: below a meniscus that climbs the chest wall."""
    amount = thorax.right_effusion if side == "right" else thorax.left_effusion
    if amount <= 0:
        return np.zeros(at.u.shape, dtype=bool)
    lowest = BASE + 0.22 + 0.10 * thorax.emphysema
    surface = lowest - amount * (lowest - APEX)
    climb = 0.18 * np.clip(_outwards(side, at) / inner_half_width(thorax), 0, 1) ** 4
    return lung_space(thorax, side, at) & (at.v > surface + 0.06 - climb)


def _outwards(side: Side, at: Frame) -> Field:
    return at.u if side == "left" else -at.u
