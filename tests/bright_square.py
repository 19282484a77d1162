"""A tiny encoder that has been trained to see a bright or a dark square, in seconds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pacx.manifest import FindingSpec, HeadSpec
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_export.graphs import Classifier
from pacx_training.encoder import EncoderConfig, VisionTransformer

LABELS = ("Bright square", "Dark square")
SPEC = PreprocessingSpec(size=56)
GRID = (7, 7)
CONFIG = EncoderConfig(
    image_size=56, patch_size=8, embed_dim=32, depth=2, num_heads=2, position_embedding="learned"
)


def untrained(seed: int = 0) -> Classifier:
    """The same with random weights."""
    torch.manual_seed(seed)
    findings = tuple(
        FindingSpec(
            label=label, group="radiology", threshold=0.5, calibrated=False, simulated=False
        )
        for label in LABELS
    )
    encoder = VisionTransformer(CONFIG)
    return Classifier(encoder, [HeadSpec(name="findings", findings=findings)])


@lru_cache
def trained(steps: int = 250) -> Classifier:
    """A classifier, made once, that tells whether a film has a bright or a dark square."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model is only slowed down by threads that wait
    classifier = _fitted(untrained().train(), steps)
    torch.set_num_threads(threads)
    return classifier.eval().requires_grad_(False)


def _fitted(classifier: Classifier, steps: int) -> Classifier:
    random = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=3e-3)
    for _ in range(steps):
        pictures, labels = _films(32, random)
        logits = classifier.logits(classifier.encoder(torch.from_numpy(pictures)).cls)
        loss = functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return classifier


def background(random: np.random.Generator, side: int = 56) -> NDArray[np.float32]:
    """A dim noisy film without a square."""
    return random.uniform(0.3, 0.6, (side, side)).astype(np.float32)


def _films(
    count: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    labels = random.integers(0, 2, (count, 2)).astype(np.float32)
    films = np.stack([_film(row, random) for row in labels])
    return normalise(films, SPEC), labels


def _film(label: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    film = background(random)
    for present, grey in zip(label, (1.0, 0.0), strict=True):
        height, width = random.integers(7, 15, 2)
        row, column = random.integers(0, 56 - height), random.integers(0, 56 - width)
        if present:
            film[row : row + height, column : column + width] = grey
    return film
