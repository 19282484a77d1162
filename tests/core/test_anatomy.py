"""Anatomy is measured where it is plausible and named implausible where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pacx.anatomy import find_faults, measure_anatomy
from pacx.preprocessing import Geometry
from pacx_training.cohorts.outlines import read_outlines
from pacx_training.cohorts.phantom import phantom_of, phantom_radiograph
from pacx_training.cohorts.thorax import Thorax

GEOMETRY = Geometry(rows=2500, columns=2048, size=224)
Logits = NDArray[np.float32]


def logits(ratio: float = 0.5) -> Logits:
    film = phantom_of(Thorax(cardiothoracic_ratio=ratio), seed=1, size=112)
    masks = np.stack([film.heart, film.right_lung, film.left_lung])
    return np.where(masks, 4, -4).astype(np.float32)


def test_a_pa_film_with_spacing_is_measured_without_a_warning() -> None:
    anatomy = measure_anatomy(logits(0.55), GEOMETRY, spacing_mm=(0.15, 0.15), view="PA")
    assert anatomy.plausible
    assert anatomy.warnings == ()
    assert anatomy.cardiothoracic is not None
    assert anatomy.cardiothoracic.ratio == pytest.approx(0.55, abs=0.015)
    picture = 2500 * 2048 * 0.15**2
    assert anatomy.heart_area_mm2 == pytest.approx((logits(0.55)[0] > 0).mean() * picture, rel=0.03)


@pytest.mark.parametrize(
    ("view", "code"), [("AP", "heart_enlarged_by_view"), (None, "view_unknown")]
)
def test_other_views_are_warned_of(view: str | None, code: str) -> None:
    assert [w.code for w in measure_anatomy(logits(), GEOMETRY, view=view).warnings] == [code]


def test_a_lateral_film_is_not_measured_however_good_its_masks_look() -> None:
    anatomy = measure_anatomy(logits(), GEOMETRY, spacing_mm=(0.15, 0.15), view="LATERAL")
    assert anatomy.faults == ("view",)
    assert anatomy.cardiothoracic is None
    assert anatomy.heart_area_mm2 is None
    assert [w.code for w in anatomy.warnings] == ["anatomy_implausible"]


def test_unknown_spacing_gives_no_areas() -> None:
    anatomy = measure_anatomy(logits(), GEOMETRY, view="PA")
    assert anatomy.cardiothoracic is not None
    assert anatomy.heart_area_mm2 is None


def swapped(good: Logits) -> Logits:
    return good[[0, 2, 1]]


def upside_down(good: Logits) -> Logits:
    return good[:, ::-1]


def without_heart(good: Logits) -> Logits:
    return np.where(np.arange(3)[:, None, None] == 0, np.float32(-4), good)


def tiny(good: Logits) -> Logits:
    small = np.full_like(good, -4)
    small[0, 70:76, 56:62] = small[1, 50:60, 40:50] = small[2, 50:60, 70:80] = 4
    return small


def scattered(good: Logits) -> Logits:
    noise = np.random.default_rng(0).standard_normal((3, 28, 28))
    return noise.repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (swapped, "position"),
        (upside_down, "position"),
        (without_heart, "missing"),
        (tiny, "size"),
        (scattered, "fragmented"),
    ],
)
def test_what_is_no_frontal_chest_is_said_to_be_none(
    spoil: Callable[[Logits], Logits], fault: str
) -> None:
    anatomy = measure_anatomy(spoil(logits()), GEOMETRY, spacing_mm=(0.15, 0.15), view="PA")
    assert fault in anatomy.faults
    assert not anatomy.plausible
    assert anatomy.cardiothoracic is None
    assert anatomy.heart_area_mm2 is None
    assert [warning.code for warning in anatomy.warnings] == ["anatomy_implausible"]


def slid(good: Logits) -> Logits:
    """Lungs upside down, and the heart below their middle all the same, as decoders place it."""
    return np.stack([good[0], *good[1:, ::-1]])


@pytest.mark.parametrize("spoil", [upside_down, slid])
@pytest.mark.parametrize("rows", [1200, 2500])
def test_lungs_whose_gap_narrows_downwards_are_called_upside_down(
    spoil: Callable[[Logits], Logits], rows: int
) -> None:
    turned = spoil(logits())
    anatomy = measure_anatomy(turned, Geometry(rows, 2048, 224), view="PA")
    assert "upside_down" in anatomy.faults
    (warning,) = anatomy.warnings
    assert "may be upside down" in warning.message
    for others in (swapped(turned), tiny(turned)):
        assert "upside" not in measure_anatomy(others, GEOMETRY).warnings[0].message


def test_outlines_of_real_films_are_upright_and_the_same_turned_are_not(data_dir: Path) -> None:
    films = read_outlines(data_dir / "annotations/outlines.json", data_dir / "radiographs/nih")
    for film in films:
        masks = film.masks > 0.5
        assert "upside_down" not in find_faults(masks, masks), film.patient
        turned = masks[:, ::-1]
        assert "upside_down" in find_faults(turned, turned), film.patient


@pytest.mark.parametrize("seed", range(20))
def test_phantoms_of_ill_people_are_plausible(seed: int) -> None:
    film = phantom_radiograph(seed, 112)
    masks = np.stack([film.heart, film.right_lung, film.left_lung])
    anatomy = measure_anatomy(np.where(masks, 4, -4).astype(np.float32), GEOMETRY, view="PA")
    # Drawn lungs are rounder than real ones: beside a small heart their gap is widest on top.
    assert {*anatomy.faults} <= {"upside_down"}
