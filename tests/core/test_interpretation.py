"""Cardiomegaly is measured, not predicted, and only where the ratio means something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pacx.anatomy import Anatomy, measure_anatomy
from pacx.interpretation import (
    FilmFacts,
    judge,
    measured_cardiomegaly,
    warnings_of,
    warnings_of_map,
)
from pacx.novelty import Novelty
from pacx.preprocessing import Geometry
from pacx_training.cohorts.phantom import phantom_of
from pacx_training.cohorts.thorax import Thorax

PA = FilmFacts(view="PA")


def anatomy(ratio: float, view: str = "PA") -> Anatomy:
    film = phantom_of(Thorax(cardiothoracic_ratio=ratio), seed=1, size=112)
    masks = np.stack([film.heart, film.right_lung, film.left_lung])
    logits = np.where(masks, 4, -4).astype(np.float32)
    return measure_anatomy(logits, Geometry(1000, 900, 224), view=view)


@pytest.mark.parametrize(("ratio", "enlarged"), [(0.42, False), (0.47, False), (0.6, True)])
def test_a_wide_heart_is_called_large(ratio: float, enlarged: bool) -> None:
    finding = measured_cardiomegaly(anatomy(ratio), PA, 0.03)
    assert finding is not None
    assert finding.measured
    assert finding.positive is enlarged
    assert finding.positive is (finding.probability >= finding.threshold)


def test_the_probability_knows_how_exact_the_measurement_is() -> None:
    measured = anatomy(0.55)
    exact, rough = (measured_cardiomegaly(measured, PA, deviation) for deviation in (0.01, 0.1))
    assert exact is not None
    assert rough is not None
    assert exact.probability > 0.999
    assert 0.5 < rough.probability < 0.8


def test_no_verdict_on_ap_films_on_nonsense_or_without_a_measured_error() -> None:
    assert measured_cardiomegaly(anatomy(0.6), FilmFacts(view="AP"), 0.03) is None
    assert measured_cardiomegaly(anatomy(0.6), PA, None) is None
    nonsense = replace(anatomy(0.6), cardiothoracic=None, faults=("size",))
    assert measured_cardiomegaly(nonsense, PA, 0.03) is None


def test_what_lies_beyond_the_threshold_is_out_of_distribution() -> None:
    eye = np.eye(4, dtype=np.float32)
    novelty = Novelty(mean=np.zeros(4, np.float32), whitening=eye, threshold=2.0)
    near = judge(np.full(4, 0.5, np.float32), None, novelty, "PA")
    far = judge(np.full(4, 3.0, np.float32), None, novelty, "PA")
    assert near.score == pytest.approx(0.5)
    assert (near.out_of_distribution, far.out_of_distribution) == (False, True)
    assert [warning.code for warning in warnings_of(None, far)] == ["out_of_distribution"]
    assert warnings_of(None, near) == ()


def test_a_lateral_view_is_not_frontal_whatever_its_masks() -> None:
    embedding = np.zeros(4, np.float32)
    assert judge(embedding, anatomy(0.5), None, "PA").is_frontal_chest is True
    assert judge(embedding, anatomy(0.5), None, "LATERAL").is_frontal_chest is False


def hottest_at(row: int, column: int) -> NDArray[np.float32]:
    grid = np.full((14, 14), 0.1, np.float32)
    grid[row, column] = 1
    return grid


def test_a_map_that_is_hottest_outside_the_chest_is_warned_of() -> None:
    chest = anatomy(0.5)
    codes = [warning.code for warning in warnings_of_map(hottest_at(0, 13), chest)]
    assert codes == ["map_outside_chest"]
    assert warnings_of_map(hottest_at(9, 8), chest) == ()


def test_of_a_flat_map_or_an_unknown_chest_nothing_is_said() -> None:
    flat, corner = np.ones((14, 14), np.float32), hottest_at(0, 13)
    assert warnings_of_map(flat, anatomy(0.5)) == ()
    assert warnings_of_map(corner, None) == ()
    nowhere = measure_anatomy(np.full((3, 56, 56), -4, np.float32), Geometry(1000, 900, 224))
    assert warnings_of_map(corner, nowhere) == ()
