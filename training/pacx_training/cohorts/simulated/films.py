"""From a latent state to the chest that is filmed.

Directions follow radiology textbooks (Hansell, Imaging of Diseases of the Chest; vascular pedicle:
Ely & Haponik, Chest 2002); sizes are assumptions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx_training.cohorts.simulated.physiology import STATES, Physiology
from pacx_training.cohorts.thorax import Side, Thorax, draw_positioning

Vector = NDArray[np.float64]

MEAN_CARDIOTHORACIC_RATIO = 0.505
"""Of adult inpatients filmed in mixed projections (assumption; 0.45 is usual in the healthy)."""
HEART_SIZE = {"heart_failure": 0.038, "hypertension": 0.012, "anaemia": 0.008, "emphysema": -0.016}
"""Change of the ratio per unit of score: failure, load and high output widen the heart, air
trapped around it narrows it."""
HEART_SIZE_NOISE = 0.022
"""Projection, breath and build, which have nothing to do with illness."""
RATIO_NOISE = 0.02
"""Standard deviation between what a film measures and what a state would give (assumption)."""
HEART_SHARE = {"heart_failure": 0.45, "congestion": 0.25, "effusion": 0.15, "emphysema": -0.40}
"""Standard deviations of the heart's share of the area of heart and lungs per unit of score:
failure widens the heart, wet and compressed lungs shrink, trapped air spreads them. Directions as
above; sizes are assumptions."""
HEART_SHARE_NOISE = 0.9
"""In standard deviations: wide, because the heart's width stands in the ratio already
(assumption)."""


def expected_heart_share(scores: Vector) -> Vector:
    """Return the mean standardised heart share for scores ``[..., states]``; shape ``[...]``."""
    return np.asarray(scores @ np.asarray([HEART_SHARE.get(state, 0.0) for state in STATES]))


def expected_cardiothoracic_ratio(scores: Vector) -> Vector:
    """Return the mean ratio for scores ``[..., states]``; shape ``[...]``."""
    weights = np.asarray([HEART_SIZE.get(state, 0.0) for state in STATES])
    return np.asarray(MEAN_CARDIOTHORACIC_RATIO + scores @ weights)


def draw_film(physiology: Physiology, generator: np.random.Generator) -> Thorax:
    """Draw the chest of one patient as one film shows it."""
    ratio = float(expected_cardiothoracic_ratio(np.asarray(physiology.scores)))
    ratio += float(generator.normal(0, HEART_SIZE_NOISE))
    right, left = _effusions(physiology, generator)
    side: Side = "right" if generator.random() < 0.6 else "left"
    return Thorax(
        cardiothoracic_ratio=float(np.clip(ratio, 0.36, 0.72)),
        congestion=_jitter(physiology.severity("congestion", onset=0.3), generator),
        right_effusion=right,
        left_effusion=left,
        emphysema=_jitter(physiology.severity("emphysema", onset=0.6), generator),
        consolidation=_consolidation(physiology, generator),
        consolidated_side=side,
        aorta=_share(0.5 * physiology.score("age") + 0.5 * physiology.score("hypertension")),
        left_atrium=_jitter(physiology.severity("atrial_fibrillation", onset=0.4), generator),
        vascular_pedicle=_share(
            0.5 * physiology.score("congestion") + 0.5 * physiology.score("renal_dysfunction")
        ),
        bone_density=_share(
            0.3 - 0.5 * physiology.score("age") - 0.4 * physiology.score("renal_dysfunction")
        ),
        pacemaker=is_paced(physiology),
        dialysis_catheter=physiology.score("renal_dysfunction") > 1.9,
        **draw_positioning(generator),
    )


def is_paced(physiology: Physiology) -> bool:
    """Return whether the patient wears a pacemaker: the worst two per cent of conduction."""
    return physiology.score("conduction_delay") > 2.05


def _effusions(physiology: Physiology, generator: np.random.Generator) -> tuple[float, float]:
    """Effusions of heart failure are larger on the right (Woodring, AJR 1984)."""
    amount = 0.6 * physiology.severity("effusion", onset=0.5)
    right, left = generator.beta(3, 2), generator.beta(2, 3)
    return float(np.clip(amount * right * 1.6, 0, 0.65)), float(
        np.clip(amount * left * 1.6, 0, 0.65)
    )


def _consolidation(physiology: Physiology, generator: np.random.Generator) -> float:
    """Not every inflammation sits in the lung: three in five do."""
    severity = physiology.severity("inflammation", onset=0.6)
    return _jitter(severity, generator) if generator.random() < 0.6 else 0.0


def _jitter(severity: float, generator: np.random.Generator) -> float:
    """Blur what is seen of an illness by a tenth of its range; nothing stays nothing."""
    if severity <= 0:
        return 0.0
    return float(np.clip(severity + generator.normal(0, 0.1), 0.02, 1))


def _share(score: float) -> float:
    """Squeeze a score into [0, 1] by the logistic function."""
    return float(1 / (1 + np.exp(-score)))
