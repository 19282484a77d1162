"""Whether every engine computes what torch computes from a bundle's own weights, on real films."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray

from pacx.bundle import Bundle
from pacx.engines import VARIANTS, Engine, Variant, open_ungated
from pacx.engines.parity import LIMITS, Measure, decisions, distances, probabilities
from pacx.engines.protocol import Tensor
from pacx.errors import (
    EngineUnavailable,
    ExtraMissing,
    ParityExceeded,
)
from pacx.preprocessing import normalise, prepare
from pacx_evaluation.measurements import Measurement, Section, ends
from pacx_evaluation.protocols.requirements import bundles_among
from pacx_evaluation.protocols.sampling import Rows, auroc_change, reported_films
from pacx_evaluation.protocols.study import Outcome, Study
from pacx_evaluation.subjects.encoder import as_radiograph
from pacx_export.torch_engine import TorchEngine
from pacx_export.weights import bundle_classifier

NAME = "export-parity"
BATCH = 8
COMPARED = ("embedding", "logits")
ALL = "all findings"
_LEAD = (
    "{films} reported films through the predict graph of each bundle, on every engine, device and "
    "precision that this machine and the bundle have, against torch in float32 with the bundle's "
    "own weights. A decision flips where the probability falls on the other side of the bundle's "
    "threshold. Tolerances of distances and flips are those that export proves; a float32 engine "
    "over them fails the evaluation, a lower precision is marked."
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
        over = [
            f"{output} {measure}"
            for output in self.wanted
            for measure, values in self.distances(output).items()
            if values.max() > limits.of(output, measure)
        ]
        flips = self.flips()
        if flips.size and flips.mean() > limits.decisions:
            over.append(f"{flips.sum()} of {flips.size} decisions flipped")
        return over

    def flips(self) -> NDArray[np.bool_]:
        """Which decisions at the bundle's thresholds differ, ``[N, F]``."""
        if "logits" not in self.wanted:
            return np.zeros((len(self.wanted["embedding"]), 0), dtype=np.bool_)
        manifest = self.bundle.manifest
        before, after = (decisions(v["logits"], manifest) for v in (self.wanted, self.actual))
        return np.asarray(before != after)

    @property
    def offered(self) -> bool:
        """Whether the bundle lets this engine run its predict graph in this precision."""
        variant = self.variant.engine, self.variant.precision
        return not any(
            one.graph == "predict" and (one.engine, one.precision) == variant
            for one in self.bundle.manifest.refused
        )

    def distances(self, output: str) -> Mapping[Measure, NDArray[np.float64]]:
        """By measure, one for each film."""
        return distances(output, self.actual[output], self.wanted[output], self.bundle.manifest)


def run(study: Study) -> Outcome:
    """Compare every bundle among the subjects.

    Raises:
        SubjectError: No subject is a bundle.
        ParityExceeded: An engine in float32 differs by more than the tolerance.
    """
    bundles = bundles_among(study.encoders, NAME)
    films = reported_films(study)
    rows: list[Measurement] = []
    notes: list[str] = []
    for name, bundle in bundles.items():
        found = list(_comparisons(study, bundle, films))
        compared = [one for one in found if isinstance(one, Comparison)]
        for one in compared:
            rows += _measure(study, name, one, films)
        notes += _judged(name, compared)
        absent = ", ".join(str(one) for one in found if isinstance(one, Variant))
        notes.append(f"{name}: not on this machine or not in the bundle: {absent}.")
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
    names = {output.name for output in bundle.manifest.graphs["predict"].outputs}
    outputs = tuple(name for name in COMPARED if name in names)
    with torch.inference_mode():
        reference = TorchEngine(bundle_classifier(bundle))
        wanted = _outputs(reference, normalise(pixels, spec), outputs)
    for variant in VARIANTS:
        try:
            engine = open_ungated(
                bundle, variant.engine, device=variant.device, precision=variant.precision
            )
            actual = _outputs(engine, normalise(pixels, spec), outputs)
        except (ExtraMissing, EngineUnavailable):
            yield variant
            continue
        engine.close()
        yield Comparison(bundle=bundle, variant=variant, wanted=wanted, actual=actual)


def _outputs(
    engine: Engine | TorchEngine, pixels: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    parts = [
        engine.run("predict", {"pixel_values": pixels[start : start + BATCH]})
        for start in range(0, len(pixels), BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _measure(
    study: Study, subject: str, comparison: Comparison, films: Rows
) -> Iterator[Measurement]:
    shared = {"subject": subject, "protocol": NAME, "condition": str(comparison.variant)}
    cosine, flips = comparison.distances("embedding")["cosine"], comparison.flips()
    found = [
        ("embedding", "cosine_distance", cosine.mean()),
        ("embedding", "cosine_distance_worst", cosine.max()),
    ]
    if "logits" in comparison.wanted:
        moved = comparison.distances("logits")["probability"]
        found += [
            (ALL, "probability_shift", moved.mean()),
            (ALL, "probability_shift_worst", moved.max()),
        ]
    findings = [finding.label for finding in comparison.bundle.manifest.findings]
    if findings:
        found.append((ALL, "flipped", flips.mean()))
        found += list(zip(findings, repeat("flipped"), flips.mean(axis=0), strict=False))
    for target, metric, value in found:
        yield Measurement(
            **shared, target=target, metric=metric, value=max(0.0, float(value)), films=len(films)
        )
    if findings:
        yield from _changes(study, shared, comparison, films)


def _changes(
    study: Study, shared: Mapping[str, str], comparison: Comparison, films: Rows
) -> Iterator[Measurement]:
    manifest = comparison.bundle.manifest
    before, after = (
        probabilities(values["logits"], manifest)
        for values in (comparison.wanted, comparison.actual)
    )
    for column, finding in enumerate(manifest.findings):
        values = before[:, column], after[:, column]
        yield from _change(study, shared, finding.label, films, values)


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


def _judged(subject: str, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What is within tolerance, and what is not.

    Raises:
        ParityExceeded: An engine in float32 is not.
    """
    excess = {comparison.variant: comparison.excess() for comparison in comparisons}
    within = [str(variant) for variant, over in excess.items() if not over]
    yield f"{subject}: within tolerance: {', '.join(within) or 'nothing'}."
    for comparison in comparisons:
        over, variant = ", ".join(excess[comparison.variant]), comparison.variant
        if over and variant.precision == "f32":
            raise ParityExceeded(f"{subject} on {variant}: {over}.")
        if over:
            offered = "offers it all the same" if comparison.offered else "does not offer it"
            yield f"{subject} on {variant} is over tolerance: {over}; the bundle {offered}."
