"""Does a map show what the model used? Tests that need no outlines and no opinion.

Every measure compares with what knows nothing: hiding cells in random order, random weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from captum.metrics import infidelity, sensitivity_max
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from pacx.explanations import Map, Question
from pacx_export.graphs import Classifier
from pacx_training.encoder import initialise

STEPS = 10
"""Points of a deletion or insertion curve."""
PERTURBATIONS = 20
"""Random maskings behind an infidelity."""
HIDDEN_SHARE = 0.2
"""Share of cells that one of them hides."""

Scores = NDArray[np.float64]


def deletion_gain(question: Question, grid: Map, *, steps: int = STEPS, seed: int = 0) -> float:
    """How much faster the score falls when the map's strongest cells are hidden first.

    Args:
        question: Film, target and engine.
        grid: The map, ``[grid_rows, grid_columns]``.
        steps: Points of the curve (Petsiuk et al. 2018).
        seed: Of the random order that it is compared with.

    Returns:
        Area between the curves of random order and of the map's order, in units of the score;
        0 is what a random map reaches, more is better.
    """
    informed, random = (
        _area(question, order, hide=True, steps=steps) for order in _orders(grid, seed)
    )
    return random - informed


def insertion_gain(question: Question, grid: Map, *, steps: int = STEPS, seed: int = 0) -> float:
    """The same for cells that are shown, strongest first, on a film that shows nothing."""
    informed, random = (
        _area(question, order, hide=False, steps=steps) for order in _orders(grid, seed)
    )
    return informed - random


def randomisation_similarity(
    classifier: Classifier, explain: Callable[[Classifier], Map], *, seed: int = 0
) -> float:
    """Rank correlation of a map with that of the same model with random encoder weights.

    Near 1 the map does not depend on what the model learnt (Adebayo et al. 2018).

    Args:
        classifier: The model.
        explain: Makes the map of one film from a classifier.
        seed: Of the random weights.
    """
    return similarity(explain(classifier), explain(randomised(classifier, seed)))


def similarity(grid: Map, other: Map) -> float:
    """Rank correlation of the cells of two maps; NaN where one of them is constant."""
    ranks = [rankdata(cells) for cells in (grid, other)]
    if any(np.ptp(cells) == 0 for cells in ranks):
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def randomised(classifier: Classifier, seed: int) -> Classifier:
    """The same classifier with a freshly initialised encoder; its heads stay."""
    other = copy.deepcopy(classifier)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for part in other.encoder.modules():
            if isinstance(part, nn.LayerNorm):
                part.reset_parameters()
        initialise(other.encoder)
    return other


def infidelity_of(question: Question, grid: Map, *, seed: int = 0) -> float:
    """Infidelity (Yeh et al. 2019) of a map under random hiding of cells, best scaling.

    Returns:
        Mean squared error of what the map predicts a masking to cost, in units of the mean
        squared cost: 0 is perfect, 1 is what an empty map reaches.
    """
    torch.manual_seed(seed)
    pixels = torch.from_numpy(question.pixels)[None, None]
    attribution = torch.from_numpy(_spread(question, grid))[None, None]

    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.rand((len(inputs), 1, *question.grid)) < HIDDEN_SHARE
        share = nn.functional.interpolate(hidden.float(), size=inputs.shape[-2:])
        change = share * (inputs - float(question.blank[0, 0]))
        # A cell's attribution is its own effect, so the perturbation that captum multiplies
        # with it is whether it was hidden; the forward pass sees the film itself change.
        return share, inputs - change

    def cost(inputs: Tensor) -> Tensor:
        return torch.from_numpy(question.scores(inputs[:, 0].numpy()))

    options = {"n_perturb_samples": PERTURBATIONS, "max_examples_per_batch": 8}
    error = infidelity(cost, perturb, pixels, attribution, normalize=True, **options)
    torch.manual_seed(seed)
    empty = infidelity(cost, perturb, pixels, torch.zeros_like(attribution), **options)
    return float(error / empty) if empty > 0 else float("nan")


def sensitivity_of(
    question: Question, method: Callable[[Question], Map], *, radius: float = 0.02, seed: int = 0
) -> float:
    """Largest relative change of a map when every grey level moves by up to ``radius``.

    Max-sensitivity of Yeh et al. 2019, over ten random films around the given one.
    """
    torch.manual_seed(seed)

    def explain(inputs: tuple[Tensor, ...]) -> Tensor:
        maps = [
            method(replace(question, pixels=picture.numpy().clip(0, 1)))
            for picture in inputs[0][:, 0]
        ]
        return torch.from_numpy(np.stack(maps))[:, None]

    pixels = torch.from_numpy(question.pixels)[None, None]
    return float(sensitivity_max(explain, pixels, perturb_radius=radius, n_perturb_samples=10))


def _orders(grid: Map, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    random = np.random.default_rng(seed).permutation(grid.size)
    # Ties are broken at random, so that a constant map is a random one.
    strongest = random[np.argsort(-grid.ravel()[random], kind="stable")]
    other = np.random.default_rng(seed + 1).permutation(grid.size)
    return strongest, other


def _area(question: Question, order: NDArray[np.intp], *, hide: bool, steps: int) -> float:
    """Mean score while cells are hidden or shown in this order, from none to all."""
    changed = np.zeros((steps + 1, order.size), np.bool_)
    for step in range(steps + 1):
        changed[step, order[: round(step * order.size / steps)]] = True
    masks = np.stack([_spread(question, row.reshape(question.grid)) for row in changed]) > 0
    shown = ~masks if hide else masks
    pictures = np.where(shown, question.pixels, question.blank).astype(np.float32)
    return float(np.trapezoid(question.scores(pictures), dx=1 / steps))


def _spread(question: Question, grid: NDArray[np.generic]) -> Map:
    """Every cell's value over its pixels, float32 ``[S, S]``."""
    rows, columns = (side // n for side, n in zip(question.pixels.shape, grid.shape, strict=True))
    return grid.repeat(rows, axis=0).repeat(columns, axis=1).astype(np.float32)
