"""Heads of several kinds, from a manifest to answers: a bundle says what torch says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

import pacx
from pacx.bundle import Bundle
from pacx.errors import RecipeError
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_export.assembly import export_bundle
from pacx_export.weights import load_classifier
from pacx_training.commands import app
from pacx_training.runs import RunDirectory
from tests.tiny_bundle import write_run

FILMS = 36
RECIPE = {
    "heads": {
        "folds": 2,
        "replicates": 20,
        "tasks": [
            {
                "name": "laboratory",
                "kind": "regression",
                "group": "physiology",
                "simulated": True,
                "targets": [
                    {"label": "NT-proBNP", "column": "bnp", "unit": "pg/mL", "logarithm": True},
                    {"label": "Haemoglobin", "column": "hb", "unit": "g/dL"},
                ],
            },
            {
                "name": "levels",
                "group": "physiology",
                "simulated": True,
                "targets": [{"label": "High NT-proBNP", "column": "bnp", "above": 100}],
            },
            {"name": "findings", "kind": "binary", "targets": [{"label": "Bright"}]},
            {
                "name": "grade",
                "kind": "multiclass",
                "class_weights": "balanced",
                "targets": [
                    {"label": "Dark", "column": "level", "below": 0.37},
                    {"label": "Grey", "column": "grey"},
                    {"label": "Light", "column": "level", "above": 0.63},
                ],
            },
            {
                "name": "deep",
                "kind": "regression",
                "hidden": 8,
                "targets": [{"label": "Brightness", "column": "level"}],
            },
            {"name": "inner", "hidden": 8, "targets": [{"label": "Shiny", "column": "Bright"}]},
        ],
    }
}


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A tiny encoder with heads of every kind, trained by the command on a manifest."""
    folder = tmp_path_factory.mktemp("mixed")
    write_films(folder)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    encoder = write_run(folder / "encoder")
    (encoder.path / "heads.json").unlink()
    arguments = ["heads", "--encoder", str(encoder.path), "--data", str(folder / "films.csv")]
    arguments += ["--recipe", str(folder / "recipe.yaml"), "-o", str(folder / "run")]
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None, result.output
    assert "pg/mL" in result.output
    return RunDirectory(folder / "run")


@pytest.fixture(scope="module")
def mixed_bundle(mixed_run: RunDirectory) -> Bundle:
    """The same, exported."""
    return export_bundle(mixed_run, mixed_run.path.parent / "made", name="mixed", version="0.1.0")


def write_films(folder: Path) -> None:
    """Films of different brightness, which is all that their labels know."""
    random = np.random.default_rng(3)
    rows = ["path,patient,split,Bright,bnp,hb,level,grey"]
    for film in range(FILMS):
        level = random.uniform(0.1, 0.9)
        pixels = np.clip(level + random.normal(0, 0.1, (32, 32)), 0, 1)
        Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{film}.png")
        split = "train" if film < FILMS - 6 else "val"
        bnp, haemoglobin = 10 ** (1 + 2 * level), "" if film % 5 == 0 else 10 + 4 * level
        labels = f"{int(level > 0.5)},{bnp},{haemoglobin},{level},{int(0.37 <= level <= 0.63)}"
        rows.append(f"{film}.png,p{film // 2},{split},{labels}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n")


def test_every_kind_is_in_the_manifest(mixed_bundle: Bundle) -> None:
    manifest = mixed_bundle.manifest
    assert manifest.simulated_physiology
    assert manifest.labels == (
        "High NT-proBNP", "Bright", "Dark", "Grey", "Light", "Shiny",
        "NT-proBNP", "Haemoglobin", "Brightness",
    )  # fmt: skip
    assert [value.unit for value in manifest.values] == ["pg/mL", "g/dL", None]
    assert [finding.simulated for finding in manifest.findings] == [True] + [False] * 5
    assert [head.task for head in manifest.heads][2] == "multiclass"
    assert [head.hidden for head in manifest.heads] == [None, None, None, 8, None, 8]
    card = mixed_bundle.path("README.md").read_text()
    assert "| NT-proBNP | physiology, simulated |" in card
    assert "| High NT-proBNP | physiology, simulated |" in card
    assert "| Bright | radiology |" in card


def test_answers_are_those_of_torch(mixed_run: RunDirectory, mixed_bundle: Bundle) -> None:
    """Written out from the heads' equations, not with the code that answers."""
    film = mixed_run.path.parent / "1.png"
    model = pacx.load(mixed_bundle.directory, engine="onnxruntime", precision="f32")
    answer = model.predict(film)
    model.close()
    classifier = load_classifier(mixed_run)
    spec = PreprocessingSpec(size=32)
    pixels = normalise(model.prepare(film).pixels[np.newaxis], spec)
    with torch.inference_mode():
        logits = classifier.logits(classifier.encoder(torch.from_numpy(pixels)).cls)[0].double()
    temperatures = torch.tensor([f.temperature for f in mixed_bundle.manifest.findings])
    scaled = logits[:6] / temperatures
    wanted = torch.sigmoid(scaled)
    wanted[2:5] = torch.softmax(scaled[2:5], dim=0)
    found = [finding.probability for finding in answer.findings]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert sum(found[2:5]) == pytest.approx(1)
    bnp, haemoglobin, brightness = answer.values
    first, second, third = mixed_bundle.manifest.values
    assert bnp.value == pytest.approx(
        float(torch.exp(first.mean + first.deviation * logits[6])), rel=1e-4
    )
    assert haemoglobin.value == pytest.approx(
        second.mean + second.deviation * float(logits[7]), rel=1e-4
    )
    assert brightness.value == pytest.approx(
        third.mean + third.deviation * float(logits[8]), abs=1e-4
    )
    assert bnp.low < bnp.value < bnp.high
    assert (haemoglobin.unit, haemoglobin.group, haemoglobin.simulated) == (
        "g/dL", "physiology", True,
    )  # fmt: skip


def test_a_value_can_be_explained(mixed_run: RunDirectory, mixed_bundle: Bundle) -> None:
    model = pacx.load(mixed_bundle.directory, engine="onnxruntime", precision="f32")
    explained = model.explain(
        mixed_run.path.parent / "1.png", method="occlusion", target="NT-proBNP"
    )
    model.close()
    assert np.abs(explained.grid).max() > 0


def test_heads_of_the_encoder_are_kept(mixed_run: RunDirectory, tmp_path: Path) -> None:
    data = mixed_run.path.parent / "films.csv"
    arguments = ["heads", "--encoder", str(mixed_run.path), "--data", str(data)]
    arguments += ["--recipe", "smoke", "-o", str(tmp_path / "run")]
    arguments += ["--set", "findings=[]", "--set", "read_outs=[]"]
    doubled = ["--set", "tasks=[{name: more, targets: [{label: Dark, column: Bright}]}]"]
    refused = CliRunner().invoke(app, arguments + doubled).exception
    assert isinstance(refused, RecipeError)
    assert "head grade answers Dark already" in str(refused)
    arguments += ["--set", "tasks=[{name: more, targets: [{label: Gloom, column: Bright}]}]"]
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None, result.output
    heads = RunDirectory(tmp_path / "run").load_heads()
    assert [head.spec.name for head in heads] == [
        "levels", "findings", "grade", "inner", "more", "laboratory", "deep",
    ]  # fmt: skip
    report = json.loads((tmp_path / "run" / "heads-report.json").read_text())
    assert [entry["label"] for entry in report] == ["Gloom"]
