"""The maps that explanations are measured on: a bundle's own, and those that know nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import pacx.model
from pacx.bundle import Bundle
from pacx.explanations import Map, Question, relevance
from pacx.findings import target_index
from pacx.preprocessing import normalise
from pacx.radiograph import Radiograph
from pacx_evaluation.faithfulness import randomised
from pacx_export.torch_engine import TorchEngine
from pacx_export.weights import bundle_classifier

Method = Callable[[Question], Map]
GAUSSIAN_WIDTH = 0.25
"""Standard deviation of the map that only knows the centre, as a share of the side."""
GAUSSIAN, UNIFORM = "centred Gaussian, no model", "uniform, no model"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """A bundle, and the same architecture with random encoder weights and the bundle's heads."""

    model: pacx.model.Model
    random: TorchEngine

    def question(self, film: Radiograph, label: str) -> Question:
        """What is to be explained about one film."""
        manifest = self.model.manifest
        contrast = np.zeros(len(manifest.labels), np.float32)
        contrast[target_index(manifest, label)] = 1
        return Question(
            engine=self.model.engine,
            spec=self.model.spec,
            grid=manifest.encoder.grid,
            pixels=self.model.prepare(film).pixels,
            contrast=contrast,
        )

    def untrained(self, question: Question) -> Question:
        """The same question to random weights."""
        return replace(question, engine=self.random)

    @property
    def methods(self) -> Mapping[str, Method]:
        """Its maps by name; relevance only where the bundle can differentiate."""
        own: dict[str, Method] = {
            "rollout": attention("rollout"),
            "last_layer": attention("last_layer"),
        }
        return own | ({"relevance": relevance} if "relevance" in self.model.methods else {})

    def most_probable(self, film: Radiograph) -> str:
        """The finding that is explained of a film: one that a head learnt, not a measurement."""
        learnt = (item for item in self.model.predict(film).findings if not item.measured)
        return max(learnt, key=lambda item: item.probability).label

    def probability(self, film: Radiograph, label: str) -> float:
        """Of one finding on one film."""
        return next(f.probability for f in self.model.predict(film).findings if f.label == label)


def explained(bundle: Bundle, seed: int) -> Explained:
    """Open a bundle for explanations."""
    random = TorchEngine(randomised(bundle_classifier(bundle), seed))
    return Explained(model=pacx.model.load(bundle.directory), random=random)


def attention(output: str) -> Method:
    """A map that the ``predict`` graph returns itself."""

    def read(question: Question) -> Map:
        pixels = normalise(question.pixels[np.newaxis], question.spec)
        grid: Map = question.engine.run("predict", {"pixel_values": pixels})[output][0]
        return grid

    return read


def blind(grid: tuple[int, int]) -> Iterator[tuple[str, Map]]:
    """Maps that know nothing of the film, ``[grid_rows, grid_columns]``."""
    down, across = (((np.arange(n) + 0.5) / n - 0.5) / GAUSSIAN_WIDTH for n in grid)
    squares: NDArray[np.float64] = down[:, np.newaxis] ** 2 + across**2
    yield GAUSSIAN, np.exp(-0.5 * squares).astype(np.float32)
    yield UNIFORM, np.ones(grid, np.float32)
