"""Where a bundle looks, against where heart and lungs are and what chance would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

import pacx.model
from pacx.bundle import Bundle
from pacx.errors import SubjectError
from pacx.masks import Mask
from pacx.measures import silhouette_focus
from pacx.preprocessing import normalise
from pacx.radiograph import Radiograph
from pacx_evaluation.measurements import Measurement, Section
from pacx_evaluation.protocols.means import mean_over_films
from pacx_evaluation.protocols.study import Drawing, Outcome, Study
from pacx_evaluation.report.forest import forest
from pacx_evaluation.subjects.encoder import LocalEncoder
from pacx_export.graphs import Classifier
from pacx_export.torch_engine import TorchEngine
from pacx_training.bundle_weights import encoder_config
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.encoder import VisionTransformer, initialise

NAME = "explanations"
Map = NDArray[np.float32]
REGIONS = ("heart", "lungs", "outside")
GAUSSIAN_WIDTH = 0.25
"""Standard deviation of the map that only knows the centre, as a share of the side."""
_LEAD = (
    "Share of a map's mass inside a structure, divided by the structure's share of the picture: "
    "1 is chance. {films} films with outlines of heart and lungs that no model saw. Pointing is "
    "the share of films whose strongest cell lies in the structure. Outside the thorax a model has "
    "nothing to look for."
)
_NOTE = (
    "Rollout and last-layer attention are the same for every finding. A map that only knows the "
    "centre of the picture stands among the rows: what does not differ from it explains nothing."
)


def run(study: Study) -> Outcome:
    """Measure the maps of every bundle among the subjects.

    Raises:
        SubjectError: No subject is a bundle, or no film with outlines was given.
    """
    bundles = {
        entrant.name: entrant.encoder.bundle
        for entrant in study.entrants
        if isinstance(entrant.encoder, LocalEncoder) and entrant.encoder.bundle is not None
    }
    if not bundles or not study.outlined:
        raise SubjectError("Explanations need a bundle among the subjects, and outlined films.")
    films = study.outlined[: study.films]
    rows = [row for name, bundle in bundles.items() for row in _measure(study, name, bundle, films)]
    section = Section(
        name=NAME,
        title="Explanations",
        lead=_LEAD.format(films=len(films)),
        measurements=tuple(rows),
        notes=(_NOTE,),
    )
    return Outcome(section=section, drawings=(_drawing(rows),))


def _measure(
    study: Study, subject: str, bundle: Bundle, films: Sequence[OutlinedFilm]
) -> Iterator[Measurement]:
    size = bundle.manifest.input.size
    masks = [_masks(film, size) for film in films]
    patients = np.array([film.patient for film in films], dtype=np.str_)
    for method, maps in _maps(bundle, films).items():
        for region in REGIONS:
            values = [_focus(grid, mask, region) for grid, mask in zip(maps, masks, strict=True)]
            yield _row(study, subject, method, f"focus_{region}", values, patients)
        hits = [_points_at(grid, mask[0]) for grid, mask in zip(maps, masks, strict=True)]
        yield _row(study, subject, method, "pointing_heart", hits, patients)


def _maps(bundle: Bundle, films: Sequence[OutlinedFilm]) -> Mapping[str, Sequence[Map]]:
    """A map ``[grid, grid]`` of each film by method, models first, then what knows nothing."""
    model = pacx.model.load(bundle.directory)
    radiographs = [Radiograph.from_array(np.clip(film.pixels, 0, 1)) for film in films]
    maps: dict[str, Sequence[Map]] = {}
    for method in ("rollout", "last_layer"):
        maps[method] = [model.explain(film, method=method).grid for film in radiographs]
    if "relevance" in model.methods:
        for finding in bundle.manifest.findings:
            explain = _relevance(model, finding.label)
            maps[f"relevance of {finding.label}"] = [explain(film) for film in radiographs]
    untrained = _untrained(bundle)
    pixels = [model.prepare(film).pixels[np.newaxis] for film in radiographs]
    maps["rollout, random weights"] = [
        untrained.run("predict", {"pixel_values": normalise(picture, model.spec)})["rollout"][0]
        for picture in pixels
    ]
    maps["centred Gaussian, no model"] = [_gaussian(bundle.manifest.encoder.grid)] * len(films)
    return maps


def _relevance(model: pacx.model.Model, label: str) -> Callable[[Radiograph], Map]:
    return lambda film: model.explain(film, method="relevance", target=label).grid


def _untrained(bundle: Bundle) -> TorchEngine:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = VisionTransformer(encoder_config(bundle))
        initialise(encoder)
    classifier = Classifier(encoder, bundle.manifest.heads)
    return TorchEngine(classifier.eval().requires_grad_(False))


def _gaussian(grid: tuple[int, int]) -> Map:
    down, across = (((np.arange(n) + 0.5) / n - 0.5) / GAUSSIAN_WIDTH for n in grid)
    exponent = -0.5 * (down[:, np.newaxis] ** 2 + across**2)
    return np.exp(exponent).astype(np.float32)


def _masks(film: OutlinedFilm, size: int) -> Mask:
    """Outlines on the model's input grid, bool ``[3, size, size]``."""
    block = film.masks.shape[1] // size
    cells = film.masks[:, : block * size, : block * size]
    return np.asarray(cells.reshape(3, size, block, size, block).mean(axis=(2, 4)) >= 0.5)


def _focus(grid: Map, masks: Mask, region: str) -> float:
    value = getattr(silhouette_focus(grid, masks), region)
    return float("nan") if value is None else float(value)


def _points_at(grid: Map, mask: Mask) -> float:
    """Whether the centre of the strongest cell lies inside."""
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    side = mask.shape[0]
    centre = int((row + 0.5) * side / grid.shape[0]), int((column + 0.5) * side / grid.shape[1])
    return float(mask[centre])


def _row(
    study: Study,
    subject: str,
    method: str,
    metric: str,
    values: Sequence[float],
    patients: NDArray[np.str_],
) -> Measurement:
    return mean_over_films(
        study,
        values,
        patients,
        protocol=NAME,
        subject=subject,
        target=method,
        metric=metric,
        undefined="the structure or the map is empty on every film",
    )


def _drawing(rows: Sequence[Measurement]) -> Drawing:
    frame = pd.DataFrame([row.model_dump() for row in rows if row.metric == "focus_heart"])
    return Drawing(
        name="silhouette-focus",
        caption="Silhouette focus: mass in the heart against the heart's share of the picture; "
        "the dashed line is chance.",
        data=frame[frame["value"].notna()],
        draw=forest,
    )
