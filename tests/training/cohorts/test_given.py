"""Real films with simulated physiology: the films stay, the patients fit them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from pacx.cli import app
from pacx.errors import CohortError
from pacx.model import load
from pacx_training.cohorts.catalogue import Terms
from pacx_training.cohorts.manifest import Cohort, read_manifest
from pacx_training.cohorts.paired import grey_films, read_paired
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.cohorts.simulated.film_anatomy import with_anatomy
from pacx_training.cohorts.simulated.given import GivenPlan, drawn, facts_of, write_cohort_given
from pacx_training.cohorts.simulated.physiology import (
    RadiographFacts,
    State,
    physiology_given,
)

FILMS = 24
SIZE = 48
PLAN = GivenPlan(films=Terms(name="Films", licence="CC0", citation="Doe 2020"), size=SIZE)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of twelve patients: half of them congested with large hearts, half well."""
    folder = tmp_path_factory.mktemp("films")
    rows = ["path,patient,split,Edema,Pneumonia,Consolidation,cardiothoracic_ratio"]
    for number in range(FILMS):
        pixels = phantom_radiograph(number, (64, 64)).pixels
        Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{number}.png")
        ill = number // 2 % 2
        split = "train" if number < 16 else "val"
        ratio = (0.44, 0.60)[ill] if number != 3 else ""
        rows.append(f"{number}.png,p{number // 2},{split},{ill},0,,{ratio}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder / "films.csv"


def simulate_given(manifest: Path, output: Path) -> list[str]:
    """A command line; one process knows the shapes of the heart beats from earlier tests."""
    films = ["--given", str(manifest), "--size", str(SIZE)]
    return ["simulate", *films, "--workers", "1", "-o", str(output)]


@pytest.fixture(scope="module")
def films(manifest: Path) -> Cohort:
    return read_manifest(manifest)


@pytest.fixture(scope="module")
def written(films: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    assert list(write_cohort_given(films, PLAN, folder))[-1] == FILMS
    return folder


def test_labels_become_facts_and_gaps_stay_unknown(films: Cohort) -> None:
    well, ill = facts_of(films, 0), facts_of(films, 3)
    assert (well.congestion, ill.congestion) == (False, True)
    assert (well.consolidation, well.effusion, well.emphysema) == (False, None, None)
    assert well.cardiothoracic_ratio == pytest.approx(0.44)
    assert ill.cardiothoracic_ratio is None


def test_films_and_patients_are_kept(films: Cohort, written: Path) -> None:
    cohort = read_paired(written)
    train, val = cohort.splits["train"], cohort.splits["val"]
    assert (len(train), len(val), len(cohort.splits["test"])) == (16, 8, 0)
    assert len(np.unique(train.patients)) == 8
    with Image.open(films.paths[5]) as picture:
        resized = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(grey_films(train, np.array([5]))[0], resized, atol=0.02)
    assert train.ecg(0) is not None
    assert (np.load(written / "truth" / "masks_train.npy") == 255).all()


def test_patients_fit_their_films(written: Path) -> None:
    truth = pd.concat(
        [pd.read_parquet(written / "truth" / f"{split}.parquet") for split in ("train", "val")]
    )
    ill = (truth["hadm_id"] // 2 % 2).to_numpy() == 1
    assert truth["congestion"][ill].mean() > truth["congestion"][~ill].mean() + 1
    assert truth["heart_failure"][ill].mean() > truth["heart_failure"][~ill].mean() + 0.5
    assert not any(str(column).startswith("film_") for column in truth.columns)


def test_older_patients_and_larger_hearts_are_drawn_as_such() -> None:
    def mean(state: State, facts: RadiographFacts) -> float:
        drawn = (physiology_given(facts, np.random.default_rng(seed)) for seed in range(60))
        return float(np.mean([patient.score(state) for patient in drawn]))

    assert mean("age", RadiographFacts(age_years=80)) == pytest.approx(20 / 17, abs=0.15)
    assert mean("age", RadiographFacts(age_years=25)) < -1.6
    large, small = RadiographFacts(heart_share=2.5), RadiographFacts(heart_share=-2.5)
    assert mean("heart_failure", large) > mean("heart_failure", small) + 0.5
    assert mean("emphysema", large) < mean("emphysema", small) - 0.5


def test_a_bundle_measures_the_films(films: Cohort) -> None:
    measured = with_anatomy(films, load())
    ratios = measured.label("cardiothoracic_ratio")
    assert measured.label_names == (*films.label_names[:3], "cardiothoracic_ratio", "heart_share")
    known = ratios[np.isfinite(ratios)]
    assert len(known) >= FILMS // 2
    assert ((known > 0.25) & (known < 0.95)).all()
    share = measured.label("heart_share")
    assert np.nanmedian(share[measured.splits == "train"]) == pytest.approx(0, abs=1e-6)
    assert (np.isfinite(share) == np.isfinite(ratios)).all()
    assert np.array_equal(measured.label("Edema"), films.label("Edema"))


def test_workers_change_nothing(films: Cohort, written: Path, tmp_path: Path) -> None:
    assert list(write_cohort_given(films, PLAN, tmp_path, workers=2))
    name = "data_npy/val/ecg_val.npy"
    assert (written / name).read_bytes() == (tmp_path / name).read_bytes()


def test_films_are_credited_and_physiology_is_marked(written: Path) -> None:
    cohort = read_paired(written)
    assert cohort.simulated
    given, simulated = cohort.sources("stage 2")
    assert (given.name, given.licence, given.simulated) == ("Films", "CC0", False)
    assert simulated.simulated


def test_the_same_seed_gives_the_same_patients(
    films: Cohort, written: Path, tmp_path: Path
) -> None:
    assert list(write_cohort_given(films, PLAN, tmp_path))
    for file in sorted((written / "data_npy").rglob("*.npy")):
        again = tmp_path / file.relative_to(written)
        assert file.read_bytes() == again.read_bytes()
    other = PLAN.model_copy(update={"seed": 1})
    assert list(write_cohort_given(films, other, tmp_path))
    name = "data_npy/train/ecg_train.npy"
    assert (written / name).read_bytes() != (tmp_path / name).read_bytes()


def test_films_must_be_there_to_train_on(films: Cohort, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no film belongs to train"):
        list(write_cohort_given(films.split("val"), PLAN, tmp_path))


def test_the_command_takes_a_manifest(manifest: Path, tmp_path: Path) -> None:
    arguments = simulate_given(manifest, tmp_path)
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert read_paired(tmp_path).sources("")[0].name == "films"


def test_some_of_the_films_are_drawn_by_the_seed(films: Cohort) -> None:
    def rows(seed: int) -> list[int]:
        chosen = drawn(films, PLAN.model_copy(update={"visits": 10, "seed": seed}))
        return [films.paths.index(path) for path in chosen.paths]

    assert rows(0) == rows(0) == sorted(set(rows(0)))
    assert len(rows(0)) == 10
    assert rows(0) != rows(1)
    assert drawn(films, PLAN) is films


def test_the_command_draws_as_many_films_as_it_is_told(manifest: Path, tmp_path: Path) -> None:
    arguments = simulate_given(manifest, tmp_path)
    answer = CliRunner().invoke(app, [*arguments, "-n", "12"])
    assert answer.exit_code == 0, answer.output
    cohort = read_paired(tmp_path)
    assert sum(len(split) for split in cohort.splits.values()) == 12
    refused = CliRunner().invoke(app, [*arguments, "-n", str(FILMS + 1)])
    assert isinstance(refused.exception, CohortError)


def test_an_unreadable_description_is_refused(written: Path, tmp_path: Path) -> None:
    assert read_paired(written).simulation is not None
    text = (written / "simulation.json").read_text("utf-8")
    (written / "simulation.json").write_text("[]", "utf-8")
    try:
        with pytest.raises(CohortError, match=r"simulation\.json"):
            read_paired(written)
    finally:
        (written / "simulation.json").write_text(text, "utf-8")
