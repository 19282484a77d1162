"""A benchmark: films with labels, and what is asked about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pacx.errors import BenchmarkError
from pacx_evaluation.benchmarks.masks import FilmMasks
from pacx_evaluation.measurements import Frozen
from pacx_evaluation.subjects.encoder import file_sha256
from pacx_training.cohorts.manifest import Cohort

Kind = Literal["finding", "quantity"]
Metric = Literal["auroc", "f1", "iou"]
Films = NDArray[np.bool_]


class Target(Frozen):
    """One question about a film.

    Attributes:
        label: Its column among the cohort's labels.
        kind: ``finding`` (0 or 1) or ``quantity`` (a number to be predicted).
        cut: A quantity's bound: from there up it counts as present, and it is a finding.
        logarithmic: Whether a quantity is predicted on the scale of log(1 + x).
        within: A finding; only films with it are used, because labels are confounded with it.
        unit: Of a quantity.
    """

    label: str
    kind: Kind = "finding"
    cut: float | None = None
    logarithmic: bool = False
    within: str | None = None
    unit: str = ""

    @property
    def name(self) -> str:
        """In tables and figures."""
        return self.label if self.cut is None else f"{self.label} >= {self.cut:g} {self.unit}"


class Exclusion(Frozen):
    """Films that were left out before anything was computed."""

    reason: str
    films: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """Films and questions.

    Attributes:
        name: On the command line.
        title: In reports.
        cohort: Films, patients, splits and labels.
        targets: The questions.
        attributes: Columns of text ``[N]`` that subgroups are made of; empty text is unknown.
        exclusions: What was left out.
        credit: Source, citation and licence of the data.
        caveats: What a reader must know before believing a number.
        warnings: What was found wrong with the films and mended.
        simulated: Whether any label came from simulated physiology.
        metric: What the benchmark's authors report.
        paired: Vectors float32 ``[N, K]`` that were measured with each film, by name; a row of
            NaN where nothing was.
        masks: Outlines, for segmentation.
    """

    name: str
    title: str
    cohort: Cohort
    targets: tuple[Target, ...]
    attributes: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    exclusions: tuple[Exclusion, ...] = ()
    credit: str = ""
    caveats: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    simulated: bool = False
    metric: Metric = "auroc"
    paired: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    masks: FilmMasks | None = None

    def __post_init__(self) -> None:
        """Refuse a benchmark that cannot answer anything."""
        known = set(self.cohort.label_names)
        unknown = [t.label for t in self.targets if {t.label, t.within or t.label} - known]
        if unknown:
            raise BenchmarkError(f"{self.title} has no labels {', '.join(sorted(set(unknown)))}.")
        if not (self.targets or self.masks or self.paired) or not len(self.cohort):
            raise BenchmarkError(f"{self.title} has no film or nothing to ask about it.")

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """sha256 of every film's bytes.

        Raises:
            BenchmarkError: The same picture lies in two splits, whoever's it is said to be.
        """
        digests = tuple(file_sha256(path) for path in self.cohort.paths)
        seen: dict[str, int] = {}
        splits = self.cohort.splits.tolist()
        for film, digest in enumerate(digests):
            first = seen.setdefault(digest, film)
            if splits[first] != splits[film]:
                raise BenchmarkError(
                    f"{self.title}: {splits[first]} and {splits[film]} share a picture (films "
                    f"{first + 1} and {film + 1}), so that what is fitted would have seen what is "
                    "reported. Leave one of them out."
                )
        return digests

    @cached_property
    def sha256(self) -> str:
        """Of all films in order: equal where two evaluations saw the same pictures."""
        return hashlib.sha256("\n".join(self.digests).encode()).hexdigest()

    def values(self, target: Target) -> NDArray[np.float64]:
        """The answers ``[N]``, NaN where unknown: 0 and 1 for findings, numbers for quantities."""
        values = self.cohort.label(target.label).astype(np.float64)
        if target.cut is not None:
            return np.where(np.isnan(values), np.nan, values >= target.cut)
        if target.kind == "quantity":
            finite = values[np.isfinite(values)]
            # Values beyond an assay's range are recorded as infinite.
            values = np.clip(values, finite.min(initial=np.inf), finite.max(initial=-np.inf))
            return np.asarray(np.log1p(values)) if target.logarithmic else values
        return values

    def usable(self, target: Target) -> Films:
        """Films ``[N]`` that the question can be asked about."""
        known = ~np.isnan(self.values(target))
        if target.within is None:
            return known
        return known & (self.cohort.label(target.within) > 0)

    @property
    def findings(self) -> tuple[Target, ...]:
        """Targets that are present or absent."""
        return tuple(t for t in self.targets if t.kind == "finding" or t.cut is not None)

    @property
    def quantities(self) -> tuple[Target, ...]:
        """Targets that are numbers."""
        return tuple(t for t in self.targets if t.kind == "quantity" and t.cut is None)
