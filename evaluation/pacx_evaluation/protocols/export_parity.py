"""Whether every engine computes what torch computes from a bundle's own weights, on real films."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pacx.bundle import Bundle
from pacx.engines import VARIANTS, Engine, Variant, open_ungated
from pacx.engines.parity import LIMITS, Measure, distances, probabilities
from pacx.engines.protocol import Tensor
from pacx.errors import (
    EngineUnavailable,
    ExtraMissing,
    ParityExceeded,
    SubjectError,
)
from pacx.preprocessing import normalise, prepare
from pacx_evaluation.measurements import Measurement, Section, ends
from pacx_evaluation.protocols.sampling import Rows, auroc_change, reported_films
from pacx_evaluation.protocols.study import Outcome, Study
from pacx_evaluation.subjects.encoder import LocalEncoder, as_radiograph
from pacx_export.torch_engine import TorchEngine
from pacx_export.weights import bundle_classifier

NAME = "export-parity"
BATCH = 8
COMPARED = ("embedding", "logits")
_LEAD = (
    "{films} reported films through the predict graph of each bundle, on every engine, device and "
    "precision that this machine and the bundle have, against torch in float32 with the bundle's "
    "own weights. A float32 engine over tolerance fails the evaluation; a lower precision over "
    "tolerance is marked."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """One engine against torch; arrays by output."""

    bundle: Bundle
    variant: Variant
    wanted: Mapping[str, Tensor]
    actual: Mapping[str, Tensor]

    def excess(self) -> list[str]:
        """Measures over tolerance, in words."""
        limits = LIMITS[self.variant.precision]
        return [
            f"{output} {measure}"
            for output in COMPARED
            for measure, values in self.distances(output).items()
            if values.max() > limits.of(output, measure)
        ]

    def distances(self, output: str) -> Mapping[Measure, NDArray[np.float64]]:
        """By measure, one for each film."""
        return distances(output, self.actual[output], self.wanted[output], self.bundle.manifest)


def run(study: Study) -> Outcome:
    """Compare every bundle among the subjects.

    Raises:
        SubjectError: No subject is a bundle.
        ParityExceeded: An engine in float32 differs by more than the tolerance.
    """
    bundles = {
        entrant.name: entrant.encoder.bundle
        for entrant in study.entrants
        if isinstance(entrant.encoder, LocalEncoder) and entrant.encoder.bundle is not None
    }
    if not bundles:
        raise SubjectError("Export parity needs a bundle among the subjects.")
    films = reported_films(study)
    rows: list[Measurement] = []
    notes: list[str] = []
    for name, bundle in bundles.items():
        absent: list[str] = []
        for found in _comparisons(study, bundle, films):
            if isinstance(found, Variant):
                absent.append(str(found))
                continue
            rows += _measure(study, name, found, films)
            notes += _judge(name, found)
        notes.append(f"{name}: not on this machine or not in the bundle: {', '.join(absent)}.")
    section = Section(
        name=NAME,
        title="Export parity",
        lead=_LEAD.format(films=len(films)),
        measurements=tuple(rows),
        notes=tuple(notes),
    )
    return Outcome(section=section)


def _comparisons(study: Study, bundle: Bundle, films: Rows) -> Iterator[Comparison | Variant]:
    """What every engine computed, or one that this machine or bundle has not."""
    spec = bundle.manifest.input
    paths = [study.benchmark.cohort.paths[row] for row in films.tolist()]
    pixels = np.stack([prepare(as_radiograph(path), spec).pixels for path in paths])
    with torch.inference_mode():
        wanted = _outputs(TorchEngine(bundle_classifier(bundle)), normalise(pixels, spec))
    for variant in VARIANTS:
        try:
            engine = open_ungated(
                bundle, variant.engine, device=variant.device, precision=variant.precision
            )
            actual = _outputs(engine, normalise(pixels, spec))
        except (ExtraMissing, EngineUnavailable):
            yield variant
            continue
        engine.close()
        yield Comparison(bundle=bundle, variant=variant, wanted=wanted, actual=actual)


def _outputs(engine: Engine | TorchEngine, pixels: Tensor) -> dict[str, Tensor]:
    parts = [
        engine.run("predict", {"pixel_values": pixels[start : start + BATCH]})
        for start in range(0, len(pixels), BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in COMPARED}


def _measure(
    study: Study, subject: str, comparison: Comparison, films: Rows
) -> Iterator[Measurement]:
    cosine = comparison.distances("embedding")["cosine"]
    moved = comparison.distances("logits")["probability"]
    manifest = comparison.bundle.manifest
    before, after = (
        probabilities(values["logits"], manifest)
        for values in (comparison.wanted, comparison.actual)
    )
    thresholds = np.array([finding.threshold for finding in manifest.findings])
    flipped = float(((before >= thresholds) != (after >= thresholds)).mean())
    shared = {"subject": subject, "protocol": NAME, "condition": str(comparison.variant)}
    for target, metric, value in (
        ("embedding", "cosine_distance", cosine.mean()),
        ("embedding", "cosine_distance_worst", cosine.max()),
        ("all findings", "probability_shift", moved.mean()),
        ("all findings", "probability_shift_worst", moved.max()),
        ("all findings", "flipped", flipped),
    ):
        yield Measurement(
            **shared, target=target, metric=metric, value=max(0.0, float(value)), films=len(films)
        )
    for column, finding in enumerate(manifest.findings):
        yield from _change(
            study, shared, finding.label, films, (before[:, column], after[:, column])
        )


def _change(
    study: Study,
    shared: Mapping[str, str],
    label: str,
    films: Rows,
    values: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Iterator[Measurement]:
    """Change of AUROC for a finding of the bundle that the benchmark has labels for."""
    for target in study.benchmark.findings:
        if target.label != label:
            continue
        used = study.benchmark.usable(target)[films]
        labels = study.benchmark.values(target)[films[used]] > 0
        patients = study.benchmark.cohort.patients[films[used]]
        before, after = (column[used] for column in values)
        change, reason = auroc_change(study, labels, patients, before, after)
        yield Measurement(
            subject=shared["subject"],
            protocol=NAME,
            condition=shared["condition"],
            target=target.name,
            metric="auroc_change",
            **ends(change),
            reason=reason,
            films=int(used.sum()),
            positives=int(labels.sum()),
        )


def _judge(subject: str, comparison: Comparison) -> Iterator[str]:
    excess = comparison.excess()
    if excess and comparison.variant.precision == "f32":
        raise ParityExceeded(f"{subject} on {comparison.variant}: {', '.join(excess)}.")
    if excess:
        yield f"{subject} on {comparison.variant} is over tolerance: {', '.join(excess)}."
