"""Anatomy and quality in the answer of ``POST /predict``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pacx.model import Model, load
from pacx.preprocessing import Geometry, ModelInput
from pacx_server.description import describe_examination
from pacx_server.examination import Examination
from pacx_server.protocol_schemas import InstancePrediction
from pacx_server.schemas import ImageFacts, Include
from pacx_server.worker import Decoded
from pacx_training.cohorts.phantom import phantom_of
from pacx_training.cohorts.thorax import Thorax

ROWS, COLUMNS = 2500, 2000


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load(tiny, engine="onnxruntime")


def logits(ratio: float) -> NDArray[np.float32]:
    film = phantom_of(Thorax(cardiothoracic_ratio=ratio), seed=1, size=112)
    masks = np.stack([film.heart, film.right_lung, film.left_lung])
    return np.where(masks, 4, -4).astype(np.float32)[np.newaxis]


def answer(model: Model, masks: NDArray[np.float32] | None, view: str) -> InstancePrediction:
    pixels = np.random.default_rng(0).uniform(0.2, 0.5, (224, 224)).astype(np.float32)
    spacing = (0.15, 0.15)
    facts = ImageFacts(
        rows=ROWS, columns=COLUMNS, modality="DX", view=view, spacing_mm=spacing, source="dicom"
    )
    decoded = Decoded(
        input=ModelInput(pixels, Geometry(ROWS, COLUMNS, 224)),
        picture=None,
        facts=facts,
        warnings=(),
        decode_s=0.0,
        study_sha256=None,
    )
    outputs = replace(model.run(pixels[np.newaxis]), masks=masks)
    examination = Examination(
        decoded=decoded, outputs=outputs, decode_s=0.0, queue_s=0.0, inference_s=0.0
    )
    wanted: tuple[Include, ...] = ("attention",)
    return describe_examination(model, examination, wanted)


def test_a_film_is_measured_in_its_own_pixels(model: Model) -> None:
    described = answer(model, logits(0.55), "PA")
    anatomy = described.anatomy
    assert anatomy is not None
    assert anatomy.lines is not None
    assert anatomy.cardiothoracic_ratio == pytest.approx(0.55, abs=0.015)
    (start, row), (stop, same) = anatomy.lines.heart
    assert row == same
    (left, _), (right, _) = anatomy.lines.chest
    assert (stop - start) / (right - left) == pytest.approx(anatomy.cardiothoracic_ratio, abs=1e-3)
    (heart,) = anatomy.contours.heart
    columns, rows = np.array(heart).T
    assert columns.min() == pytest.approx(start, abs=COLUMNS / 112)
    assert columns.max() == pytest.approx(stop, abs=COLUMNS / 112)
    assert rows.max() > ROWS / 2
    assert anatomy.heart_area_mm2 is not None
    assert anatomy.lung_area_mm2 is not None
    assert anatomy.lung_area_mm2 > anatomy.heart_area_mm2
    assert described.warnings == []
    assert described.quality is not None
    assert described.quality.is_frontal_chest is True
    assert described.quality.out_of_distribution is None


def test_a_map_of_noise_is_no_more_on_the_heart_than_chance(model: Model) -> None:
    attention = answer(model, logits(0.5), "PA").attention
    assert attention is not None
    assert attention.focus is not None
    for region in (attention.focus.heart, attention.focus.lungs, attention.focus.outside):
        assert region == pytest.approx(1, abs=0.1)


def test_ap_films_and_nonsense_are_warned_of(model: Model) -> None:
    assert [w.code for w in answer(model, logits(0.5), "AP").warnings] == ["heart_enlarged_by_view"]
    upside_down = answer(model, logits(0.5)[:, :, ::-1], "PA")
    assert [w.code for w in upside_down.warnings] == ["anatomy_implausible"]
    assert upside_down.anatomy is not None
    assert upside_down.anatomy.cardiothoracic_ratio is None
    assert upside_down.anatomy.lines is None
    assert not any(upside_down.anatomy.contours.model_dump().values())
    assert upside_down.attention is not None
    assert upside_down.attention.focus is None


def test_a_model_without_a_decoder_answers_null(model: Model) -> None:
    described = answer(model, None, "PA")
    assert described.anatomy is None
    assert described.quality is None
    assert described.attention is not None
    assert described.attention.focus is None
