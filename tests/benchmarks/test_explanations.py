"""The judgement of explanations: every map is measured, and what knows nothing does not pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import pacx
from benchmarks.explanations.__main__ import films
from benchmarks.explanations.maps import KEPT, Remembering, case, untrained
from benchmarks.explanations.measures import MEASURES, measured
from benchmarks.explanations.report import (
    draw,
    failures,
    frame,
    latest,
    masks_used,
    table,
    verdicts,
)
from pacx.bundle import Bundle
from pacx.engines.protocol import Precision, Tensor
from pacx.preprocessing import normalise
from pacx_evaluation.protocols.maps import GAUSSIAN, UNIFORM
from pacx_training.cohorts.nih import read_nih
from pacx_training.cohorts.outlines import OutlinedFilm


@pytest.fixture(scope="module")
def model(tiny_bundle: Bundle) -> pacx.Model:
    return pacx.load(tiny_bundle.directory, engine="onnxruntime", threads=1)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    pixels = np.random.default_rng(0).integers(0, 255, (70, 50), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_every_map_that_the_model_can_make_is_measured(model: pacx.Model, film: Path) -> None:
    """The tiny model knows no heart and lungs: no map of regions, and no focus."""
    rows = frame([{"film": "a", "rows": list(measured(case(model, untrained(model), film)))}])
    wanted = {
        *model.methods,
        "rollout, random weights",
        "relevance, random weights",
        GAUSSIAN,
        UNIFORM,
    }
    assert set(rows["method"]) == wanted
    for measure in ("deletion", "insertion", "infidelity"):
        assert np.isfinite(rows[measure]).all()
    by_method = rows.set_index("method")
    assert np.isfinite(by_method["randomised"].to_dict()["relevance"])
    assert by_method["sensitivity"].to_dict()["rollout"] >= 0
    assert rows["heart"].isna().all()


def test_focus_goes_by_drawn_outlines_where_there_are_some(model: pacx.Model, film: Path) -> None:
    masks = np.zeros((3, 448, 448), np.float32)
    masks[0, :224, :224] = masks[1, 224:, :224] = masks[2, :, 224:] = 1
    outlined = OutlinedFilm(pixels=np.zeros((448, 448), np.float32), masks=masks, patient="x")
    asked = case(model, untrained(model), film, outlined)
    assert asked.question.masks is None
    peak = np.zeros(model.manifest.encoder.grid, np.float32)
    peak[0, 0] = 1
    focus = asked.focus(peak)
    assert focus["heart"] == pytest.approx(4)
    assert (focus["lungs"], focus["pointing"]) == (0, 1)
    assert case(model, untrained(model), film).focus(peak) == {}


def test_films_with_outlines_come_first_and_each_patient_once(data_dir: Path) -> None:
    folder = data_dir / "radiographs" / "nih"
    plain = [path.name for path in films(folder, 1000)]
    drawn = {path.name for path in read_nih(folder).split("val").paths[::7]}
    chosen = [path.name for path in films(folder, 1000, drawn)]
    assert len(chosen) == len(plain)
    places = [name in drawn for name in chosen]
    assert any(places)
    assert places == sorted(places, reverse=True)


def test_a_report_says_whose_outlines_it_goes_by() -> None:
    found = {"film": "a", "rows": []}
    again, other = found | {"masks": "drawn"}, {"film": "b", "masks": "found", "rows": []}
    assert latest([again, found]) == [again]
    assert masks_used([found, other]).endswith("that the model itself finds.")
    assert masks_used([again]).endswith("drawn by eye.")
    assert "on 1 of the films, and on the other 1" in masks_used([again, other])


class Counting:
    """Counts the pictures that an engine is given."""

    name = "counting"
    precision: Precision = "f32"
    device = "cpu"

    def __init__(self, model: pacx.Model) -> None:
        self.model, self.pictures = model, 0

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Ask the model's own engine."""
        self.pictures += len(inputs["pixel_values"])
        return self.model.engine.run(graph, inputs)

    def close(self) -> None:
        """Nothing to free."""


def test_a_picture_is_computed_once_and_answered_the_same(model: pacx.Model) -> None:
    counting = Counting(model)
    remembering = Remembering(counting)
    pixels = normalise(np.random.default_rng(0).random((3, 32, 32), np.float32), model.spec)
    for chosen in ([0, 1], [1, 2, 0], [2, 2]):
        answers = remembering.run("predict", {"pixel_values": pixels[chosen]})
        expected = model.engine.run("predict", {"pixel_values": pixels[chosen]})
        for name in KEPT:
            np.testing.assert_allclose(answers[name], expected[name], atol=1e-5)
    assert counting.pictures == 3


def judged(**better: float) -> pd.DataFrame:
    """Twenty films on which ``occlusion`` beats what knows nothing by so much."""
    generator, rows = np.random.default_rng(0), []
    for film in range(20):
        noise = generator.normal(0, 0.05, len(MEASURES))
        plain = dict(zip(MEASURES, 0.5 + noise, strict=True))
        rows += [{"film": film, "method": name, **plain} for name in (GAUSSIAN, UNIFORM)]
        good = {measure: plain[measure] + better.get(measure, 0.0) for measure in plain}
        rows.append({"film": film, "method": "occlusion", **good})
    return pd.DataFrame(rows)


def test_what_beats_those_who_know_nothing_passes() -> None:
    better = judged(deletion=0.3, insertion=0.2, infidelity=-0.2)
    assert failures(better, "occlusion") == []
    assert failures(judged(), "occlusion") == ["deletion", "insertion", "infidelity"]
    assert failures(judged(deletion=0.3, infidelity=-0.2), "occlusion") == ["insertion"]


def test_likeness_to_random_weights_fails_whatever_its_sign() -> None:
    rows = judged(deletion=0.3, insertion=0.2, infidelity=-0.2)
    relevance = rows.assign(method=rows["method"].replace("occlusion", "relevance"))
    for likeness, failed in ((0.9, ["randomisation"]), (-0.9, ["randomisation"]), (0.1, [])):
        assert failures(relevance.assign(randomised=likeness), "relevance") == failed


def test_the_report_has_a_line_for_every_map_and_a_figure(tmp_path: Path) -> None:
    rows = judged(deletion=0.3, insertion=0.2, infidelity=-0.2)
    assert table(rows).count("\n") == 1 + rows["method"].nunique()
    assert "- `occlusion` **passes**" in verdicts(rows)
    draw(rows, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.width > 400
