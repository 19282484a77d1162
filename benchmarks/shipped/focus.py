"""How much of the relevance of cardiac markers lies in the heart, for one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.shipped.markers import MARKERS, Markers
from benchmarks.shipped.probes import Embeddings
from pacx.manifest import FindingSpec, HeadSpec
from pacx.masks import Mask, masks_from
from pacx.measures import silhouette_focus
from pacx.model import Model
from pacx.preprocessing import PreprocessingSpec, normalise, prepare
from pacx.reading import read
from pacx_export.graphs import Classifier, Explain
from pacx_training.cohorts.manifest import Cohort
from pacx_training.heads import fit_logistic
from pacx_training.runs import RunDirectory

CARDIAC = tuple(number for number, marker in enumerate(MARKERS) if marker.cardiac)
STRENGTH = 3e-3
"""Inverse regularisation of the heads, the same for every encoder."""


def heart_focus(
    run: RunDirectory,
    embeddings: Embeddings,
    films: Cohort,
    markers: Markers,
    asked: Sequence[int],
    hearts: Sequence[Mask],
) -> NDArray[np.float64]:
    """Lift of the heart in relevance, averaged over cardiac markers.

    Args:
        run: Of the encoder.
        embeddings: Of all films by that encoder; its heads are fitted on ``train``.
        films: All of the manifest.
        markers: Of all films.
        asked: Rows of the films to explain.
        hearts: Their masks, bool ``[3, S, S]``, the same for every encoder.

    Returns:
        float64 ``[M]``; 1 is chance.
    """
    classifier = _classifier(run, embeddings[films.splits == "train"], markers, films)
    explain = Explain(classifier)
    lifts = []
    for row, masks in zip(asked, hearts, strict=True):
        pixels = _pixels(films.paths[row], classifier.encoder.config.image_size)
        maps = [_relevance(explain, pixels, number) for number in range(len(CARDIAC))]
        found = [silhouette_focus(grid, masks).heart for grid in maps]
        lifts.append(np.mean([lift for lift in found if lift is not None]))
    return np.asarray(lifts)


def masks_of(model: Model, films: Cohort, asked: Sequence[int]) -> list[Mask]:
    """Heart and lungs of some films, by a bundle."""
    found = []
    for row in asked:
        masks = model.run(prepare(read(films.paths[row]), model.spec).pixels[np.newaxis]).masks
        if masks is None:
            raise ValueError("the bundle has no anatomy decoder")
        found.append(masks_from(masks[0], model.spec.size))
    return found


def _classifier(run: RunDirectory, seen: Embeddings, markers: Markers, films: Cohort) -> Classifier:
    high = markers.high[films.splits == "train"]
    findings = tuple(_spec(MARKERS[number].name) for number in CARDIAC)
    head = HeadSpec(name="cardiac", findings=findings)
    classifier = Classifier(run.load_encoder(), [head])
    fitted = [fit_logistic(seen, high[:, number], STRENGTH) for number in CARDIAC]
    weight = torch.from_numpy(np.stack([one for one, _ in fitted])).float()
    bias = torch.tensor([one for _, one in fitted])
    classifier.heads["cardiac"].load_state_dict({"weight": weight, "bias": bias})
    return classifier.eval().requires_grad_(False)


def _spec(label: str) -> FindingSpec:
    return FindingSpec(
        label=label, group="physiology", threshold=0.5, calibrated=False, simulated=True
    )


def _pixels(path: Path, size: int) -> torch.Tensor:
    spec = PreprocessingSpec(size=size)
    return torch.from_numpy(normalise(prepare(read(path), spec).pixels[np.newaxis], spec))


def _relevance(explain: Explain, pixels: torch.Tensor, number: int) -> NDArray[np.float32]:
    target = torch.zeros(1, len(CARDIAC))
    target[0, number] = 1
    grid: NDArray[np.float32] = explain(pixels, target).relevance[0].detach().numpy()
    return grid
