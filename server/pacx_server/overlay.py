"""One explanation as a picture: what is drawn of it, what is written below, and how much is shown.

The server and ``pacx explain`` draw through this, so that both show the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from pacx.anatomy import Anatomy
from pacx.errors import UnusableImage
from pacx.interpretation import FilmFacts, warnings_of_map
from pacx.model import Model
from pacx.preprocessing import prepare
from pacx.radiograph import Radiograph
from pacx.results import Explanation
from pacx_server.outlines import OUTLINES, Box, Outline, OutlineName, outlines_of, thorax_box
from pacx_server.rendering import Decoration, Display, render_overlay, to_display

Crop = Literal["auto", "thorax", "none"]

BURNED_IN = "burned_in_annotation"
_NO_THORAX = (
    "Heart and lungs were not found, so the picture cannot be cropped to the thorax, which it "
    "must be where the pixels may show the patient's name. crop=none shows all of it."
)
_RATIO_NOTES = {
    "heart_enlarged_by_view": " (AP film: not comparable)",
    "view_unknown": " (view unknown)",
}
_CAUTIONS = {
    "out_of_distribution": "Unlike the chest films that this model learnt from",
    "map_outside_chest": "Hottest outside heart and lungs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a picture is drawn.

    Attributes:
        opacity: Of the strongest colour, in [0, 1].
        legend: Whether scale and texts are drawn in a corner.
        outlines: Which ones; None for all of them with a map and for none without one.
        crop: ``thorax`` shows heart, lungs and a margin, ``none`` the whole film, and ``auto``
            the thorax where the pixels may show the patient's name.
    """

    opacity: float = 0.5
    legend: bool = True
    outlines: Collection[OutlineName] | None = None
    crop: Crop = "auto"


DEFAULT = Style()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """What a picture is of.

    Attributes:
        model: Name of who explained.
        explanation: The map.
        anatomy: Heart and lungs; None where the model does not find them.
        warnings: Codes of everything that a reader should know.
        simulated: Labels of findings that were learnt from simulated physiology.
    """

    model: str
    explanation: Explanation
    anatomy: Anatomy | None
    warnings: Collection[str]
    simulated: Collection[str] = ()

    @property
    def title(self) -> str:
        """Model, method and target."""
        map_ = self.explanation
        compared = map_.versus and f"against {self._marked(map_.versus)}"
        target = map_.target and self._marked(map_.target)
        return " · ".join(filter(None, (self.model, map_.method, target, compared)))

    def _marked(self, label: str) -> str:
        return f"{label} (simulated)" if label in self.simulated else label

    @property
    def notes(self) -> list[str]:
        """What else stands in the legend: the cardiothoracic ratio, and what spoils it."""
        ratio = self.anatomy and self.anatomy.cardiothoracic
        lines = [text for code, text in _CAUTIONS.items() if code in self.warnings]
        if not ratio:
            return lines
        doubts = [text for code, text in _RATIO_NOTES.items() if code in self.warnings]
        return [*lines, f"Cardiothoracic ratio {ratio.ratio:.2f}{''.join(doubts)}"]

    def outlines(self, style: Style) -> list[Outline]:
        """The outlines that are drawn."""
        chosen = style.outlines
        if chosen is None:
            chosen = OUTLINES if style.opacity > 0 else ()
        if self.anatomy is None or not chosen:
            return []
        return outlines_of(self.anatomy, self.explanation.geometry, chosen)

    def box(self, crop: Crop) -> Box | None:
        """The part of the film that is shown, None for all of it.

        Raises:
            UnusableImage: It must be the thorax, and nobody knows where that is.
        """
        wanted = crop == "thorax" or (crop == "auto" and BURNED_IN in self.warnings)
        if not wanted:
            return None
        if self.anatomy is None or not self.anatomy.plausible:
            raise UnusableImage(_NO_THORAX)
        return thorax_box(self.anatomy, self.explanation.geometry)


def draw_explanation(display: Display, subject: Subject, style: Style = DEFAULT) -> bytes:
    """Draw an explanation over its film, as a PNG.

    Args:
        display: The windowed film, uint8 ``[rows, columns]``.
        subject: What is drawn.
        style: How.

    Raises:
        UnusableImage: The picture must be cropped to a thorax that was not found.
    """
    decoration = Decoration(
        outlines=subject.outlines(style),
        legend=style.legend,
        title=subject.title,
        notes=subject.notes,
        box=subject.box(style.crop),
    )
    map_ = subject.explanation
    return render_overlay(
        display,
        map_.grid,
        map_.geometry,
        signed=map_.signed,
        opacity=style.opacity,
        decoration=decoration,
    )


def explain_radiograph(
    model: Model,
    radiograph: Radiograph,
    *,
    method: str = "rollout",
    target: str | None = None,
    versus: str | None = None,
    style: Style = DEFAULT,
) -> bytes:
    """Explain one radiograph as a PNG, without a server.

    Raises:
        UnknownMethod: No such method.
        UnknownTarget: No such finding.
        UnusableImage: The picture must be cropped to a thorax that was not found.
        EngineError: The engine failed.
    """
    prepared = prepare(radiograph, model.spec)
    outputs = model.run(prepared.pixels[None])
    prediction = model.interpret(outputs, prepared.geometry, FilmFacts.of(radiograph))
    explanation = model.explain_from(outputs, prepared, method, target, versus)
    of_map = warnings_of_map(explanation.grid, prediction.anatomy)
    warnings = (*radiograph.warnings, *prediction.warnings, *of_map)
    subject = Subject(
        model=model.manifest.name,
        explanation=explanation,
        anatomy=prediction.anatomy,
        warnings={warning.code for warning in warnings},
        simulated=prediction.simulated_labels,
    )
    return draw_explanation(to_display(radiograph.pixels), subject, style)
