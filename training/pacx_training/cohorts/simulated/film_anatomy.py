"""Heart and lungs of real films, measured by a bundle, as columns of their cohort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from pacx.anatomy import Anatomy, measure_anatomy
from pacx.errors import CohortError
from pacx.model import Model
from pacx.preprocessing import Geometry
from pacx_training.cohorts.images import prepared
from pacx_training.cohorts.manifest import Cohort

BATCH = 16


def with_anatomy(films: Cohort, model: Model) -> Cohort:
    """Add what a bundle's anatomy decoder measures on every film.

    Args:
        films: With or without such columns; those that it has are replaced.
        model: With an anatomy decoder.

    Returns:
        The same films with ``cardiothoracic_ratio``, and ``heart_share``: the heart's share of the
        area of heart and lungs, in robust standard deviations from the median of ``train``. Both
        keep their value when a film is squashed, and are unknown where the masks are implausible.

    Raises:
        CohortError: The bundle measures no anatomy, or hardly any film could be measured.
    """
    if model.manifest.anatomy is None:
        raise CohortError(f"The bundle {model.manifest.name} measures no anatomy.")
    measured = np.array(list(_measures(films.paths, model)), dtype=np.float32)
    train = measured[films.splits == "train", 1]
    spread = median_abs_deviation(train, scale="normal", nan_policy="omit")
    if not spread > 0:
        raise CohortError(f"Cohort {films.name}: heart and lungs of its films were not found.")
    measured[:, 1] = (measured[:, 1] - np.nanmedian(train)) / spread
    return _with_columns(films, ("cardiothoracic_ratio", "heart_share"), measured)


def _measures(paths: tuple[Path, ...], model: Model) -> Iterator[tuple[float, float]]:
    size = model.spec.size
    films = prepared(paths, model.spec)
    while pictures := list(islice(films, BATCH)):
        outputs = model.run(np.stack(pictures))
        if outputs.masks is None:
            raise CohortError(f"The bundle {model.manifest.name} measures no anatomy.")
        square = Geometry(rows=size, columns=size, size=size)
        yield from (_two_measures(measure_anatomy(logits, square)) for logits in outputs.masks)


def _two_measures(anatomy: Anatomy) -> tuple[float, float]:
    if anatomy.cardiothoracic is None:
        return np.nan, np.nan
    heart, right, left = anatomy.masks.sum(axis=(1, 2)).tolist()
    return anatomy.cardiothoracic.ratio, heart / (heart + right + left)


def _with_columns(films: Cohort, names: tuple[str, ...], columns: NDArray[np.float32]) -> Cohort:
    kept = [index for index, name in enumerate(films.label_names) if name not in names]
    return replace(
        films,
        label_names=(*(films.label_names[index] for index in kept), *names),
        labels=np.hstack([films.labels[:, kept], columns]),
    )
