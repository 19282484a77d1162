"""What is run: the cohort, the recipe of every stage, and how the encoders are probed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pacx_training.cohorts.simulated.cohort import CohortPlan
from pacx_training.cohorts.simulated.physiology import State

Variant = Literal["stage 1", "stage 2", "without ECG", "without labs", "with retention"]
DISTILLED: dict[Variant, tuple[str, ...]] = {
    "stage 2": (),
    "without ECG": ("ecg=false",),
    "without labs": ("labs=false",),
    "with retention": ("objective.retention_weight=2",),
}
"""Overrides of the recipe's section ``distill`` that make each variant.

Retention is none of the paper's: it holds the patch tokens near those of stage 1.
"""

ECG_BORNE: tuple[State, ...] = ("age", "hypertension", "effusion", "conduction_delay")
"""Scores that the simulator's equations put into the electrocardiogram but into no laboratory
value (they reach laboratory values only through other scores)."""
LAB_BORNE: tuple[State, ...] = ("renal_dysfunction", "congestion", "liver_dysfunction")
"""Scores that the simulator's equations put into laboratory values but not into the ECG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproductionPlan:
    """One run of the reproduction.

    Attributes:
        recipe: YAML with the sections ``mae``, ``labs``, ``ecg`` and ``distill``.
        cohort: What is simulated; ``train`` trains everything, ``test`` is only measured.
        few_label_share: Share of the training films that the few-label probe may see.
        subsets: Number of such subsets.
        replicates: Bootstrap samples over test patients.
    """

    recipe: Path
    cohort: CohortPlan
    few_label_share: float = 0.01
    subsets: int = 5
    replicates: int = 2000


def full_plan(seed: int) -> ReproductionPlan:
    """ViT-Ti at 96 pixels on 2,000 visits, whose films are 128 pixels wide."""
    return ReproductionPlan(
        recipe=Path(__file__).with_name("full.yaml"),
        cohort=CohortPlan(
            visits=2000, seed=seed, size=128, missing_ecg=0.1, shares=(0.6, 0.06, 0.34)
        ),
    )


def quick_plan(seed: int) -> ReproductionPlan:
    """The same path in seconds; it shows that everything fits together and measures nothing."""
    return ReproductionPlan(
        recipe=Path(__file__).with_name("quick.yaml"),
        cohort=CohortPlan(visits=40, seed=seed, size=64, missing_ecg=0.1, shares=(0.6, 0.1, 0.3)),
        few_label_share=0.4,
        replicates=50,
    )
