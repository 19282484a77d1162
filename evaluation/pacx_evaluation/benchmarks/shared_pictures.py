"""The same picture under the names of several patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pacx_evaluation.benchmarks.benchmark import Benchmark

WARNING = (
    "{films} films show pictures that {patients} patients have in common, byte by byte. These "
    "patients count as {groups}, in folds and in intervals; whose the films are only their "
    "source can say."
)


def with_patients_joined(benchmark: Benchmark) -> Benchmark:
    """Count patients who share a picture as one, and say so.

    Otherwise a fold would be tested on what it was fitted on, and intervals would count one film
    as two independent ones.

    Raises:
        BenchmarkError: Two splits share a picture.
    """
    cohort, digests = benchmark.cohort, np.array(benchmark.digests)
    names, first, patient = np.unique(cohort.patients, return_index=True, return_inverse=True)
    pictures, picture = np.unique(digests, return_inverse=True)
    group = _groups(patient, picture, len(names), len(pictures))
    joined = np.bincount(group)[group] > 1
    if not joined.any():
        return benchmark
    pairs = np.unique(np.stack([patient, picture]), axis=1)
    shared = np.bincount(pairs[1], minlength=len(pictures)) > 1
    warning = WARNING.format(
        films=int(shared[picture].sum()),
        patients=int(joined.sum()),
        groups=len(np.unique(group[joined])),
    )
    # A patient goes by the name of the first of those that he is joined with.
    leading = [min(first[group == number]) for number in group.tolist()]
    patients = cohort.patients[np.array(leading)[patient]]
    return replace(
        benchmark,
        cohort=replace(cohort, patients=patients),
        warnings=(*benchmark.warnings, warning),
    )


def _groups(
    patient: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    picture: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    patients: int,
    pictures: int,
) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """To which group each patient belongs: one is all who are linked through pictures."""
    size = patients + pictures
    links = coo_array((np.ones(len(patient)), (patient, patients + picture)), shape=(size, size))
    _, component = connected_components(links, directed=False)
    return np.asarray(component[:patients], dtype=np.intp)
