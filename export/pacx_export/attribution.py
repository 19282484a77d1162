"""``pacx attribute``: any method of captum on a run's torch model, for research."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import captum.attr
import numpy as np
import torch
import typer
from captum.attr import Attribution
from numpy.typing import NDArray
from torch import Tensor

from pacx.errors import MalformedRequest, UnknownMethod, UnknownTarget
from pacx.preprocessing import PreprocessingSpec, normalise, prepare
from pacx.radiograph import Radiograph
from pacx.reading import read
from pacx_export.graphs import Classifier
from pacx_export.weights import load_classifier
from pacx_training.runs import RunDirectory

METHODS = (
    "Saliency",
    "InputXGradient",
    "IntegratedGradients",
    "KernelShap",
    "Lime",
    "FeatureAblation",
)
"""Captum's methods that need nothing but a model and a film; perturbing ones work on patches.

Not among them are methods that rewrite the rules of rectifiers, of which this model has none."""
_PERTURBING = frozenset({"KernelShap", "Lime", "FeatureAblation"})


def attribute(
    run: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A run with heads.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A radiograph.")],
    target: Annotated[str, typer.Option(help="The finding to explain.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Map on the model's input, .npy.")],
    method: Annotated[str, typer.Option(help=", ".join(METHODS))] = "Saliency",
) -> None:
    """Attribute a finding to the pixels of one film with a method of captum."""
    if output.suffix != ".npy":
        raise MalformedRequest("Attributions are written as .npy.")
    classifier = load_classifier(RunDirectory(run))
    np.save(output, attribution(classifier, read(file), target, method), allow_pickle=False)


def attribution(
    classifier: Classifier, film: Radiograph, target: str, method: str
) -> NDArray[np.float32]:
    """Attribute one logit to the model's input.

    Args:
        classifier: Of a run.
        film: What it looks at.
        target: Label of a finding.
        method: One of ``METHODS``.

    Returns:
        float32 ``[S, S]``, in units of the logit: summed over channels, or of perturbing methods
        the effect of a pixel's whole patch.

    Raises:
        UnknownMethod: Not one of ``METHODS``.
        UnknownTarget: The run has no such finding.
    """
    labels = [label for head in classifier.specs for label in head.labels]
    if target not in labels:
        raise UnknownTarget(f"There is no such finding. Known ones: {', '.join(labels)}.")
    if method not in METHODS:
        raise UnknownMethod(f"There is no such method. Known ones: {', '.join(METHODS)}.")
    spec = PreprocessingSpec(size=classifier.encoder.config.image_size)
    pixels = torch.from_numpy(normalise(prepare(film, spec).pixels[np.newaxis], spec))
    explainer: Attribution = getattr(captum.attr, method)(_Logits(classifier))
    options = {"feature_mask": _patches(classifier)} if method in _PERTURBING else {}
    values: Tensor = explainer.attribute(
        pixels.requires_grad_(), target=labels.index(target), **options
    )
    channels = values.detach()[0]
    pixelwise = channels[0] if method in _PERTURBING else channels.sum(dim=0)
    return np.asarray(pixelwise.numpy(), dtype=np.float32)


class _Logits(torch.nn.Module):
    """Normalised pixels -> logits, the one output that captum asks about."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.classifier.logits(self.classifier.encoder(pixel_values).cls)


def _patches(classifier: Classifier) -> Tensor:
    """The number of the patch that every pixel belongs to, int64 ``[1, 1, S, S]``."""
    config = classifier.encoder.config
    numbers = torch.arange(config.patches).reshape(config.grid, config.grid)
    wide = numbers.repeat_interleave(config.patch_size, 0).repeat_interleave(config.patch_size, 1)
    return wide[None, None]
