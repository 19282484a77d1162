"""Everything that is asked of two encoders, in one file of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.shipped.choice import LINES
from benchmarks.shipped.comparison import (
    Films,
    Line,
    final_lines,
    interval,
    label_lines,
    marker_lines,
)
from benchmarks.shipped.focus import heart_focus, masks_of
from benchmarks.shipped.markers import Markers, read_markers
from benchmarks.shipped.outlines import dice_of
from benchmarks.shipped.probes import (
    AGE,
    Embeddings,
    answers,
    kept,
    nih_val,
)
from pacx.masks import STRUCTURES
from pacx.model import load
from pacx_training.cohorts.manifest import Cohort, read_manifest
from pacx_training.cohorts.outlines import read_outlines
from pacx_training.embeddings import embeddings_of, encoded_digest
from pacx_training.runs import RunDirectory

EXPLAINED = 150
"""Films whose relevance is measured, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is compared, and on what.

    Attributes:
        before: Run before stage 2.
        after: Run of stage 2.
        films: Manifest.
        cohort: What ``pacx simulate --given`` made of it.
        data: Folder that holds ``radiographs`` and ``annotations``.
    """

    before: Path
    after: Path
    films: Path
    cohort: Path
    data: Path

    @property
    def runs(self) -> tuple[RunDirectory, RunDirectory]:
        """Both runs."""
        return RunDirectory(self.before), RunDirectory(self.after)

    @property
    def cache(self) -> Path:
        """Folder of what takes long."""
        return self.cohort.parent / "embeddings"


def write_study(study: Study, output: Path, *, final: bool, deep: bool) -> list[Line]:
    """Measure and write.

    Args:
        study: What is compared.
        output: JSON to write.
        final: Whether NIH ``val`` is reported too, which is done once.
        deep: Whether relevance and outlines are measured, which takes minutes.
    """
    films = read_manifest(study.films)
    markers = read_markers(study.cohort, films.splits)
    both = tuple(embeddings_of(run, films.paths, study.cache) for run in study.runs)
    lines = [*_probed(films, markers, both, final=final)]
    if deep:
        lines += [*_focused(study, films, markers, both, final=final), *_outlined(study)]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(LINES.dump_json(lines, indent=2) + b"\n")
    return lines


def _probed(
    films: Cohort, markers: Markers, both: tuple[Embeddings, ...], *, final: bool
) -> Iterator[Line]:
    nih, asked = np.isfinite(films.label(AGE)), films.splits != "train"
    said = tuple(answers(embeddings, films, markers, asked) for embeddings in both)
    apart = films.splits == "val"
    yield from label_lines(films, said)
    yield from marker_lines(films, markers, asked, apart, said, "held apart")
    yield from marker_lines(films, markers, asked, apart & nih, said, "held apart of NIH")
    if final:
        yield from final_lines(films, said)
        yield from marker_lines(films, markers, asked, nih_val(films), said, "NIH val")


def _focused(
    study: Study,
    films: Cohort,
    markers: Markers,
    both: tuple[Embeddings, ...],
    *,
    final: bool,
) -> Iterator[Line]:
    nih, model = np.isfinite(films.label(AGE)), load()
    for split in ("val", "test") if final else ("val",):
        asked = np.flatnonzero(nih & (films.splits == split))[:EXPLAINED].tolist()
        hearts = masks_of(model, films, asked)
        seen = [i for i, masks in enumerate(hearts) if masks[0].any()]
        asked, hearts = [asked[i] for i in seen], [hearts[i] for i in seen]
        paths = [films.paths[row] for row in asked]
        lifts = [
            kept(
                study.cache / f"focus-{encoded_digest(run, paths, study.cache)}.npy",
                partial(heart_focus, run, embeddings, films, markers, asked, hearts),
            )
            for run, embeddings in zip(study.runs, both, strict=True)
        ]
        where = {"val": "held apart of NIH", "test": "NIH val"}[split]
        measure = f"relevance of cardiac markers, lift of the heart, {where}"
        yield _means(measure, films.patients[asked], *lifts)


def _outlined(study: Study) -> Iterator[Line]:
    outlines = study.data / "annotations" / "outlines.json"
    films = read_outlines(outlines, study.data / "radiographs" / "nih")
    patients = np.array([film.patient for film in films])
    before, after = (
        kept(
            study.cache / f"dice-{encoded_digest(run, [outlines], study.cache)}.npy",
            partial(dice_of, run, films),
        )
        for run in study.runs
    )
    for channel, name in enumerate(STRUCTURES):
        measure = f"Dice, {name.replace('_', ' ')}, small decoder"
        yield _means(measure, patients, before[:, channel], after[:, channel])


def _means(
    measure: str,
    patients: NDArray[np.str_],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> Line:
    films = Films(patients=patients, strata=np.zeros(len(patients), np.bool_))
    weights = films.weights()

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(weights @ values / weights.sum(axis=1))

    return Line(
        measure=measure,
        films=len(patients),
        before=interval(mean(before)),
        after=interval(mean(after)),
        difference=interval(mean(after) - mean(before)),
    )
