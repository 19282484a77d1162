"""Heads with a hidden layer: AdamW on a frozen embedding, stopped early on left-out patients."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from torch import Tensor
from torch.nn import functional

from pacx.errors import CohortError
from pacx_training.fits import Fit, Layers
from pacx_training.intervals import Scores
from pacx_training.perceptron import Perceptron
from pacx_training.tasks import HeadsRecipe, Kind, PerceptronSettings, Task

Rows = NDArray[np.intp]


def fit_perceptron(
    embeddings: NDArray[np.float32],
    targets: Scores,
    train: NDArray[np.bool_],
    patients: NDArray[np.str_],
    task: Task,
    recipe: HeadsRecipe,
) -> Fit:
    """Train one head on all targets of a task together, and once per patient-grouped fold.

    Args:
        embeddings: float32 ``[N, D]``.
        targets: float64 ``[N, C]``: 1 or 0, or standardised values; NaN is unknown.
        train: bool ``[N]``, films that may be learnt from.
        patients: str ``[N]``; a patient's films share a fold and a side of the early stopping.
        task: Its kind and width.
        recipe: How it is trained.

    Raises:
        CohortError: Fewer patients than folds, or than four.
    """
    rows = np.flatnonzero(train & np.isfinite(targets).any(axis=1))
    # Whoever is fitted on needs one more, whose loss says when to stop.
    needed = max(recipe.folds, 4)
    if len(np.unique(patients[rows])) < needed:
        raise CohortError(f"A head with a hidden layer needs films of {needed} patients.")
    training = _Training(embeddings=embeddings, targets=targets, patients=patients, task=task)
    layers = training.fit(rows, recipe.perceptron, recipe.seed)
    logits = apply(layers, embeddings)
    folds = GroupKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    for fitted, held in folds.split(rows, groups=patients[rows]):
        seen = training.fit(rows[fitted], recipe.perceptron, recipe.seed)
        logits[rows[held]] = apply(seen, embeddings[rows[held]])
    return Fit(layers=layers, logits=logits, strengths=(None,) * targets.shape[1])


def apply(layers: Layers, embeddings: NDArray[np.float32]) -> Scores:
    """Logits float64 ``[N, C]`` of a head with a hidden layer."""
    arrays = (layers.hidden_weight, layers.hidden_bias, layers.weight, layers.bias)
    first, first_bias, last, last_bias = (torch.from_numpy(np.asarray(a)) for a in arrays)
    inner = functional.relu(torch.from_numpy(embeddings).double() @ first.T + first_bias)
    return np.asarray((inner @ last.T + last_bias).numpy())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Training:
    embeddings: NDArray[np.float32]
    targets: Scores
    patients: NDArray[np.str_]
    task: Task

    def fit(self, rows: Rows, settings: PerceptronSettings, seed: int) -> Layers:
        """Fit on some films; a share of their patients only says when to stop."""
        split = GroupShuffleSplit(1, test_size=settings.validation_share, random_state=seed)
        fitted, held = next(split.split(rows, groups=self.patients[rows]))
        raw = torch.from_numpy(self.embeddings[rows[fitted]]).double()
        mean, scale = raw.mean(dim=0), raw.std(dim=0, correction=0)
        scale = torch.where(scale > 0, scale, 1.0)
        weights = self._weights(rows[fitted])
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            model = Perceptron(raw.shape[1], self.task.hidden or 1, self.targets.shape[1]).double()
            sides = [self._tensors(rows[side], mean, scale) for side in (fitted, held)]
            _descend(model, sides[0], sides[1], self.task.kind, weights, settings)
        return _folded(model, mean, scale, _prior(weights, self.task.kind))

    def _tensors(self, rows: Rows, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        inputs = (torch.from_numpy(self.embeddings[rows]).double() - mean) / scale
        return inputs, torch.from_numpy(self.targets[rows])

    def _weights(self, rows: Rows) -> Tensor | None:
        """Weights ``[C, 2]`` of absence and presence, as scikit-learn's ``balanced``; or None."""
        if self.task.class_weights is None:
            return None
        share = np.clip(np.nanmean(self.targets[rows], axis=0), 1e-6, 1 - 1e-6)
        if self.task.kind == "multiclass":
            pair = [np.zeros_like(share), 1 / (len(share) * share)]
        else:
            pair = [0.5 / (1 - share), 0.5 / share]
        return torch.from_numpy(np.stack(pair, axis=1))


def _descend(
    model: Perceptron,
    fitted: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    kind: Kind,
    weights: Tensor | None,
    settings: PerceptronSettings,
) -> None:
    """Train until the loss on ``held`` has not improved for a while; the best weights stay."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    best, kept, waited = float("inf"), copy.deepcopy(model.state_dict()), 0
    for _ in range(settings.epochs):
        for rows in torch.split(torch.randperm(len(fitted[0])), settings.batch_size):
            inner = functional.relu(model.hidden(fitted[0][rows]))
            inner = functional.dropout(inner, settings.dropout)
            logits = functional.linear(inner, model.weight, model.bias)
            optimiser.zero_grad()
            torch.autograd.backward(head_loss(logits, fitted[1][rows], kind, weights))
            optimiser.step()
        with torch.no_grad():
            loss = float(head_loss(model(held[0]), held[1], kind, weights))
        waited = 0 if loss < best else waited + 1
        if loss < best:
            best, kept = loss, copy.deepcopy(model.state_dict())
        if waited == settings.patience:
            break
    model.load_state_dict(kept)


def head_loss(logits: Tensor, targets: Tensor, kind: Kind, weights: Tensor | None) -> Tensor:
    """Mean loss over what is known: squared error, cross entropy or binary cross entropies.

    Args:
        logits: ``[N, C]``.
        targets: ``[N, C]``; NaN is unknown, and a film of an unknown class counts for nothing.
        kind: Of the task.
        weights: ``[C, 2]``, of absence and presence of every finding, or None.
    """
    known = torch.isfinite(targets)
    filled = torch.nan_to_num(targets)
    if kind == "regression":
        losses = (logits - filled) ** 2
    elif kind == "multiclass":
        present = filled if weights is None else filled * weights[:, 1]
        losses, known = -(present * logits.log_softmax(dim=1)).sum(dim=1), known.all(dim=1)
    else:
        weight = None if weights is None else torch.lerp(weights[:, 0], weights[:, 1], filled)
        losses = functional.binary_cross_entropy_with_logits(
            logits, filled, weight=weight, reduction="none"
        )
    return (losses * known).sum() / known.sum().clamp(min=1)


def _prior(weights: Tensor | None, kind: Kind) -> Tensor | float:
    """What the bias must move by, so that probabilities are those of unweighted classes."""
    if weights is None:
        return 0.0
    return -(weights[:, 1] if kind == "multiclass" else weights[:, 1] / weights[:, 0]).log()


def _folded(model: Perceptron, mean: Tensor, scale: Tensor, prior: Tensor | float) -> Layers:
    """The layers with the standardisation of the embedding folded into the first."""
    with torch.no_grad():
        first = model.hidden.weight / scale
        return Layers(
            weight=model.weight.numpy(),
            bias=(model.bias + prior).numpy(),
            hidden_weight=first.numpy(),
            hidden_bias=(model.hidden.bias - first @ mean).numpy(),
        )
