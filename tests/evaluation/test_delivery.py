"""Protocols that encode films again: perturbations, engines and time."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from pacx.bundle import Bundle
from pacx.engines import VARIANTS, Variant
from pacx.errors import ParityExceeded, SubjectError
from pacx.manifest import RefusedVariant
from pacx.radiograph import Radiograph
from pacx_evaluation.benchmarks import open_benchmark
from pacx_evaluation.evaluation import prepare, run
from pacx_evaluation.measurements import Measurement
from pacx_evaluation.protocols import (
    Study,
    explanations,
    export_parity,
    maps,
    overlays,
    robustness,
)
from pacx_evaluation.protocols.concurrency import asked_at_once
from pacx_evaluation.protocols.perturbations import PERTURBATIONS, dicom
from pacx_evaluation.report.writer import write_report
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, Encoder, Film, Identity, open_subject
from pacx_evaluation.subjects.encoder import Embeddings
from pacx_export.assembly import export_bundle
from pacx_training.cohorts.outlines import phantom_films
from pacx_training.runs import RunDirectory
from tests.conftest import Serving
from tests.evaluation.conftest import DrawnFilms
from tests.tiny_bundle import LABELS


@pytest.fixture
def bundle_study(films: DrawnFilms, tiny_bundle: Bundle, cache: EmbeddingCache) -> Study:
    """The tiny bundle on drawn films; its labels are renamed to one that the bundle knows."""
    manifest = films.write(films.table.rename(columns={"opacity": "Edema"}))
    benchmark = open_benchmark(str(manifest), labels=["Edema"])
    encoder = open_subject(str(tiny_bundle.directory))
    return prepare([encoder], benchmark, cache, bootstrap=Bootstrap(replicates=100), films=30)


def _by_condition(rows: tuple[Measurement, ...], metric: str) -> dict[str, float]:
    return {r.condition: r.value for r in rows if r.metric == metric and r.value is not None}


@given(st.integers(0, 2**16))
@settings(max_examples=10, deadline=None)
def test_a_dicom_twin_shows_the_same_picture_in_either_polarity(seed: int) -> None:
    pixels = np.random.default_rng(seed).random((48, 40), dtype=np.float32)
    film = Radiograph.from_array(pixels)
    for inverted in (False, True):
        twin = dicom(film, inverted=inverted)
        np.testing.assert_allclose(twin.pixels, pixels, atol=1.5 / 4095)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbed_film_is_still_a_film(name: str) -> None:
    pixels = np.random.default_rng(0).random((300, 280), dtype=np.float32)
    film = PERTURBATIONS[name](Radiograph.from_array(pixels))
    assert film.pixels.dtype == np.float32
    assert 0 <= film.pixels.min() < film.pixels.max() <= 1


def test_what_should_change_nothing_changes_nothing(bundle_study: Study) -> None:
    rows = robustness.run(bundle_study).section.measurements
    moved = _by_condition(rows, "cosine_distance_worst")
    assert set(moved) == {robustness.REVERSED, *PERTURBATIONS}
    dicoms = [name for name in PERTURBATIONS if "DICOM" in name]
    assert max(moved[name] for name in (robustness.REVERSED, *dicoms)) < 0.01
    assert moved["JPEG, quality 50"] > moved["JPEG, quality 90"]
    flips = _by_condition(rows, "flipped")
    assert flips[robustness.REVERSED] <= flips["JPEG, quality 50"] + 0.2


def test_every_engine_repeats_torch_and_the_others_are_named(bundle_study: Study) -> None:
    section = export_parity.run(bundle_study).section
    rows = section.measurements
    worst = _by_condition(rows, "cosine_distance_worst")
    assert {"onnxruntime f32", "openvino f32"} <= set(worst)
    assert worst["onnxruntime f32"] < 1e-6
    absent = next(note for note in section.notes if "not on this machine" in note)
    named = absent.rstrip(".").rpartition(": ")[2].split(", ")
    assert not set(named) & set(worst)
    assert {"openvino int8", "onnxruntime int8"} <= set(named), "the tiny bundle has no integers"
    assert len(named) + len(worst) == len(VARIANTS)
    changes = [r for r in rows if r.metric == "auroc_change"]
    assert {r.target for r in changes} == {"Edema"}
    flips = {(r.target, r.condition) for r in rows if r.metric == "flipped"}
    assert flips == {(t, c) for t in ("all findings", *LABELS) for c in worst}


@pytest.mark.parametrize("offered", [True, False])
def test_decisions_that_flip_at_the_bundle_s_thresholds_are_counted_and_judged(
    tiny_bundle: Bundle, offered: bool
) -> None:
    refusals = [
        RefusedVariant(graph="predict", engine="openvino", precision="bf16", reason="tried")
    ]
    known = {"refused": () if offered else tuple(refusals)}
    manifest = tiny_bundle.manifest.model_copy(update=known)
    # The threshold is 0.4 and the temperature 1.5: one film of a hundred crosses it.
    edge = 1.5 * float(logit(0.4))
    wanted = np.full((100, 3), edge + 1e-3, np.float32)
    actual = wanted.copy()
    actual[7, 1] = edge - 1e-3
    same = np.ones((100, 4), np.float32)
    comparison = export_parity.Comparison(
        bundle=replace(tiny_bundle, manifest=manifest),
        variant=Variant("openvino", "cpu", "bf16"),
        wanted={"embedding": same, "logits": wanted},
        actual={"embedding": same, "logits": actual},
    )
    assert np.argwhere(comparison.flips()).tolist() == [[7, 1]]
    assert comparison.excess() == []
    actual[:5, 0] = edge - 1e-3
    assert comparison.excess() == ["6 of 300 decisions flipped"]
    assert comparison.offered is offered


def test_a_bundle_without_findings_is_compared_by_its_embeddings(
    films: DrawnFilms, tiny_run: RunDirectory, cache: EmbeddingCache, tmp_path: Path
) -> None:
    headless = RunDirectory(tmp_path / "run")
    headless.save_encoder(tiny_run.load_encoder())
    headless.save_provenance(tiny_run.load_provenance())
    made = export_bundle(headless, tmp_path / "made", name="tiny", version="0.1.0")
    benchmark = open_benchmark(str(films.manifest), labels=["opacity"])
    encoders = [open_subject(str(made.directory))]
    study = prepare(encoders, benchmark, cache, bootstrap=Bootstrap(replicates=100), films=4)
    section = export_parity.run(study).section
    assert {row.target for row in section.measurements} == {"embedding"}
    assert any("within tolerance: onnxruntime f32" in note for note in section.notes)


def test_a_bundle_that_computes_something_else_than_its_weights_fails(
    films: DrawnFilms, tiny_copy: Path, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark(str(films.manifest), labels=["opacity"])
    encoder = open_subject(str(tiny_copy))
    study = prepare([encoder], benchmark, cache, bootstrap=Bootstrap(replicates=100), films=4)
    # Opened and checked before, as a bundle is whose files rot while it is being used.
    hub = json.loads((tiny_copy / "config.json").read_bytes())
    (tiny_copy / "config.json").write_text(json.dumps(hub | {"layer_norm_eps": 0.5}))
    with pytest.raises(ParityExceeded, match="embedding"):
        export_parity.run(study)


def test_parity_needs_a_bundle_and_speed_needs_none(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark(str(films.manifest), labels=["opacity"])
    encoders = [open_subject(str(run_folder))]
    study = prepare(encoders, benchmark, cache, bootstrap=Bootstrap(replicates=100), films=20)
    with pytest.raises(SubjectError, match="bundle"):
        run(study, ["export-parity"])
    (outcome,) = run(study, ["speed"])
    rows = outcome.section.measurements
    median, late = (_by_condition(rows, metric) for metric in ("p50_ms", "p99_ms"))
    assert all(0 < median[name] <= late[name] for name in median)
    assert len(_by_condition(rows, "films_per_second")) == 3
    assert not outcome.section.notes


def test_servers_are_timed_under_several_callers(
    films: DrawnFilms, tiny_bundle: Bundle, serving: Serving, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark(str(films.manifest), labels=["opacity"])
    with serving(PACX_BUNDLES=str(tiny_bundle.directory)) as address:
        encoders = [open_subject(f"server={address}")]
        study = prepare(encoders, benchmark, cache, bootstrap=Bootstrap(replicates=100), films=6)
        (outcome,) = run(study, ["speed"])
    rows = [row for row in outcome.section.measurements if "caller" in row.condition]
    rates = [row for row in rows if row.metric == "films_per_second"]
    assert [row.condition.split()[0] for row in rates] == ["1", "2", "4", "8"]
    median, late = (_by_condition(tuple(rows), metric) for metric in ("p50_ms", "p99_ms"))
    for row in rates:
        assert row.low is not None
        assert row.high is not None
        assert row.value is not None
        assert row.low < row.value < row.high
        assert row.films == 5 * 6
        assert 0 < median[row.condition] <= late[row.condition]
    assert any("several callers" in note for note in outcome.section.notes)


class Crowd:
    """An encoder that answers only when so many ask at once."""

    def __init__(self, inner: Encoder, size: int) -> None:
        self._inner = inner
        self._all_here = threading.Barrier(size, timeout=5)

    @property
    def identity(self) -> Identity:
        """Of the encoder inside."""
        return self._inner.identity

    def embed(self, films: Sequence[Film]) -> Embeddings:
        """Wait for the others, and embed."""
        self._all_here.wait()
        return self._inner.embed(films)


def test_callers_ask_at_once(films: DrawnFilms, run_folder: Path) -> None:
    paths = [films.folder / name for name in films.table["path"][:6]]
    crowd = Crowd(open_subject(str(run_folder)), size=3)
    load = asked_at_once(crowd, paths, callers=3, rounds=2)
    assert len(load.seconds) == 12
    assert len(load.films_per_second) == 2
    with pytest.raises(threading.BrokenBarrierError):
        asked_at_once(Crowd(open_subject(str(run_folder)), size=4), paths, callers=3, rounds=1)


def test_maps_are_measured_against_what_knows_nothing(bundle_study: Study) -> None:
    bundle_study.films, bundle_study.outlined = 3, tuple(phantom_films(range(3)))
    section = explanations.run(bundle_study).section
    rows = {(row.target, row.metric): row for row in section.measurements}
    gaussian = rows[maps.GAUSSIAN, "focus_heart"]
    assert gaussian.value is not None
    assert gaussian.value > 1
    assert (rows[maps.GAUSSIAN, "focus_outside"].value or 9) < 1
    assert rows[maps.UNIFORM, "focus_lungs"].value == pytest.approx(1)
    assert {target for target, _ in rows} >= {"rollout", "last_layer", "rollout, random weights"}
    for row in rows.values():
        assert row.value is not None
        assert row.films == 3
    assert "3 films whose hearts" in section.lead


def test_maps_are_faithful_or_not_without_any_outline(bundle_study: Study) -> None:
    bundle_study.films = 4
    section = explanations.run(bundle_study).section
    assert explanations.NO_OUTLINES in section.notes
    assert "Silhouette" not in section.lead
    rows = {(row.target, row.metric): row for row in section.measurements}
    assert not any(metric.startswith("focus") for _, metric in rows)
    for method in ("rollout", "last_layer", maps.GAUSSIAN, maps.UNIFORM):
        for metric in ("deletion_gain", "insertion_gain", "infidelity"):
            assert rows[method, metric].films == 4
    similar = rows["rollout", "randomisation_similarity"]
    assert -1 <= (similar.value or 0) <= 1
    assert (maps.UNIFORM, "randomisation_similarity") not in rows
    assert (rows["rollout", "map_sensitivity"].value or -1) >= 0


def test_a_report_shows_the_best_and_the_worst_map(bundle_study: Study, tmp_path: Path) -> None:
    bundle_study.films, bundle_study.overlays = 4, 3
    outcome = explanations.run(bundle_study)
    write_report(bundle_study, [outcome], tmp_path)
    (picture,) = (tmp_path / "figures").glob("overlays-*.svg")
    assert picture.read_text().count("<image") == 3
    table = pd.read_csv(picture.with_suffix(".csv"))
    assert table["rank"].iloc[[0, -1]].tolist() == [1, 4]
    assert table["deletion_gain"].is_monotonic_decreasing
    assert table["probability"].between(0, 1).all()
    assert "the best, the worst" in (tmp_path / "report.html").read_text()
    bundle_study.overlays = 0
    assert not any(d.name.startswith("overlays") for d in explanations.run(bundle_study).drawings)


def test_films_whose_gain_is_unknown_are_not_ranked() -> None:
    gains = [0.5, float("nan"), 2.0, -1.0, 1.0]
    assert overlays.ranks(gains, 2) == [(1, 2), (4, 3)]
    assert overlays.ranks(gains, 9) == [(1, 2), (2, 4), (3, 0), (4, 3)]
    assert overlays.ranks([float("nan")], 3) == []


def test_explanations_need_a_bundle(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark(str(films.manifest), labels=["opacity"])
    encoders = [open_subject(str(run_folder))]
    study = prepare(encoders, benchmark, cache, bootstrap=Bootstrap(replicates=100), films=4)
    with pytest.raises(SubjectError, match="bundle"):
        explanations.run(study)
