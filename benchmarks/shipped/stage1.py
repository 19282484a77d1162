"""What masked autoencoding does to what an encoder tells, snapshot by snapshot.

Linear probes of the class token and of the mean patch, out of fold by patient within NIH ``train``,
at the initialisation and at every snapshot that a run of ``pacx train mae`` kept. NIH ``val`` is
never read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.shipped.probes import FINDINGS, FOLDS, READ_OUTS, kept
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.checkpoints import load_strictly
from pacx_training.cohorts.images import prepared
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.nih import read_nih
from pacx_training.encoder import VisionTransformer
from pacx_training.heads import fit_probe
from pacx_training.intervals import auroc
from pacx_training.runs import RunDirectory, default_device
from pacx_training.snapshots import load_snapshots
from pacx_training.tasks import HeadsRecipe

ENCODER = "model.encoder."
"""Where stage 1 keeps the encoder within a snapshot."""
READINGS = ("class token", "mean patch")
BATCH = 32


@dataclass(frozen=True, slots=True)
class Moment:
    """An encoder after a number of steps of one run."""

    run: str
    step: int
    encoder: VisionTransformer


def write_curves(before: Path, runs: list[Path], data: Path, output: Path) -> pd.DataFrame:
    """Probe every snapshot and write ``curves.csv`` and ``curves.png``.

    Args:
        before: Run of the initialisation, which is step 0 of every curve.
        runs: Of stage 1, with their snapshots.
        data: NIH's folder.
        output: Folder to write.
    """
    cohort = read_nih(data)
    films = cohort.select(cohort.splits == "train")
    spec = PreprocessingSpec(size=RunDirectory(before).load_config().image_size)
    pixels = normalise(np.stack(list(prepared(films.paths, spec))), spec)
    rows = [
        {"run": moment.run, "step": moment.step, "reading": reading, **areas}
        for run in runs
        for moment in _moments(RunDirectory(before), RunDirectory(run))
        for reading, areas in _probed(moment, pixels, films, output / "embeddings").items()
    ]
    table = pd.DataFrame(rows).sort_values(["run", "reading", "step"], ignore_index=True)
    table.to_csv(output / "curves.csv", index=False, float_format="%.4f")
    _draw(table, output / "curves.png")
    return table


def _moments(before: RunDirectory, run: RunDirectory) -> Iterator[Moment]:
    yield Moment(run.path.name, 0, before.load_encoder())
    for snapshot in load_snapshots(run.checkpoints):
        encoder = VisionTransformer(run.load_config())
        own = {k.removeprefix(ENCODER): v for k, v in snapshot.module.items() if ENCODER in k}
        load_strictly(encoder, own)
        yield Moment(run.path.name, snapshot.step, encoder.eval())


def _probed(
    moment: Moment, pixels: NDArray[np.float32], films: Cohort, cache: Path
) -> dict[str, dict[str, float]]:
    name = "initialisation" if moment.step == 0 else f"{moment.run}-{moment.step}"
    features = kept(cache / f"{name}.npy", lambda: _features(moment.encoder, pixels))
    return {
        reading: {label: _area(features[:, place], films, label) for label in FINDINGS + READ_OUTS}
        for place, reading in enumerate(READINGS)
    }


@torch.inference_mode()
def _features(encoder: VisionTransformer, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Both readings of every film, float32 ``[N, 2, D]``."""
    device = default_device()
    encoder = encoder.to(device)
    batches = torch.split(torch.from_numpy(pixels), BATCH)
    answers = [encoder(batch.to(device)) for batch in batches]
    found = [torch.stack([answer.cls, answer.tokens.mean(1)], dim=1) for answer in answers]
    return torch.cat(found).cpu().numpy()


def _area(features: NDArray[np.float32], films: Cohort, label: str) -> float:
    truth = films.label(label) > 0
    recipe = HeadsRecipe(findings=(label,), folds=FOLDS)
    return auroc(truth, fit_probe(features, truth, films.patients, recipe).held_out)


def _draw(table: pd.DataFrame, path: Path) -> None:
    table = table.assign(mean=table[list(FINDINGS)].mean(axis=1))
    figure, axes = plt.subplots(
        1, len(READINGS), figsize=(9, 3.4), sharey=True, layout="constrained"
    )
    for axis, reading in zip(axes, READINGS, strict=True):
        for run, curve in table[table["reading"] == reading].groupby("run"):
            axis.plot(curve["step"], curve["mean"], marker="o", markersize=3, label=run)
        axis.set(title=reading, xlabel="steps")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean AUROC of five findings")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
