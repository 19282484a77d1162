"""How the encoders compare, with intervals over patients, and which of the paper's claims hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from benchmarks.reproduction.plan import ECG_BORNE, LAB_BORNE, ReproductionPlan, Variant
from benchmarks.reproduction.probes import (
    Values,
    correlations,
    encode,
    heart_overlap,
    latent_scores,
    predictions,
    resampled,
)
from benchmarks.reproduction.teachers import teacher_knowledge
from pacx.manifest import Interval
from pacx_training.cohorts.paired import read_paired
from pacx_training.cohorts.simulated.physiology import STATES, State
from pacx_training.intervals import resampled_weights
from pacx_training.runs import RunDirectory
from pacx_training.student import Modality

Kind = Literal["every", "few"]
KINDS: Mapping[Kind, str] = {"every": "all labels", "few": "few labels"}
ABLATIONS: tuple[tuple[Variant, tuple[State, ...], tuple[State, ...]], ...] = (
    ("without ECG", ECG_BORNE, LAB_BORNE),
    ("without labs", LAB_BORNE, ECG_BORNE),
)


class Claim(BaseModel):
    """One claim, its measured size, and whether it holds."""

    model_config = ConfigDict(frozen=True)

    text: str
    size: Interval
    holds: bool


class Results(BaseModel):
    """``results.json``.

    Attributes:
        correlation: For each variant and probe (``all labels``, ``few labels``) the mean over
            all latent scores of the correlation with the truth on test films.
        by_state: The same for every score, all labels, as plain values.
        by_state_few_labels: The same with few labels.
        by_teacher: The same for ridges on the teachers' own embeddings, all labels.
        heart_iou: Mean intersection over union of the heart, for each variant.
        claims: The paper's, in miniature.
    """

    model_config = ConfigDict(frozen=True)

    correlation: dict[Variant, dict[str, Interval]]
    by_state: dict[Variant, dict[State, float]]
    by_state_few_labels: dict[Variant, dict[State, float]] = {}
    by_teacher: dict[Modality, dict[State, float]] = {}
    heart_iou: dict[Variant, float]
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One encoder under every bootstrap weighting; row 0 weighs all films alike.

    Attributes:
        every: Correlations with all labels, ``[R, states]``.
        few: The mean over subsets with few labels, ``[R, states]``.
        heart: Overlap ``[R]``.
    """

    every: Values
    few: Values
    heart: Values

    def mean(self, kind: Kind, states: tuple[State, ...] = STATES) -> Values:
        """Mean correlation over some scores, ``[R]``."""
        columns = [STATES.index(state) for state in states]
        return np.asarray(getattr(self, kind)[:, columns].mean(axis=1))


def compare(
    plan: ReproductionPlan,
    cohort: Path,
    runs: dict[Variant, RunDirectory],
    teachers: Mapping[Modality, Path],
) -> Results:
    """Probe every encoder, and both teachers, on the admissions of ``test``."""
    splits = read_paired(cohort).splits
    patients = splits["test"].patients.astype(np.str_)
    weights = resampled_weights(
        np.zeros(len(patients), np.bool_), patients, plan.replicates, np.random.default_rng(0)
    )
    weights = np.vstack([np.ones(len(patients)), weights])
    measured = {name: _measure(plan, cohort, run, weights) for name, run in runs.items()}
    return Results(
        correlation={
            name: {
                "all labels": _interval(one.mean("every")),
                "few labels": _interval(one.mean("few")),
            }
            for name, one in measured.items()
        },
        by_state={name: _by_state(one.every) for name, one in measured.items()},
        by_state_few_labels={name: _by_state(one.few) for name, one in measured.items()},
        by_teacher=teacher_knowledge(cohort, teachers),
        heart_iou={name: float(one.heart[0]) for name, one in measured.items()},
        claims=_claims(measured),
    )


def _by_state(values: Values) -> dict[State, float]:
    return dict(zip(STATES, map(float, values[0]), strict=True))


def _measure(plan: ReproductionPlan, cohort: Path, run: RunDirectory, weights: Values) -> Measured:
    splits, encoder = read_paired(cohort).splits, run.load_encoder()
    train, test = splits["train"], splits["test"]
    seen, unseen = encode(encoder, train), encode(encoder, test)
    known, truth = latent_scores(cohort, train), latent_scores(cohort, test)

    def correlated(rows: NDArray[np.int64]) -> Values:
        answer = predictions(seen.embeddings, known, unseen.embeddings, rows)
        return correlations(truth, answer, weights)

    generator = np.random.default_rng(1)
    count = max(4, round(plan.few_label_share * len(train)))
    subsets = [generator.choice(len(train), count, replace=False) for _ in range(plan.subsets)]
    side = encoder.config.image_size
    masks = [
        resampled(np.load(cohort / "truth" / f"masks_{split.name}.npy")[split.rows], side)
        for split in (train, test)
    ]
    overlap = heart_overlap(seen, unseen, *masks)
    return Measured(
        every=correlated(np.arange(len(train))),
        few=np.mean([correlated(rows) for rows in subsets], axis=0),
        heart=weights @ overlap / weights.sum(axis=1),
    )


def _claims(measured: dict[Variant, Measured]) -> tuple[Claim, ...]:
    before, after = measured["stage 1"], measured["stage 2"]
    every = after.mean("every") - before.mean("every")
    few = after.mean("few") - before.mean("few")
    gained = "Stage 2 predicts latent physiology better than stage 1, {} (gain in correlation)"
    retaining = measured["with retention"].mean("every") - before.mean("every")
    return (
        _positive(gained.format("all labels"), every),
        _positive(gained.format("few labels"), few),
        _positive("The gain is larger with few labels than with all (difference)", few - every),
        _keeps(measured, "stage 2"),
        _keeps(measured, "with retention"),
        _positive(f"{gained.format('all labels')}, with retention", retaining),
        *(
            _hurts(measured, variant, kind, own, other)
            for kind in KINDS
            for variant, own, other in ABLATIONS
        ),
    )


def _keeps(measured: dict[Variant, Measured], variant: Variant) -> Claim:
    change = _interval(100 * (measured[variant].heart - measured["stage 1"].heart))
    return Claim(
        text=f"Segmentation of the heart stays within 0.5 IoU points, {variant} (change, points)",
        size=change,
        holds=abs(change.value) <= 0.5,
    )


def _hurts(
    measured: dict[Variant, Measured],
    variant: Variant,
    kind: Kind,
    own: tuple[State, ...],
    other: tuple[State, ...],
) -> Claim:
    def loss(states: tuple[State, ...]) -> Values:
        return measured["stage 2"].mean(kind, states) - measured[variant].mean(kind, states)

    text = (
        f"Stage 2 {variant} loses more on {', '.join(own)} than on {', '.join(other)}, "
        f"{KINDS[kind]}"
    )
    return _positive(f"{text} (difference of losses)", loss(own) - loss(other))


def _positive(text: str, values: Values) -> Claim:
    interval = _interval(values)
    return Claim(text=text, size=interval, holds=interval.low > 0)


def _interval(values: Values) -> Interval:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return Interval(value=float(values[0]), low=float(low), high=float(high))
