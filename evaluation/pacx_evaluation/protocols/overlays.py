"""Maps on films, chosen by a stated rule, so that a report shows failures too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pacx.explanations import Map
from pacx_evaluation.protocols.maps import Explained
from pacx_evaluation.protocols.sampling import Rows
from pacx_evaluation.protocols.study import Drawing, Study
from pacx_evaluation.report.predictions import film_name
from pacx_evaluation.report.style import grid_of_axes
from pacx_evaluation.subjects.encoder import as_radiograph

CAPTION = (
    "{subject}: {method} of the most probable finding on {shown} of {films} films. The rule: films "
    "are ranked by how much faster the logit falls when the map's strongest cells are hidden first "
    "than in random order; the best, the worst and those at equal steps between them are shown. "
    "Not for clinical use."
)
_OPACITY = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Overlay:
    """A film on the model's grid, ``[S, S]``, and its map ``[grid, grid]``."""

    pixels: NDArray[np.float32]
    grid: Map


def overlays(
    study: Study, subject: str, model: Explained, films: Rows, gains: Sequence[float]
) -> Drawing | None:
    """Draw a bundle's maps on some films.

    Args:
        study: Films, and how many are shown.
        subject: The bundle's name.
        model: The bundle.
        films: Places in the cohort.
        gains: Deletion gain of the shown map of each, NaN where undefined.

    Returns:
        None where no film is to be shown.
    """
    ranked = ranks(gains, study.overlays)
    if not ranked:
        return None
    method = shown_method(model)
    rows, pictures = [], {}
    for rank, place in ranked:
        film = as_radiograph(study.benchmark.cohort.paths[int(films[place])])
        label = model.most_probable(film)
        question = model.question(film, label)
        name = film_name(study, int(films[place]))
        pictures[name] = _Overlay(question.pixels, model.methods[method](question))
        rows.append(
            {"subject": subject, "film": name, "rank": rank, "finding": label}
            | {"probability": model.probability(film, label), "deletion_gain": gains[place]}
        )

    def draw(frame: pd.DataFrame) -> Figure:
        return _panels(frame, pictures)

    slug = "".join(c if c.isalnum() else "-" for c in subject.lower())
    caption = CAPTION.format(subject=subject, method=method, shown=len(rows), films=len(films))
    return Drawing(name=f"overlays-{slug}", caption=caption, data=pd.DataFrame(rows), draw=draw)


def shown_method(model: Explained) -> str:
    """Relevance, or rollout where the bundle cannot differentiate."""
    return "relevance" if "relevance" in model.methods else "rollout"


def ranks(gains: Sequence[float], count: int) -> list[tuple[int, int]]:
    """Rank (1 is best) and place of the films that are shown, the best and the worst among them."""
    defined = [place for place, gain in enumerate(gains) if np.isfinite(gain)]
    order = sorted(defined, key=lambda place: -gains[place])
    steps = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [(step + 1, order[step]) for step in steps.tolist()] if order else []


def _panels(frame: pd.DataFrame, pictures: dict[str, _Overlay]) -> Figure:
    figure, panels = grid_of_axes(len(frame))
    for axes, row in zip(panels, frame.to_dict("records"), strict=True):
        overlay = pictures[row["film"]]
        side = overlay.pixels.shape[0]
        axes.imshow(overlay.pixels, cmap="gray", vmin=0, vmax=1)
        axes.imshow(
            np.clip(overlay.grid, 0, None),
            cmap="inferno",
            alpha=_OPACITY,
            extent=(-0.5, side - 0.5, side - 0.5, -0.5),
            interpolation="bilinear",
        )
        axes.set_axis_off()
        axes.set_title(
            f"rank {row['rank']}: {row['finding']} {row['probability']:.2f}, "
            f"gain {row['deletion_gain']:.2f}"
        )
    return figure
