"""What a model answers about one radiograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pacx.anatomy import Anatomy
from pacx.manifest import Group
from pacx.measures import Focus
from pacx.preprocessing import Geometry, upsample
from pacx.radiograph import ImageWarning

ExplanationMethod = Literal[
    "rollout",
    "last_layer",
    "relevance",
    "integrated_gradients",
    "gradient_shap",
    "occlusion",
    "region_ablation",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding with its calibrated probability and the decision at its threshold.

    A measured finding comes from no head but from a measurement, such as the cardiothoracic
    ratio; its probability says how sure the measurement's own error leaves the decision.
    """

    label: str
    group: Group
    probability: float
    threshold: float
    positive: bool
    calibrated: bool
    simulated: bool
    measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedValue:
    """A quantity that a head estimates, such as a laboratory value.

    ``low`` and ``high`` hold 95 % of the true values of patients that the fit had not seen.
    """

    label: str
    group: Group
    value: float
    low: float
    high: float
    unit: str | None
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOuts:
    """What heads of the group ``read_out`` say, such as view, sex and age: checks of sanity."""

    findings: tuple[Finding, ...] = ()
    values: tuple[EstimatedValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Whether a picture is what the model is made for.

    Attributes:
        is_frontal_chest: Whether heart and lungs were found as a frontal film shows them; None
            where the bundle has no anatomy decoder.
        out_of_distribution: Whether the picture is unlike the films that the model learnt from;
            None where the bundle does not say what those are like.
        score: Distance from those films, 1 at the threshold; None likewise.
    """

    is_frontal_chest: bool | None
    out_of_distribution: bool | None
    score: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """All that one forward pass says about one radiograph.

    Attributes:
        findings: In the order of the manifest, then measured ones; without read-outs.
        embedding: float32 ``[D]``, the class token after the final norm.
        rollout: float32 ``[grid_rows, grid_columns]``, attention rollout of the class token.
        last_layer: float32 ``[grid_rows, grid_columns]``, attention of the last block.
        geometry: The way from the grid to the original pixels.
        anatomy: Heart and lungs; None where the bundle has no anatomy decoder.
        quality: Whether the picture is what the model is made for.
        warnings: What a reader should know, beyond the warnings of the radiograph itself.
        values: What regression heads estimate, in the order of the manifest; without read-outs.
        read_outs: What is no finding and shows what else the embedding tells.
    """

    findings: tuple[Finding, ...]
    embedding: NDArray[np.float32]
    rollout: NDArray[np.float32]
    last_layer: NDArray[np.float32]
    geometry: Geometry
    anatomy: Anatomy | None = None
    quality: Quality = Quality(is_frontal_chest=None, out_of_distribution=None, score=None)
    warnings: tuple[ImageWarning, ...] = ()
    values: tuple[EstimatedValue, ...] = ()
    read_outs: ReadOuts = ReadOuts()

    @property
    def simulated_labels(self) -> frozenset[str]:
        """Labels of the findings that were learnt from simulated physiology."""
        return frozenset(finding.label for finding in self.findings if finding.simulated)


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Where a model looked.

    Attributes:
        method: How the map was made: an ``ExplanationMethod``, or one that only the engine has.
        target: The finding that it explains, or None for class-agnostic methods.
        versus: The finding that the target is compared with, or None.
        grid: float32 ``[grid_rows, grid_columns]`` on the model's patch grid; of methods that only
            the engine has, some are as fine as the model's input.
        signed: Whether negative values mean evidence against the target.
        geometry: The way from the grid to the original pixels.
        focus: Where the map lies relative to heart and lungs, where the bundle finds those.
    """

    method: str
    target: str | None
    grid: NDArray[np.float32]
    signed: bool
    geometry: Geometry
    versus: str | None = None
    focus: Focus | None = None

    def on_film(self) -> NDArray[np.float32]:
        """The map on the original pixels, float32 ``[rows, columns]``, bilinearly between cells.

        A value keeps its cell's scale: an original pixel holds what the cell holds, no share of it.
        """
        return upsample(self.grid, self.geometry)
