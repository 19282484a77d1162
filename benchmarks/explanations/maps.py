"""One film as it is asked about, and the maps that are judged, also of what knows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch

import pacx
from pacx.engines.protocol import Engine, Precision, Tensor
from pacx.explanations import TARGETED, Map, Question
from pacx.findings import target_index
from pacx.masks import Mask, masks_from
from pacx.measures import silhouette_focus
from pacx_evaluation.protocols.maps import Method, attention, blind
from pacx_export.graphs import Classifier
from pacx_export.torch_engine import TorchEngine
from pacx_training.bundle_weights import encoder_config
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.encoder import VisionTransformer

KEPT = ("logits", "rollout", "last_layer")


METHODS: Mapping[str, Method] = {
    "rollout": attention("rollout"),
    "last_layer": attention("last_layer"),
    **{str(name): method for name, method in TARGETED.items()},
}
RANDOMISED = ("rollout", "last_layer", "relevance", "integrated_gradients")
"""Methods that are cheap enough to be made a second time with random weights in torch."""
REPEATED = ("rollout", "last_layer", "relevance")
"""Methods that are cheap enough to be made again for ten films around each."""


class Remembering:
    """An engine that answers a picture once and then from memory.

    Every method is judged on the same random maskings of a film, which need not be run again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[bytes, dict[str, Tensor]] = {}
        self.name = engine.name
        self.precision: Precision = engine.precision
        self.device = engine.device

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one graph; see :class:`pacx.engines.protocol.Engine`."""
        if graph != "predict":
            return self._engine.run(graph, inputs)
        pictures = inputs["pixel_values"]
        keys = [blake2b(picture.tobytes()).digest() for picture in pictures]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        if new:
            outputs = self._engine.run(graph, {"pixel_values": pictures[new]})
            for row, place in enumerate(new):
                self._known[keys[place]] = {name: outputs[name][row] for name in KEPT}
        return {name: np.stack([self._known[key][name] for key in keys]) for name in KEPT}

    def close(self) -> None:
        """Nothing of its own to free."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Case:
    """One film and its most probable finding.

    Attributes:
        question: As the trained model is asked.
        random: The same of a model with random weights.
        drawn: Outlines of heart and lungs, bool ``[3, S, S]``; None where nobody drew any.
    """

    question: Question
    random: Question
    drawn: Mask | None = None

    def maps(self) -> Iterator[tuple[str, Map]]:
        """Every map by name; those of random weights are judged on the trained model."""
        for name, method in METHODS.items():
            if name != "region_ablation" or self.question.masks is not None:
                yield name, method(self.question)
        for name in ("rollout", "relevance"):
            yield f"{name}, random weights", METHODS[name](self.random)
        yield from blind(self.question.grid)

    def focus(self, grid: Map) -> dict[str, float]:
        """Where a map lies: lifts of heart, lungs and outside, and whether it peaks in them.

        By the outlines that were drawn, and where there are none by those that the model finds.
        """
        masks = self.question.masks if self.drawn is None else self.drawn
        if masks is None:
            return {}
        focus = silhouette_focus(grid, masks)
        lifts = {"heart": focus.heart, "lungs": focus.lungs, "outside": focus.outside}
        found = {name: float(value) for name, value in lifts.items() if value is not None}
        row, column = np.unravel_index(int(grid.argmax()), grid.shape)
        side = masks.shape[1] // grid.shape[0]
        centre_cell = masks[:, row * side + side // 2, column * side + side // 2]
        return found | {"pointing": float(centre_cell.any())}


def untrained(model: pacx.Model) -> TorchEngine:
    """The same architecture with random weights throughout."""
    torch.manual_seed(0)
    encoder = VisionTransformer(encoder_config(model.bundle))
    classifier = Classifier(encoder, model.manifest.heads)
    return TorchEngine(classifier.eval().requires_grad_(False))


def case(
    model: pacx.Model, random: Engine, path: Path, outlined: OutlinedFilm | None = None
) -> Case:
    """One film and its most probable finding of those that a head learnt."""
    prepared = model.prepare(pacx.read(path))
    outputs = model.run(prepared.pixels[np.newaxis])
    prediction = model.interpret(outputs, prepared.geometry)
    findings = [finding for finding in prediction.findings if not finding.measured]
    likeliest = max(findings, key=lambda finding: finding.probability)
    contrast = np.zeros(len(model.manifest.labels), np.float32)
    contrast[target_index(model.manifest, likeliest.label)] = 1
    question = Question(
        engine=Remembering(model.engine),
        spec=model.spec,
        grid=model.manifest.encoder.grid,
        pixels=prepared.pixels,
        contrast=contrast,
        masks=None if outputs.masks is None else masks_from(outputs.masks[0], model.spec.size),
    )
    drawn = None if outlined is None else outlined.masks_on(model.spec.size)
    return Case(question=question, random=replace(question, engine=random), drawn=drawn)
