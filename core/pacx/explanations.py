"""Why a model answered what it answered, from a bundle's graphs alone.

Gradient methods read the ``explain`` graph, the others hide parts of the film and run ``predict``
again. Every map explains a contrast: a weight per logit, one-hot for a single finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.engines.protocol import Engine
from pacx.errors import UnknownMethod
from pacx.masks import Mask, thorax
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx.results import ExplanationMethod

Map = NDArray[np.float32]

PATH_STEPS = 24
"""Nodes of the Gauss-Legendre rule along the path of integrated gradients."""
SHAP_SAMPLES = 24
"""Random points of gradient SHAP."""
SHAP_NOISE = 0.03
"""Standard deviation of the noise that gradient SHAP adds, in grey levels of [0, 1]."""
WINDOW_PATCHES = 2
"""Side of the square that occlusion hides, in patches."""
BATCH = 8


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Question:
    """One film and what is to be explained about it.

    Attributes:
        engine: Runs the bundle's graphs.
        spec: How the model wants its input.
        grid: Rows and columns of patches.
        pixels: float32 ``[S, S]`` in [0, 1], not normalised.
        contrast: float32 ``[C]``, a weight per logit; +1 and -1 compare two findings.
        masks: bool ``[3, S, S]`` in the order of ``STRUCTURES``, or None where not known.
    """

    engine: Engine
    spec: PreprocessingSpec
    grid: tuple[int, int]
    pixels: Map
    contrast: NDArray[np.float32]
    masks: Mask | None = None

    @property
    def blank(self) -> Map:
        """A film that shows nothing: the film's own mean grey everywhere."""
        return np.full_like(self.pixels, self.pixels.mean())

    def scores(self, pictures: Map) -> NDArray[np.float64]:
        """The contrast of the logits of each picture ``[N, S, S]``, float64 ``[N]``."""
        batches = (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))
        logits = [
            self.engine.run("predict", {"pixel_values": normalise(batch, self.spec)})["logits"]
            for batch in batches
        ]
        scores: NDArray[np.float64] = np.concatenate(logits).astype(np.float64) @ self.contrast
        return scores

    def explained(self, picture: Map) -> dict[str, Map]:
        """The ``explain`` graph on one picture ``[S, S]``."""
        inputs = {
            "pixel_values": normalise(picture[np.newaxis], self.spec),
            "target": self.contrast[np.newaxis],
        }
        return self.engine.run("explain", inputs)

    def gradient(self, picture: Map) -> Map:
        """Derivative of the contrast by every grey level of one picture, ``[S, S]``."""
        by_channel = self.explained(picture)["input_gradient"][0]
        deviations = np.asarray(self.spec.std, dtype=np.float32).reshape(3, 1, 1)
        return np.asarray((by_channel / deviations).sum(axis=0))

    def pooled(self, attribution: Map) -> Map:
        """Sum an attribution ``[S, S]`` over every patch, ``[grid_rows, grid_columns]``."""
        (rows, columns), side = self.grid, len(attribution)
        tiles = attribution.reshape(rows, side // rows, columns, side // columns)
        sums: Map = tiles.sum(axis=(1, 3)).astype(np.float32)
        return sums


def relevance(question: Question) -> Map:
    """Class-specific relevance by generic attention explainability (Chefer et al. 2021)."""
    grid: Map = question.explained(question.pixels)["relevance"][0]
    return grid


def integrated_gradients(question: Question, *, steps: int = PATH_STEPS) -> Map:
    """Integrated gradients (Sundararajan et al. 2017, equation 1) from the blank film.

    The cells add up to the film's score minus the blank film's.
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    way = question.pixels - question.blank
    points = ((1 + node) / 2 for node in nodes)
    gradients = (question.gradient(question.blank + np.float32(point) * way) for point in points)
    total = sum(
        weight / 2 * g.astype(np.float64) for weight, g in zip(weights, gradients, strict=True)
    )
    return question.pooled((way * total).astype(np.float32))


def gradient_shap(
    question: Question, *, samples: int = SHAP_SAMPLES, noise: float = SHAP_NOISE, seed: int = 0
) -> Map:
    """Expected gradients (Erion et al. 2021): random points on the way from random grey films.

    Every sample adds noise to the film, takes a uniform film of random grey as its start and a
    random point in between. The same seed gives the same map.
    """
    generator = np.random.default_rng(seed)
    total = np.zeros(question.pixels.shape)
    for _ in range(samples):
        noisy = question.pixels + generator.normal(0, noise, total.shape).astype(np.float32)
        way = noisy - np.float32(generator.random())
        total += way * question.gradient(noisy - np.float32(generator.random()) * way)
    return question.pooled((total / samples).astype(np.float32))


def occlusion(question: Question, *, window: int = WINDOW_PATCHES) -> Map:
    """Loss of score when a square is hidden behind the blank film (Zeiler and Fergus 2014).

    The square slides by one patch, and every patch gets the mean loss of the squares that hide
    it. This takes a forward pass a square, 170 of them for 14 x 14 patches.
    """
    tiles = list(_tiles(question.grid, window))
    hidden = [_enlarged(tile, question.pixels.shape) for tile in tiles]
    losses = _losses(question, hidden)
    total = np.tensordot(losses, tiles, axes=1)
    return np.asarray(total / np.sum(tiles, axis=0), dtype=np.float32)


def region_losses(question: Question) -> dict[str, float]:
    """What the score loses when heart, right lung, left lung or all around them is hidden.

    Raises:
        UnknownMethod: The question comes without masks.
    """
    regions = _regions(question)
    return dict(zip(regions, _losses(question, list(regions.values())).tolist(), strict=True))


def region_ablation(question: Question) -> Map:
    """The same as a map: every region's loss, spread evenly over its area."""
    total = np.zeros(question.pixels.shape, dtype=np.float32)
    regions = _regions(question)
    for region, loss in region_losses(question).items():
        total += regions[region] * np.float32(loss / max(regions[region].sum(), 1))
    return question.pooled(total)


def _regions(question: Question) -> dict[str, Mask]:
    if question.masks is None:
        raise UnknownMethod("This model has no anatomy decoder, so it knows no regions.")
    heart, right, left = question.masks
    outside = ~thorax(question.masks)
    return {"heart": heart, "right_lung": right, "left_lung": left, "outside": outside}


def _losses(question: Question, hidden: Sequence[Mask]) -> NDArray[np.float64]:
    pictures = [np.where(mask, question.blank, question.pixels) for mask in hidden]
    scores = question.scores(np.stack([question.pixels, *pictures]).astype(np.float32))
    return np.asarray(scores[0] - scores[1:])


def _tiles(grid: tuple[int, int], window: int) -> Iterator[Mask]:
    """All squares of patches that fit into the grid; bool, of the shape ``grid``."""
    for row in range(grid[0] - window + 1):
        for column in range(grid[1] - window + 1):
            tile = np.zeros(grid, dtype=np.bool_)
            tile[row : row + window, column : column + window] = True
            yield tile


def _enlarged(tile: Mask, shape: tuple[int, ...]) -> Mask:
    return tile.repeat(shape[0] // tile.shape[0], 0).repeat(shape[1] // tile.shape[1], 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMethod:
    """A method of explanation that only one engine has.

    Attributes:
        explain: Makes the map, on any grid whose cells divide the model's input evenly.
        signed: Whether negative values mean evidence against the target.
    """

    explain: Callable[[Question], Map]
    signed: bool


TARGETED: Mapping[ExplanationMethod, Callable[[Question], Map]] = {
    "relevance": relevance,
    "integrated_gradients": integrated_gradients,
    "gradient_shap": gradient_shap,
    "occlusion": occlusion,
    "region_ablation": region_ablation,
}
"""Methods that explain one finding, or the contrast of two."""

DIFFERENTIATING: frozenset[ExplanationMethod] = frozenset(
    {"relevance", "integrated_gradients", "gradient_shap"}
)
"""Those of them that need the ``explain`` graph."""

UNSIGNED: frozenset[ExplanationMethod] = frozenset({"rollout", "last_layer", "relevance"})
"""Methods whose maps hold no evidence against a finding."""
