"""Captum's methods on a torch model, for research: ``pacx explain --engine torch``.

All are asked about the contrast of a question, with captum's own settings but for the samples of
regressions. What hides parts of a film hides them behind the film's mean grey, patch by patch.
Methods that look at a layer look at the patches as they enter the last block, behind which only
the class token is read.

Left out are methods that rewrite the rules of rectifiers or know no rule for attention
(``DeepLift``, ``GuidedBackprop``, ``Deconvolution``, ``LRP``), that permute a batch
(``FeaturePermutation``), and that try every subset of patches (``ShapleyValues``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from pacx.explanations import WINDOW_PATCHES, EngineMethod, Map, Question
from pacx.preprocessing import normalise
from pacx_export.graphs import Classifier

Options: TypeAlias = dict[str, Any]
_Family: TypeAlias = Callable[[str, Classifier, Question], Map]
UNSIGNED = frozenset({"Saliency", "NoiseTunnel"})
"""Methods whose maps hold no evidence against a finding."""
SAMPLES_A_PATCH = 2
"""Of the regressions, which captum gives fewer samples than a film has patches."""


class _Score(nn.Module):
    """Normalised pixels -> the contrast of the logits, the one output that captum asks about."""

    def __init__(self, classifier: Classifier, contrast: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        self.contrast = contrast
        self.patches = nn.Identity()
        """What enters the last block, ``[N, D, g, g]``."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        """``[N, 3, S, S]`` -> ``[N]``."""
        encoder = self.classifier.encoder
        earlier, side = encoder.config.depth - 1, encoder.config.grid
        tokens = encoder.start(encoder.embed(pixel_values), blocks=earlier)
        grid = tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, side, side)
        patches = self.patches(grid).flatten(2).transpose(1, 2)
        joined = torch.cat([tokens[:, :1], patches], dim=1)
        scores: Tensor = self.classifier.logits(encoder.finish(joined, blocks=earlier).cls)
        return scores @ self.contrast


def captum_methods(classifier: Classifier) -> Mapping[str, EngineMethod]:
    """Captum's methods by their names there, for a classifier; none where it has no heads."""
    if not classifier.specs:
        return {}
    families: Mapping[_Family, tuple[str, ...]] = {
        _of_pixels: (
            "Saliency",
            "InputXGradient",
            "IntegratedGradients",
            "GradientShap",
            "NoiseTunnel",
        ),
        _of_patches: ("FeatureAblation", "Occlusion", "ShapleyValueSampling", "Lime", "KernelShap"),
        _of_layer: (
            "LayerGradCam",
            "LayerGradientXActivation",
            "LayerIntegratedGradients",
            "LayerConductance",
            "InternalInfluence",
        ),
    }
    return {
        name: EngineMethod(explain=partial(family, name, classifier), signed=name not in UNSIGNED)
        for family, names in families.items()
        for name in names
    }


def _of_pixels(name: str, classifier: Classifier, question: Question) -> Map:
    """Sum over channels, ``[S, S]``, in units of the logit."""
    score = _score(classifier, question)
    options: Options = {}
    if name in ("IntegratedGradients", "GradientShap"):
        options = {"baselines": _input(question, question.blank)}
    # Noise around the film, over which the bare gradient is averaged.
    made = captum.attr.Saliency(score) if name == "NoiseTunnel" else score
    values = _attributed(getattr(captum.attr, name)(made), question, options)
    return _as_map(values.sum(dim=1))


def _of_patches(name: str, classifier: Classifier, question: Question) -> Map:
    """The effect of every patch, ``[g, g]``; all pixels of a patch have the same."""
    config = classifier.encoder.config
    side = config.patch_size
    options: Options = {"baselines": _input(question, question.blank)}
    if name == "Occlusion":
        window = WINDOW_PATCHES * side
        options["sliding_window_shapes"] = (config.in_channels, window, window)
        options["strides"] = (config.in_channels, side, side)
    else:
        options["feature_mask"] = _patch_numbers(config.grid, side)
    if name in ("Lime", "KernelShap"):
        options["n_samples"] = SAMPLES_A_PATCH * config.patches
    explainer = getattr(captum.attr, name)(_score(classifier, question))
    values = _attributed(explainer, question, options)
    return _as_map(values[:, 0, ::side, ::side])


def _of_layer(name: str, classifier: Classifier, question: Question) -> Map:
    """Sum over the features of a patch, ``[g, g]``."""
    score = _score(classifier, question)
    options: Options = {}
    if name in ("LayerIntegratedGradients", "LayerConductance", "InternalInfluence"):
        options = {"baselines": _input(question, question.blank)}
    values = _attributed(getattr(captum.attr, name)(score, score.patches), question, options)
    return _as_map(values.sum(dim=1))


def _score(classifier: Classifier, question: Question) -> _Score:
    return _Score(classifier, torch.from_numpy(question.contrast)).eval()


def _input(question: Question, picture: Map) -> Tensor:
    return torch.from_numpy(normalise(picture[np.newaxis], question.spec))


def _attributed(explainer: Any, question: Question, options: Options) -> Tensor:  # noqa: ANN401
    """Ask captum, whose explainers have no common signature."""
    pixels = _input(question, question.pixels).requires_grad_()
    with _seeded():
        values: Tensor = explainer.attribute(pixels, **options)
    return values.detach()


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw the same numbers every time, and leave the process's own generators alone."""
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)  # captum draws from numpy's global generator
        try:
            yield
        finally:
            np.random.set_state(state)


def _as_map(values: Tensor) -> Map:
    return np.asarray(values[0].numpy(), dtype=np.float32)


def _patch_numbers(grid: int, side: int) -> Tensor:
    """The number of the patch that every pixel belongs to, int64 ``[1, 1, S, S]``."""
    numbers = torch.arange(grid**2).reshape(grid, grid)
    return numbers.repeat_interleave(side, 0).repeat_interleave(side, 1)[None, None]
