"""Explanations: equal to captum where captum has them, and at the right pixels everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, GradientShap, IntegratedGradients, Occlusion
from numpy.typing import NDArray
from torch import Tensor

from pacx.explanations import (
    TARGETED,
    UNSIGNED,
    Map,
    Question,
    gradient_shap,
    integrated_gradients,
    occlusion,
    region_ablation,
    region_losses,
)
from pacx.preprocessing import normalise, prepare
from pacx.radiograph import Radiograph
from pacx.reading import read
from pacx.results import Explanation
from pacx_export.graphs import Classifier
from pacx_export.torch_engine import TorchEngine
from tests.bright_square import GRID, SPEC, background
from tests.phantom_dicom import WHITE, dicom_bytes

BRIGHT = np.array([1, 0], np.float32)
Method = Callable[[Question], Map]


def attention(output: str) -> Method:
    """A map that the ``predict`` graph returns itself."""

    def read_map(question: Question) -> Map:
        pixels = normalise(question.pixels[np.newaxis], SPEC)
        grid: Map = question.engine.run("predict", {"pixel_values": pixels})[output][0]
        return grid

    return read_map


METHODS: dict[str, Method] = {
    "rollout": attention("rollout"),
    "last_layer": attention("last_layer"),
} | {str(name): method for name, method in TARGETED.items()}


@pytest.fixture(scope="session")
def engine(square_classifier: Classifier) -> TorchEngine:
    return TorchEngine(square_classifier)


def film(seed: int = 0) -> Map:
    picture = background(np.random.default_rng(seed))
    picture[18:30, 34:46] = 1.0
    return picture


@pytest.fixture
def question(engine: TorchEngine) -> Question:
    return Question(engine=engine, spec=SPEC, grid=GRID, pixels=film(), contrast=BRIGHT)


def tensor(picture: Map) -> Tensor:
    return torch.from_numpy(normalise(picture[np.newaxis], SPEC))


def scored(classifier: Classifier) -> Callable[[Tensor], Tensor]:
    return lambda pixels: classifier.logits(classifier.encoder(pixels).cls)[:, 0]


def pooled(attribution: Tensor) -> NDArray[np.float64]:
    summed = attribution[0].sum(dim=0).detach().numpy().astype(np.float64)
    sums: NDArray[np.float64] = summed.reshape(7, 8, 7, 8).sum(axis=(1, 3))
    return sums


def test_integrated_gradients_are_captums(
    question: Question, square_classifier: Classifier
) -> None:
    oracle = IntegratedGradients(scored(square_classifier))
    wanted = oracle.attribute(tensor(question.pixels), tensor(question.blank), n_steps=24)
    np.testing.assert_allclose(integrated_gradients(question), pooled(wanted), atol=1e-4)


def test_integrated_gradients_add_up_to_the_difference_of_scores(question: Question) -> None:
    film_score, blank_score = question.scores(np.stack([question.pixels, question.blank]))
    total = integrated_gradients(question, steps=64).sum()
    assert total == pytest.approx(film_score - blank_score, rel=0.02)


def test_occlusion_is_captums(question: Question, square_classifier: Classifier) -> None:
    oracle = Occlusion(scored(square_classifier))
    wanted = oracle.attribute(
        tensor(question.pixels), (3, 16, 16), (3, 8, 8), tensor(question.blank)
    )
    expected = wanted[0, 0, 4::8, 4::8].numpy()
    np.testing.assert_allclose(occlusion(question), expected, atol=1e-4)


def test_region_ablation_is_captums(question: Question, square_classifier: Classifier) -> None:
    masks = np.zeros((3, 56, 56), np.bool_)
    masks[0, 20:40, 20:40] = masks[1, 10:40, 4:18] = masks[2, 10:40, 42:54] = True
    features = np.full((56, 56), 4)
    for number, mask in enumerate(masks):
        features[mask] = number
    features[~np.logical_or.reduce(masks) & _between(masks)] = 3
    oracle = FeatureAblation(scored(square_classifier))
    wanted = oracle.attribute(
        tensor(question.pixels),
        tensor(question.blank),
        feature_mask=torch.from_numpy(features)[None, None],
    )
    with_masks = replace(question, masks=masks)
    losses = region_losses(with_masks)
    expected = [wanted[0, 0][torch.from_numpy(features == number)][0] for number in (0, 1, 2, 4)]
    assert list(losses) == ["heart", "right_lung", "left_lung", "outside"]
    np.testing.assert_allclose(list(losses.values()), expected, atol=1e-4)
    assert region_ablation(with_masks).sum() == pytest.approx(sum(losses.values()), rel=1e-4)


def _between(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inside = np.logical_or.reduce(masks)
    left = np.logical_or.accumulate(inside, axis=1)
    right = np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(left & right)


def test_gradient_shap_agrees_with_captums_on_average(
    question: Question, square_classifier: Classifier
) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # captum draws from numpy's global generator
    greys = np.linspace(0, 1, 64, dtype=np.float32)
    starts = np.broadcast_to(greys[:, None, None], (64, 56, 56))
    oracle = GradientShap(scored(square_classifier))
    wanted = oracle.attribute(
        tensor(question.pixels),
        torch.from_numpy(normalise(starts, SPEC)),
        n_samples=400,
        stdevs=0.03 / 0.226,
    )
    found = gradient_shap(question, samples=400)
    assert np.corrcoef(found.ravel(), pooled(wanted).ravel())[0, 1] > 0.95


def test_gradient_shap_repeats_under_a_seed(question: Question) -> None:
    first, second = gradient_shap(question, seed=4), gradient_shap(question, seed=4)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, gradient_shap(question, seed=5))


@dataclass(frozen=True)
class Marked:
    """A film with one square of another grey in it: its file, and where the square lies.

    Attributes:
        radiograph: As it was read.
        inside: First and last row, first and last column of the square, original pixels.
    """

    radiograph: Radiograph
    inside: tuple[int, int, int, int]

    def holds(self, row: int, column: int) -> bool:
        """Whether the square holds a pixel."""
        top, bottom, left, right = self.inside
        return top <= row < bottom and left <= column < right


def marked(shape: tuple[int, int], grey: float, aspect: tuple[int, int] | None = None) -> Marked:
    """The square is a quarter of each side, right of the middle and above it.

    Args:
        shape: Rows and columns of the film.
        grey: Of the square.
        aspect: Height and width of a pixel, as a DICOM file states it; None: an array is read.
    """
    rows, columns = shape
    top, left = round(0.18 * rows), round(0.60 * columns)
    inside = (top, top + rows // 4, left, left + columns // 4)
    pixels = np.random.default_rng(3).uniform(0.3, 0.6, shape).astype(np.float32)
    pixels[inside[0] : inside[1], inside[2] : inside[3]] = grey
    if aspect is None:
        return Marked(Radiograph.from_array(pixels), inside)
    file = dicom_bytes(
        (pixels * WHITE).astype(np.uint16), PixelSpacing=None, PixelAspectRatio=list(aspect)
    )
    return Marked(read(file), inside)


FILMS: dict[str, tuple[tuple[int, int], tuple[int, int] | None]] = {
    "portrait": ((240, 180), None),
    "landscape": ((180, 240), None),
    "odd": ((211, 97), None),
    "as small as the input": ((56, 56), None),
    "tall pixels": ((120, 200), (2, 1)),
    "wide pixels": ((301, 143), (10, 17)),
}


def asked(engine: TorchEngine, film: Marked, contrast: NDArray[np.float32] = BRIGHT) -> Question:
    """A question about a film; its heart is taken for where the square lies."""
    ready = prepare(film.radiograph, SPEC)
    top, bottom, left, right = (
        round(edge * 56 / side)
        for edge, side in zip(
            film.inside,
            np.repeat([film.radiograph.rows, film.radiograph.columns], 2),
            strict=True,
        )
    )
    masks = np.zeros((3, 56, 56), np.bool_)
    masks[0, top:bottom, left:right] = True
    masks[1, 10:40, 4:18] = masks[2, 10:40, 50:54] = True
    return Question(
        engine=engine, spec=SPEC, grid=GRID, pixels=ready.pixels, contrast=contrast, masks=masks
    )


def spread(grid: Map, film: Marked) -> Map:
    geometry = prepare(film.radiograph, SPEC).geometry
    return Explanation("any", None, grid, signed=True, geometry=geometry).on_film()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", FILMS)
def test_every_method_peaks_inside_the_square_on_original_pixels(
    engine: TorchEngine, method: str, shape: str
) -> None:
    size, aspect = FILMS[shape]
    film = marked(size, 1.0, aspect)
    assert (film.radiograph.rows, film.radiograph.columns) == size
    assert film.radiograph.pixel_aspect_ratio == (1 if aspect is None else aspect[0] / aspect[1])
    heat = spread(METHODS[method](asked(engine, film)), film)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert film.holds(int(row), int(column))


@pytest.mark.parametrize("method", sorted(set(TARGETED) - UNSIGNED))
def test_what_speaks_against_a_finding_is_negative_and_lies_in_the_square(
    engine: TorchEngine, method: str
) -> None:
    film = marked((211, 140), 1.0)
    grids = [METHODS[method](asked(engine, film, sign * BRIGHT)) for sign in (1, -1)]
    heat = spread(grids[1], film)
    row, column = np.unravel_index(heat.argmin(), heat.shape)
    assert heat.min() < 0
    assert film.holds(int(row), int(column))
    np.testing.assert_allclose(grids[0], -grids[1], atol=1e-4)


def test_a_contrast_of_two_findings_is_the_difference_of_their_maps(engine: TorchEngine) -> None:
    def explained(bright: float, dark: float) -> Map:
        contrast = np.array([bright, dark], np.float32)
        return integrated_gradients(
            Question(engine=engine, spec=SPEC, grid=GRID, pixels=film(), contrast=contrast)
        )

    np.testing.assert_allclose(explained(1, -1), explained(1, 0) - explained(0, 1), atol=1e-4)


def test_hiding_the_square_loses_score_and_hiding_the_rest_does_not(question: Question) -> None:
    losses = occlusion(question)
    assert losses.max() > 3 * np.abs(losses[5:]).max()
