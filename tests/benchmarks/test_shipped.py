"""The model that ships: its tables fit its recipe, and its measures are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from benchmarks.shipped.__main__ import app
from benchmarks.shipped.choice import LINES, PHYSIOLOGY, choose
from benchmarks.shipped.comparison import Films, Line, compared, final_lines, label_lines
from benchmarks.shipped.markers import MARKERS
from benchmarks.shipped.probes import AGE, FINDINGS, READ_OUTS, Answers, nih_train, nih_val
from pacx.cli import app as pacx
from pacx.manifest import Interval
from pacx_training.cohorts.catalogue import Terms, read_cohort
from pacx_training.cohorts.manifest import Cohort, read_manifest
from pacx_training.cohorts.nih import FINDINGS as NIH_FINDINGS
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.cohorts.simulated.given import GivenPlan, write_cohort_given
from pacx_training.embeddings import embed_films
from pacx_training.intervals import weighted_auroc
from pacx_training.recipes import read_section
from pacx_training.runs import RunDirectory
from pacx_training.tasks import HeadsRecipe
from tests.tiny_bundle import write_run

RECIPE = Path("benchmarks/shipped/recipe.yaml")
SPLITS = ("train",) * 8 + ("val",) * 2 + ("test",) * 2


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The markers of twelve phantoms, ten of NIH as their age says."""
    folder = tmp_path_factory.mktemp("shipped")
    rows = [f"path,patient,split,Edema,{AGE}"]
    for number, split in enumerate(SPLITS):
        pixels = phantom_radiograph(number, (32, 32)).pixels
        Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{number}.png")
        age = "" if number < 2 else 60
        rows.append(f"{folder / f'{number}.png'},p{number},{split},{number % 2},{age}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n", "utf-8")
    terms = Terms(name="Phantoms", licence="CC0", citation="none")
    (folder / "films.json").write_text(terms.model_dump_json(), "utf-8")
    plan = GivenPlan(films=terms, size=32)
    list(write_cohort_given(read_manifest(folder / "films.csv"), plan, folder / "cohort"))
    options = ["--films", folder / "films.csv", "--cohort", folder / "cohort"]
    run = CliRunner().invoke(app, ["markers", *map(str, options), "-o", str(folder / "m.csv")])
    assert run.exit_code == 0, run.output
    return folder / "m.csv"


def test_every_target_of_the_recipe_is_a_column_of_the_markers(table: Path) -> None:
    cohort, terms = read_cohort(table)
    recipe = read_section(str(RECIPE), "heads", HeadsRecipe)
    for task in recipe.all_tasks:
        assert (task.group, task.simulated) == ("physiology", True)
        for target in task.targets:
            assert np.isfinite(target.values(cohort)).all()
    assert recipe.confounded_with is not None
    assert cohort.label(recipe.confounded_with).tolist() == [0, 0] + [1] * 10
    assert terms.simulated
    assert "outer 25% of 8 films" in terms.limitations[0]


def test_read_outs_are_a_group_of_their_own() -> None:
    recipe = read_section("benchmarks/shipped/read-outs.yaml", "heads", HeadsRecipe)
    assert {task.group for task in recipe.all_tasks} == {"read_out"}
    columns = {target.column for task in recipe.all_tasks for target in task.targets}
    assert columns == {*READ_OUTS, AGE}
    assert read_section("small", "heads", HeadsRecipe, ["read_outs=[]"]).read_outs == ()


def test_the_outer_quarter_lies_on_the_bad_side(table: Path) -> None:
    found = pd.read_csv(table)
    for marker in MARKERS:
        values, outer = found[marker.name], found[f"{marker.name} outer quarter"] > 0
        train = outer & (found["split"] == "train")
        assert train.sum() == 2
        if marker.low:
            assert values[outer].max() < values[~outer].min()
        else:
            assert values[outer].min() > values[~outer].max()


def test_an_encoder_goes_a_share_of_the_way(tiny_run: RunDirectory, tmp_path: Path) -> None:
    after = write_run(tmp_path / "after")
    moved = after.load_encoder()
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(1.0)
    after.save_encoder(moved)
    options = ["--before", tiny_run.path, "--after", after.path, "--share", "0.25"]
    command = ["interpolate", *map(str, options), "-o", str(tmp_path / "between")]
    assert CliRunner().invoke(app, command).exit_code == 0
    between = RunDirectory(tmp_path / "between")
    found, start = between.load_encoder().state_dict(), tiny_run.load_encoder().state_dict()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, start[name] + 0.25, rtol=1e-5, atol=1e-5)
    assert between.load_provenance().steps[-1].endswith("interpolate --share 0.25")
    assert between.load_heads() == ()


def test_simulated_heads_say_so(table: Path, tiny_run: RunDirectory, tmp_path: Path) -> None:
    words = ["train", "heads", "--recipe", RECIPE, "--encoder", tiny_run.path, "--data", table]
    words += ["-o", tmp_path / "run", "--cache", tmp_path / "cache"]
    words += ["--set", "folds=2", "--set", "replicates=20"]
    for _ in range(2):  # the second time from the cache
        answer = CliRunner().invoke(pacx, list(map(str, words)))
        assert answer.exit_code == 0, answer.output
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    run = RunDirectory(tmp_path / "run")
    findings, levels, markers = (head.spec for head in run.load_heads())
    assert not any(finding.simulated for finding in findings.findings)
    assert {column.group for column in (*levels.columns, *markers.columns)} == {"physiology"}
    assert all(column.simulated for column in (*levels.columns, *markers.columns))
    story = run.load_provenance()
    assert any("drawn for films by a simulation" in limit for limit in story.limitations)
    assert story.sources[-1].simulated


def candidate(folder: Path, *, finding: float, physiology: float, apart: float = 0) -> Path:
    """A run whose probes differ from those before stage 2 by so much, give or take 0.01."""

    def line(measure: str, change: float) -> Line:
        around = Interval(value=change, low=change - 0.01, high=change + 0.01)
        return Line(measure=measure, films=9, before=around, after=around, difference=around)

    lines = [line(f"{label}, AUROC", 0.1) for label in FINDINGS[1:]]
    lines += [line(f"{label}, held apart, AUROC", apart) for label in FINDINGS]
    lines += [line(f"{FINDINGS[0]}, AUROC", finding), line(PHYSIOLOGY, physiology)]
    folder.mkdir()
    (folder / "comparison.json").write_bytes(LINES.dump_json(lines))
    (folder / "checkpoints").mkdir()
    return folder


def test_the_most_physiology_ships_that_loses_no_finding(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    some = candidate(tmp_path / "some", finding=-0.004, physiology=0.02)
    more = candidate(tmp_path / "more", finding=0.01, physiology=0.03)
    lossy = candidate(tmp_path / "lossy", finding=-0.006, physiology=0.09)
    doubtful = candidate(tmp_path / "doubtful", finding=0.1, physiology=0.009)
    leaky = candidate(tmp_path / "leaky", finding=0.1, physiology=0.09, apart=-0.006)
    refused = [lossy, doubtful, leaky]
    assert choose(before, [some, more, *refused], tmp_path / "first") == more
    assert (tmp_path / "first" / "comparison.json").is_file()
    assert not (tmp_path / "first" / "checkpoints").exists()
    assert choose(before, refused, tmp_path / "second") == before


def test_both_encoders_are_measured_on_the_same_resamples() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(60) % 2 > 0
    films = Films(patients=(np.arange(60) // 2).astype(np.str_), strata=truth)
    noise = generator.standard_normal(60)

    def score(logits: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return weighted_auroc(truth, logits, weights)

    same = compared("same", films, score, (noise, 2 * noise))
    assert (same.difference.low, same.difference.value, same.difference.high) == (0, 0, 0)
    better = compared("better", films, score, (noise, noise + 9 * truth))
    assert better.after.value == 1
    assert better.difference.low > 0


@pytest.fixture
def nih() -> Cohort:
    """Forty films with labels: of NIH ``train`` seen and held apart, and of NIH ``val``."""
    names = (*FINDINGS, *READ_OUTS, AGE)
    labels = np.random.default_rng(0).integers(0, 2, (40, len(names))).astype(np.float32)
    labels[:, -1] = 50
    labels[:4, -1] = np.nan
    return Cohort(
        name="films",
        paths=tuple(Path(f"{row}.png") for row in range(40)),
        patients=np.arange(40).astype(np.str_),
        splits=np.repeat(["train", "val", "test"], [16, 10, 14]),
        label_names=names,
        labels=labels,
        weights=np.ones(40),
    )


def test_what_chooses_never_sees_nih_val(nih: Cohort) -> None:
    known, last = nih.select(nih_train(nih)), nih.select(nih_val(nih))
    assert (len(known), len(last)) == (22, 14)
    none = np.zeros((0, 0))
    right = Answers(
        labels={name: known.label(name).astype(np.float64) for name in nih.label_names},
        final={name: -last.label(name).astype(np.float64) for name in nih.label_names},
        values=none,
        high=none,
        high_few=none,
    )
    choosing = list(label_lines(nih, (right, right)))
    final = list(final_lines(nih, (right, right)))
    assert {line.before.value for line in choosing if "AUROC" in line.measure} == {1.0}
    assert {line.before.value for line in final if "AUROC" in line.measure} == {0.0}
    assert [line.films for line in final if "age" in line.measure] == [14]
    assert sum(line.films for line in final if line.measure.endswith(" films, AUROC")) == 14


def _labelled_folder(folder: Path) -> Path:
    """NIH's layout: twelve patients of ``train``, and one of ``val`` whose film is no film."""
    folder.mkdir()
    names = ["image", "patient_id", "age", "sex", "view", "split", *NIH_FINDINGS]
    rows = [",".join(names)]
    for number in range(13):
        split, ill = ("train", "val")[number == 12], str(number % 2)
        view, sex = ("PA", "AP")[number % 2], ("F", "M")[number % 2]
        file = f"{number}.png"
        rows.append(",".join([file, f"p{number}", "50", sex, view, split, *[ill] * 14]))
        if split == "val":
            (folder / file).write_bytes(b"not read")
            continue
        pixels = phantom_radiograph(number, (64, 64)).pixels
        Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / file)
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def test_curves_probe_every_snapshot_and_never_read_val(tmp_path: Path) -> None:
    folder = _labelled_folder(tmp_path / "nih")
    films = tmp_path / "films.csv"
    films.write_text("path\n" + "".join(f"{folder / f'{n}.png'}\n" for n in range(12)), "utf-8")
    train = ["train", "mae", "--recipe", "smoke", "--data", films]
    options = ["--set", "loop.checkpoint_minutes=0", "--set", "loop.keep_checkpoints=9"]
    for name, start in (("before", []), ("long", ["--initialisation", tmp_path / "before"])):
        words = [*train, *start, *options, "-o", tmp_path / name]
        made = CliRunner().invoke(pacx, [*map(str, words)])
        assert made.exit_code == 0, made.output
    words = ["curves", "--before", tmp_path / "before", "--run", tmp_path / "long"]
    made = CliRunner().invoke(
        app, [*map(str, words), "--data", str(folder), "-o", str(tmp_path / "out")]
    )
    assert made.exit_code == 0, made.output
    table = pd.read_csv(tmp_path / "out" / "curves.csv")
    assert sorted(table["step"].unique()) == [0, 1, 2]
    assert (table.groupby("step")["reading"].nunique() == 2).all()
    assert (tmp_path / "out" / "curves.png").stat().st_size > 5000
    paths = [folder / f"{number}.png" for number in range(12)]
    for name, features in (("before", "initialisation"), ("long", "long-2")):
        own = embed_films(RunDirectory(tmp_path / name).load_encoder(), paths)
        found = np.load(tmp_path / "out" / "embeddings" / f"{features}.npy")
        assert np.allclose(found[:, 0], own, atol=1e-5)
