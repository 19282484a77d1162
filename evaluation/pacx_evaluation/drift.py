"""Whether two sets of films look the same to an encoder and get the same scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from pacx.errors import BenchmarkError
from pacx.manifest import Interval
from pacx_evaluation.measurements import Frozen
from pacx_evaluation.protocols.probes import STRENGTHS
from pacx_evaluation.statistics.bootstrap import Bootstrap, Statistic, Values
from pacx_evaluation.statistics.discrimination import auroc
from pacx_evaluation.subjects.encoder import Embeddings, file_sha256
from pacx_training.cohorts.manifest import Cohort
from pacx_training.heads import fit_probe
from pacx_training.tasks import HeadsRecipe

MINIMUM_PATIENTS = 20


class ScoreDrift(Frozen):
    """How one finding's probabilities differ between two sets."""

    label: str
    kolmogorov_smirnov: float
    mean_first: float
    mean_second: float
    difference: Interval


class Drift(Frozen):
    """``drift.json``.

    Attributes:
        separability: AUROC with which a linear model tells the sets apart, on patients that it
            has not seen; 0.5 means that they look the same to the encoder.
        scores: By finding, where the encoder has findings.
    """

    films: tuple[int, int]
    patients: tuple[int, int]
    separability: Interval
    scores: tuple[ScoreDrift, ...]


def drift(
    embeddings: tuple[Embeddings, Embeddings],
    patients: tuple[NDArray[np.str_], NDArray[np.str_]],
    probabilities: Mapping[str, tuple[Values, Values]],
    bootstrap: Bootstrap,
) -> Drift:
    """Compare two sets of films.

    Args:
        embeddings: float32 ``[N, D]`` and ``[M, D]``.
        patients: str ``[N]`` and ``[M]``; the same name in both sets is the same patient.
        probabilities: By finding, ``[N]`` and ``[M]``.
        bootstrap: How intervals are resampled.

    Raises:
        BenchmarkError: A set has too few patients.
    """
    counts = [len(np.unique(names)) for names in patients]
    if min(counts) < MINIMUM_PATIENTS:
        raise BenchmarkError(f"Both sets need {MINIMUM_PATIENTS} patients or more.")
    second = np.repeat([False, True], [len(names) for names in patients])
    together = np.concatenate(patients)
    recipe = HeadsRecipe(findings=("second set",), inverse_regularisation=STRENGTHS)
    probe = fit_probe(np.concatenate(embeddings), second, together, recipe)
    separability = bootstrap.interval(auroc(second, probe.held_out), second, together)
    return Drift(
        films=(len(patients[0]), len(patients[1])),
        patients=(counts[0], counts[1]),
        separability=separability,
        scores=tuple(
            _score(label, values, second, together, bootstrap)
            for label, values in probabilities.items()
        ),
    )


def patients_of(cohort: Cohort) -> NDArray[np.str_]:
    """Names ``[N]`` under which two sets may be put together.

    Where a set names no patients, every film is one, and goes by the hash of its bytes: films of
    two sets are the same only if they are one picture.
    """
    if cohort.names_patients:
        return cohort.patients
    return np.array([file_sha256(path) for path in cohort.paths], dtype=np.str_)


def _score(
    label: str,
    values: tuple[Values, Values],
    second: NDArray[np.bool_],
    patients: NDArray[np.str_],
    bootstrap: Bootstrap,
) -> ScoreDrift:
    statistic = _difference_of_means(np.concatenate(values), second)
    return ScoreDrift(
        label=label,
        kolmogorov_smirnov=float(ks_2samp(*values).statistic),
        mean_first=float(values[0].mean()),
        mean_second=float(values[1].mean()),
        difference=bootstrap.interval(statistic, second, patients),
    )


def _difference_of_means(values: Values, second: NDArray[np.bool_]) -> Statistic:
    def statistic(weights: Values) -> Values:
        means = [(weights * part) @ values / (weights @ part) for part in (second, ~second)]
        return np.asarray(means[0] - means[1])

    return statistic
