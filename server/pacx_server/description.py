"""From what a model computed to the parts of an answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from pacx.anatomy import Anatomy
from pacx.interpretation import FilmFacts, warnings_of_map
from pacx.measures import silhouette_focus
from pacx.model import Model
from pacx.radiograph import ImageWarning
from pacx.results import Prediction, Quality, ReadOuts
from pacx_server.examination import Examination
from pacx_server.outlines import contours_of, lines_of
from pacx_server.protocol_schemas import InstancePrediction
from pacx_server.schemas import (
    AnatomyAnswer,
    Attention,
    FindingAnswer,
    Focus,
    Include,
    QualityAnswer,
    ValueAnswer,
    WarningNote,
)


def describe_examination(
    model: Model, examination: Examination, include: Collection[Include]
) -> InstancePrediction:
    """Say what one examination found, and what else is wanted."""
    decoded = examination.decoded
    facts = FilmFacts(spacing_mm=decoded.facts.spacing_mm, view=decoded.facts.view)
    prediction = model.interpret(examination.outputs, decoded.input.geometry, facts)
    extra = prediction.read_outs if "read_outs" in include else ReadOuts()
    return InstancePrediction(
        image=decoded.facts,
        findings=[
            FindingAnswer.model_validate(finding, from_attributes=True)
            for finding in (*prediction.findings, *extra.findings)
        ],
        values=[
            ValueAnswer.model_validate(value, from_attributes=True)
            for value in (*prediction.values, *extra.values)
        ],
        anatomy=describe_anatomy(prediction),
        quality=_quality(prediction.quality),
        embedding=prediction.embedding.tolist() if "embedding" in include else None,
        attention=_attention(prediction) if "attention" in include else None,
        warnings=[*decoded.warnings, *describe_warnings(prediction.warnings)],
    )


def _attention(prediction: Prediction) -> Attention:
    return Attention(
        method="rollout",
        grid=prediction.rollout.tolist(),
        focus=_focus(prediction.rollout, prediction.anatomy),
        warnings=describe_warnings(warnings_of_map(prediction.rollout, prediction.anatomy)),
    )


def _focus(grid: NDArray[np.float32], anatomy: Anatomy | None) -> Focus | None:
    if anatomy is None or not anatomy.plausible:
        return None
    return Focus.model_validate(silhouette_focus(grid, anatomy.masks), from_attributes=True)


def describe_warnings(warnings: Iterable[ImageWarning]) -> list[WarningNote]:
    """What a reader should know, beyond the warnings of the file itself."""
    return [WarningNote(code=item.code, message=item.message) for item in warnings]


def _quality(quality: Quality) -> QualityAnswer | None:
    if quality.is_frontal_chest is None and quality.score is None:
        return None
    return QualityAnswer.model_validate(quality, from_attributes=True)


def describe_anatomy(prediction: Prediction) -> AnatomyAnswer | None:
    """Measurements and outlines; None where the model does not find heart and lungs."""
    anatomy = prediction.anatomy
    if anatomy is None:
        return None
    ratio, right, left = (
        anatomy.cardiothoracic,
        anatomy.right_lung_area_mm2,
        anatomy.left_lung_area_mm2,
    )
    return AnatomyAnswer(
        cardiothoracic_ratio=ratio.ratio if ratio else None,
        heart_area_mm2=anatomy.heart_area_mm2,
        lung_area_mm2=None if right is None or left is None else right + left,
        right_lung_area_mm2=right,
        left_lung_area_mm2=left,
        contours=contours_of(anatomy, prediction.geometry),
        lines=lines_of(anatomy),
    )
