"""A bundle becomes a run again, with the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from pacx.bundle import HEADS, WEIGHTS, Bundle, open_bundle, resolve
from pacx.cli import app
from pacx.errors import CheckpointError
from pacx_export.weights import load_classifier, write_weights
from pacx_training.anatomy_files import load_anatomy
from pacx_training.novelty import load_novelty
from pacx_training.runs import RunDirectory


def imported(bundle: Path | str, output: Path) -> RunDirectory:
    answer = CliRunner().invoke(app, ["import", str(bundle), "-o", str(output)])
    assert answer.exit_code == 0, answer.output
    return RunDirectory(output)


def test_the_same_weights_are_made_of_the_run(tiny_bundle: Bundle, tmp_path: Path) -> None:
    run = imported(tiny_bundle.directory, tmp_path / "run")
    write_weights(load_classifier(run), tmp_path, load_novelty(run))
    for name in (WEIGHTS, HEADS):
        again, before = load_file(tmp_path / name), load_file(tiny_bundle.path(name))
        assert again.keys() == before.keys()
        for key, array in again.items():
            np.testing.assert_array_equal(array, before[key])
    assert tuple(head.spec for head in run.load_heads()) == tiny_bundle.manifest.heads
    story, told = run.load_provenance(), tiny_bundle.manifest.provenance
    assert story.steps == (*told.steps, "pacx import tiny 0.1.0")
    assert story.sources == told.sources


def test_the_shipped_model_keeps_anatomy_and_novelty(tmp_path: Path) -> None:
    manifest = open_bundle(resolve()).manifest
    run = imported(manifest.name, tmp_path)
    anatomy, novelty = load_anatomy(run), load_novelty(run)
    assert anatomy is not None
    assert novelty is not None
    assert (anatomy.spec, novelty.spec) == (manifest.anatomy, manifest.novelty)
    assert tuple(head.spec for head in run.load_heads()) == manifest.heads
    assert run.load_encoder().config.architecture == manifest.encoder.architecture


@pytest.mark.parametrize("checkpoint", ["weights.safetensors", "no-such-bundle"])
def test_what_is_not_there_is_not_imported(checkpoint: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["import", checkpoint, "-o", str(tmp_path / "run")])
    assert isinstance(answer.exception, CheckpointError)
    assert not (tmp_path / "run").exists()
