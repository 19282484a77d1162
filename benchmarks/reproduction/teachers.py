"""What the teachers know of the latent state: nothing else can reach an encoder through them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.reproduction.probes import correlations, latent_scores, predictions
from pacx_training.cohorts.paired import read_paired
from pacx_training.cohorts.simulated.physiology import STATES, State
from pacx_training.student import Modality
from pacx_training.teachers.features import Features, ecg_features, labs_features

_READERS = {"ecg": ecg_features, "labs": labs_features}


def teacher_knowledge(
    cohort: Path, teachers: Mapping[Modality, Path]
) -> dict[Modality, dict[State, float]]:
    """Correlation of a ridge on a teacher's embedding with every latent score, on ``test``.

    Admissions that lack a modality are left out for its teacher.

    Args:
        cohort: Of ``pacx simulate``.
        teachers: Their runs.
    """
    return {name: _knowledge(cohort, name, folder) for name, folder in teachers.items()}


def _knowledge(cohort: Path, name: Modality, folder: Path) -> dict[State, float]:
    splits = read_paired(cohort).splits
    train, test = (_READERS[name](folder, splits[split]) for split in ("train", "test"))
    known, truth = (latent_scores(cohort, splits[split]) for split in ("train", "test"))
    answer = predictions(
        _present(train), known[train.present], _present(test), np.arange(train.present.sum())
    )
    weights = np.ones((1, len(answer)))
    found = correlations(truth[test.present], answer, weights)[0]
    return dict(zip(STATES, map(float, found), strict=True))


def _present(features: Features) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return features.embeddings[features.present]
