"""Phantom films: repeatable, varied, and true to their own outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacx.radiograph import Radiograph
from pacx_training.cohorts.phantom import Phantom, phantom_of, phantom_radiograph
from pacx_training.cohorts.thorax import Thorax, inner_half_width


def outlines(phantom: Phantom) -> list[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    return [
        phantom.heart,
        phantom.right_lung,
        phantom.left_lung,
        phantom.right_effusion,
        phantom.left_effusion,
    ]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), side=st.sampled_from([64, 97, 224]))
def test_every_seed_gives_a_film_that_core_accepts(seed: int, side: int) -> None:
    phantom = phantom_radiograph(seed, (side, side + 10))
    assert phantom.pixels.shape == (side, side + 10)
    Radiograph.from_array(phantom.pixels)
    assert np.sum([mask.astype(int) for mask in outlines(phantom)], axis=0).max() == 1


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    first, again, other = (phantom_radiograph(seed) for seed in (7, 7, 8))
    assert first.pixels.tobytes() == again.pixels.tobytes()
    assert first.truth == again.truth
    assert first.pixels.tobytes() != other.pixels.tobytes()


@pytest.mark.parametrize("ratio", [0.38, 0.5, 0.66])
def test_the_heart_is_as_wide_as_the_truth_says(ratio: float) -> None:
    thorax = Thorax(cardiothoracic_ratio=ratio)
    phantom = phantom_of(thorax, seed=1, size=512)
    heart = np.flatnonzero(phantom.heart.any(axis=0))
    expected = ratio * inner_half_width(thorax) * 512
    assert heart[-1] - heart[0] + 1 == pytest.approx(expected, abs=2)


def test_the_heart_lies_to_the_patients_left_and_is_brighter_than_lung() -> None:
    phantom = phantom_of(Thorax(), seed=3)
    columns = np.nonzero(phantom.heart)[1]
    assert columns.mean() > 112
    assert phantom.pixels[phantom.heart].mean() > phantom.pixels[phantom.right_lung].mean() + 0.1


def test_fluid_whitens_the_film_where_its_outline_says() -> None:
    dry = phantom_of(Thorax(), seed=5)
    wet = phantom_of(Thorax(left_effusion=0.5), seed=5)
    assert not dry.left_effusion.any()
    assert not wet.right_effusion.any()
    assert wet.left_effusion.sum() > 1000
    change = wet.pixels - dry.pixels
    assert change[wet.left_effusion].mean() > change[wet.right_lung].mean() + 0.15


@pytest.mark.parametrize(
    ("ill", "brighter"),
    [
        (Thorax(congestion=1), True),
        (Thorax(consolidation=1, consolidated_side="right"), True),
        (Thorax(emphysema=1), False),
    ],
)
def test_illness_changes_the_lungs_in_its_own_direction(ill: Thorax, brighter: bool) -> None:
    well = phantom_of(Thorax(), seed=9)
    sick = phantom_of(ill, seed=9)
    assert (lung_to_heart(sick) > lung_to_heart(well)) is brighter


def lung_to_heart(phantom: Phantom) -> float:
    """Attenuation of the right lung relative to the heart's, free of the film's exposure."""
    grey = np.clip(phantom.pixels.astype(np.float64), 1e-4, 1 - 1e-4)
    attenuation = np.log(grey / (1 - grey))
    air = attenuation[-20:, :3].mean()
    lung, heart = (attenuation[mask].mean() - air for mask in (phantom.right_lung, phantom.heart))
    return float(lung / heart)


def test_impossible_chests_are_refused() -> None:
    with pytest.raises(ValueError, match="cardiothoracic_ratio must lie in"):
        Thorax(cardiothoracic_ratio=1.2)
