"""A bundle at one hospital: its own calibration, and whether its films have changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from typer import Typer
from typer.testing import CliRunner

from pacx.bundle import Bundle, open_bundle, write_manifest
from pacx.engines import open_engine
from pacx.errors import BenchmarkError, BundleError
from pacx.manifest import FindingSpec
from pacx.model import Model, load
from pacx.model_card import missing_statements
from pacx_evaluation.drift import Drift, patients_of
from pacx_evaluation.drift import drift as compare
from pacx_evaluation.local_fit import Aim, fit_finding, training_films
from pacx_evaluation.site_commands import calibrate, drift
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.statistics.calibration import expected_calibration_error
from pacx_training.cohorts.catalogue import read_cohort
from pacx_training.heads import fit_scaling
from tests.evaluation.conftest import DrawnFilms

SPEC = FindingSpec(
    label="Edema",
    group="radiology",
    threshold=0.5,
    temperature=1.0,
    calibrated=False,
    simulated=False,
    training_positives=1,
)


def _call(command: object, *arguments: object) -> str:
    app = Typer()
    app.command()(command)  # type: ignore[type-var]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def _local(seed: int, films: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are three times too bold, and labels."""
    random = np.random.default_rng(seed)
    honest = random.normal(0, 1.5, films)
    return 3 * honest, random.random(films) < expit(honest)


@given(st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_overconfidence_is_mended_and_thresholds_keep_their_promise(seed: int) -> None:
    logits, labels = _local(seed)
    fit = fit_finding(SPEC, logits, labels, Aim(sensitivity=0.9))
    assert fit.temperature == pytest.approx(3, rel=0.2)
    assert fit.brier < fit.brier_before
    probabilities = expit(logits / fit.temperature)
    assert (probabilities[labels] >= fit.threshold - 1e-9).mean() >= 0.9


def test_a_prior_moves_probabilities_but_not_decisions() -> None:
    logits, labels = _local(0)
    plain, rare = (fit_finding(SPEC, logits, labels, Aim(), p) for p in (None, 0.02))
    assert logit(rare.threshold) - logit(plain.threshold) == pytest.approx(rare.log_odds_shift)
    moved = expit(logits / rare.temperature + rare.log_odds_shift)
    assert moved.mean() < 0.2 < expit(logits / plain.temperature).mean()
    np.testing.assert_array_equal(
        moved > rare.threshold + 1e-9,
        expit(logits / plain.temperature) > plain.threshold + 1e-9,
    )


def _sample(seed: int, prevalence: float, films: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are honest where half of the films are positive, three times too bold."""
    random = np.random.default_rng(seed)
    labels = random.random(films) < prevalence
    # Unit normals 1.5 apart: the log odds at a prevalence of one half are 1.5 x.
    return 3 * 1.5 * random.normal(np.where(labels, 0.75, -0.75)), labels


@pytest.mark.parametrize("selected", [0.3, 0.5, 0.1])
@pytest.mark.parametrize("coming", [0.03, 0.1, 0.6])
def test_a_stated_prevalence_makes_probabilities_true_for_the_patients_to_come(
    selected: float, coming: float
) -> None:
    fit = fit_finding(SPEC, *_sample(0, selected), Aim(), coming)
    assert fit.mean_probability == pytest.approx(fit.local_prevalence, abs=1e-4)
    logits, labels = _sample(1, coming)
    told = expit(logits / fit.temperature + fit.log_odds_shift)
    truth = expit(logits / 3 + logit(coming))
    assert np.abs(told - truth).mean() < 0.02
    assert expected_calibration_error(labels, told) < 0.03


def test_without_a_stated_prevalence_the_prior_of_training_stays_and_is_told() -> None:
    logits, labels = _sample(0, 0.05)
    spec = SPEC.model_copy(update={"training_positives": 291, "training_films": 533})
    fit = fit_finding(spec, logits, labels, Aim(), training_films=533)
    assert (fit.log_odds_shift, fit.corrected_prevalence) == (0, None)
    assert fit.training_prevalence == pytest.approx(291 / 533)
    assert fit.mean_probability > 2 * fit.local_prevalence


@given(st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_scaling_finds_slope_and_intercept_as_a_plain_logistic_regression_does(seed: int) -> None:
    logits, labels = _sample(seed, 0.3, films=400)
    regression = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    regression.fit(logits[:, np.newaxis], labels)
    temperature, intercept = fit_scaling(logits, labels)
    assert 1 / temperature == pytest.approx(regression.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(regression.intercept_[0], abs=1e-3)


def test_the_training_prevalence_is_that_of_the_finding_else_of_the_source_of_its_head() -> None:
    manifest = load().manifest
    known = {finding.label: training_films(manifest, finding) for finding in manifest.findings}
    assert known["Pneumonia"] == 533
    assert known["Wide QRS"] == 1732
    recorded = SPEC.model_copy(update={"training_films": 40})
    assert training_films(manifest, recorded) == 40


@pytest.fixture
def local(films: DrawnFilms) -> Path:
    """A manifest with a label that the tiny bundle knows."""
    return films.write(films.table.rename(columns={"opacity": "Edema"}).drop(columns="volume"))


def test_a_calibrated_bundle_is_whole_and_says_where_it_was_fitted(
    tiny_bundle: Bundle, local: Path, films: DrawnFilms, tmp_path: Path
) -> None:
    output = tmp_path / "local"
    options = ("--version", "0.2.0", "--prevalence", "Edema=0.01")
    _call(calibrate, tiny_bundle.directory, "--manifest", local, "-o", output, *options)
    made = open_bundle(output)
    assert made.manifest.version == "0.2.0"
    step = made.manifest.provenance.steps[-1]
    assert step.startswith("pacx calibrate: Edema: trained at a prevalence of 0.500 (6 of 12")
    assert "corrected to a stated prevalence of 0.010" in step
    assert step.removeprefix("pacx calibrate: ") in (output / "README.md").read_text()
    assert made.manifest.provenance.sources[-1].films == len(films.table)
    assert missing_statements(made) == ()
    (fit,) = json.loads((output / "calibration.json").read_text())
    assert (fit["label"], fit["corrected_prevalence"]) == ("Edema", 0.01)
    before, after = (load(b.directory, engine="onnxruntime") for b in (tiny_bundle, made))
    film = films.folder / films.table["path"][0]
    old, new = (_probability(model, film, "Edema") for model in (before, after))
    raw = logit(old) * 1.5 / fit["temperature"] + fit["log_odds_shift"]
    share = logit(fit["local_prevalence"])
    assert fit["log_odds_shift"] == pytest.approx(fit["intercept"] + logit(0.01) - share)
    assert logit(new) == pytest.approx(raw, abs=1e-3)
    unfitted = [_probability(model, film, "Effusion") for model in (before, after)]
    assert unfitted[0] == pytest.approx(unfitted[1], abs=1e-6)


def _probability(model: Model, film: Path, label: str) -> float:
    return next(f.probability for f in model.predict(film).findings if f.label == label)


def test_engines_still_repeat_the_reference_of_a_calibrated_bundle(
    tiny_bundle: Bundle, local: Path, tmp_path: Path
) -> None:
    output = tmp_path / "local"
    options = ("--version", "0.2.0", "--prevalence", "Edema=0.3", "--target-fpr", "0.1")
    _call(calibrate, tiny_bundle.directory, "--manifest", local, "-o", output, *options)
    engine = open_engine(open_bundle(output), "onnxruntime")
    pixels = np.zeros((1, 3, 32, 32), dtype=np.float32)
    assert engine.run("predict", {"pixel_values": pixels})["logits"].shape == (1, 3)


def test_what_was_compiled_from_the_former_biases_does_not_come_along(
    tiny_copy: Path, local: Path, tmp_path: Path
) -> None:
    manifest = open_bundle(tiny_copy).manifest
    (tiny_copy / "int8").mkdir()
    (tiny_copy / "int8" / "predict.xml").write_text("<net/>")
    write_manifest(tiny_copy, manifest)
    for name, options in (("plain", ()), ("shifted", ("--prevalence", "Edema=0.3"))):
        arguments = ("--manifest", local, "-o", tmp_path / name, "--version", "0.2.0", *options)
        _call(calibrate, tiny_copy, *arguments)
    kept = [set(open_bundle(tmp_path / name).manifest.files) for name in ("plain", "shifted")]
    assert kept[0] - kept[1] == {"int8/predict.xml"}


def test_what_cannot_be_calibrated_is_refused(
    tiny_bundle: Bundle, films: DrawnFilms, local: Path, tmp_path: Path
) -> None:
    common = ("-o", tmp_path / "x", "--version", "0.2.0")
    with pytest.raises(BenchmarkError, match=r"its findings are .*Edema"):
        _call(calibrate, tiny_bundle.directory, "--manifest", films.manifest, *common)
    few = local.with_name("few.csv")
    pd.read_csv(local).head(12).to_csv(few, index=False)
    with pytest.raises(BenchmarkError, match="10 positive"):
        _call(calibrate, tiny_bundle.directory, "--manifest", few, *common)
    for wrong in ("Edema", "Edema=x", "Hernia=0.1", "Edema=1.5"):
        arguments = ("--manifest", local, *common, "--prevalence", wrong)
        with pytest.raises(BenchmarkError, match=r"revalence"):
            _call(calibrate, tiny_bundle.directory, *arguments)
    aims = ("--target-sensitivity", 0.9, "--target-fpr", 0.1)
    with pytest.raises(BenchmarkError, match="not at both"):
        _call(calibrate, tiny_bundle.directory, "--manifest", local, *common, *aims)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("version", "output", "error"),
    [("v2", "x", "up to three numbers"), ("", "x", "own"), ("0.2.0", ".", "exists already")],
)
def test_what_cannot_be_written_is_said_before_a_film_is_read(
    tiny_bundle: Bundle, local: Path, tmp_path: Path, version: str, output: str, error: str
) -> None:
    table = pd.read_csv(local)
    table["path"] = [f"{row}.png" for row in range(len(table))]
    for name in table["path"]:
        (tmp_path / name).write_text("no film")
    table.to_csv(tmp_path / "local.csv", index=False)
    options = ("-o", tmp_path / output, "--version", version or tiny_bundle.manifest.version)
    with pytest.raises(BundleError, match=error):
        _call(calibrate, tiny_bundle.directory, "--manifest", tmp_path / "local.csv", *options)


def test_other_columns_of_text_do_not_hinder_a_calibration(
    tiny_bundle: Bundle, local: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(local).assign(comment="read twice")
    table.to_csv(local.with_name("commented.csv"), index=False)
    arguments = ("-o", tmp_path / "x", "--version", "0.2.0", "--label", "Edema")
    commented = local.with_name("commented.csv")
    _call(calibrate, tiny_bundle.directory, "--manifest", commented, *arguments)
    assert (tmp_path / "x" / "manifest.json").is_file()


def test_halves_of_one_set_are_not_told_apart_and_few_patients_are_refused(
    tiny_bundle: Bundle, films: DrawnFilms, tmp_path: Path
) -> None:
    first, second = (films.folder / f"{half}.csv" for half in ("first", "second"))
    half = films.table["patient"].str.split().str[1].astype(int) % 8 < 4
    columns = ["path", "patient"]
    films.table[half][columns].to_csv(first, index=False)
    films.table[~half][columns].to_csv(second, index=False)
    output = tmp_path / "drift.json"
    arguments = ("--bundle", tiny_bundle.directory, "-o", output, "--replicates", 200)
    _call(drift, first, second, *arguments)
    found = Drift.model_validate_json(output.read_bytes())
    assert found.separability.low < 0.5 < found.separability.high
    assert {score.label for score in found.scores} == {"Pneumonia", "Effusion", "Edema"}
    films.table[half][columns][:5].to_csv(first, index=False)
    with pytest.raises(BenchmarkError, match="20 patients"):
        _call(drift, first, second, *arguments)


@pytest.mark.parametrize("as_table", [True, False])
def test_films_without_named_patients_are_other_patients_in_another_set(
    tiny_bundle: Bundle, films: DrawnFilms, tmp_path: Path, as_table: bool
) -> None:
    names = films.table["path"].tolist()
    sets = []
    # The last of the first set is the first of the second: one picture, one patient.
    for number, part in enumerate((names[:40], names[39:80])):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in part:
            (folder / name).write_bytes((films.folder / name).read_bytes())
        pd.DataFrame({"path": part}).to_csv(folder / "films.csv", index=False)
        sets.append(folder / "films.csv" if as_table else folder)
    cohorts = [read_cohort(path)[0] for path in sets]
    first, second = (set(patients_of(cohort).tolist()) for cohort in cohorts)
    assert (len(first), len(second), len(first & second)) == (40, 41, 1)
    output = tmp_path / "drift.json"
    _call(drift, *sets, "--bundle", tiny_bundle.directory, "-o", output, "--replicates", 100)
    assert Drift.model_validate_json(output.read_bytes()).patients == (40, 41)


def test_named_patients_are_the_same_in_both_sets(films: DrawnFilms) -> None:
    cohort, _ = read_cohort(films.write(films.table[["path", "patient", "split"]]))
    assert patients_of(cohort) is cohort.patients


def test_sets_that_differ_are_told_apart() -> None:
    random = np.random.default_rng(0)
    patients = (np.arange(60).astype(np.str_), np.arange(60, 120).astype(np.str_))
    vectors = random.normal(size=(120, 8)).astype(np.float32)
    vectors[60:, 0] += 2
    scores = expit(vectors[:, 0].astype(np.float64))
    found = compare(
        (vectors[:60], vectors[60:]),
        patients,
        {"Edema": (scores[:60], scores[60:])},
        Bootstrap(replicates=200),
    )
    assert found.separability.low > 0.8
    (score,) = found.scores
    assert score.difference.low > 0.1
    assert score.kolmogorov_smirnov > 0.5
