"""Fine-tuning: how well an encoder does that may learn from the benchmark, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from pacx.manifest import Interval
from pacx_evaluation.measurements import Comparison, Measurement, Section
from pacx_evaluation.protocols.comparisons import Pair, compare_pairs
from pacx_evaluation.protocols.linear import macro, measurement
from pacx_evaluation.protocols.study import Drawing, Outcome, Study
from pacx_evaluation.protocols.tuning import Tuned, TunedScores, network_of, tune
from pacx_evaluation.report.forest import difference_forest, forest
from pacx_evaluation.statistics import discrimination
from pacx_evaluation.statistics.bootstrap import Statistic

NAME = "finetune"
_LEAD = (
    "Encoder and one linear head for all findings are trained together for {epochs:g} epochs, from "
    "{seeds} seeds; every number is the mean over seeds. The learning rate is the one of "
    "{rates} with the least log loss on films that are not reported, and so are temperature and "
    "thresholds. Intervals come from {replicates:,} bootstrap samples of patients."
)
_NOTES = (
    "Intervals hold the spread over patients, not that over seeds, which stands in a table of "
    "its own.",
    "Films are shown as they are, without augmentation.",
)
METRICS = (
    "auroc", "average_precision", "sensitivity", "specificity", "f1", "f1_at_one_half",
)  # fmt: skip


def run(study: Study) -> Outcome:
    """Fine-tune and measure every subject.

    Raises:
        SubjectError: A subject has no weights in torch.
        BenchmarkError: The benchmark has no findings, or too few patients.
    """
    for entrant in study.entrants:  # before hours are spent on the others
        network_of(entrant, NAME)
    with TemporaryDirectory() as cache:
        tuned = {e.name: tune(study, e, Path(cache)) for e in study.entrants}
    rows = [row for name, found in tuned.items() for row in _measure(study, name, found)]
    section = Section(
        name=NAME,
        title="Fine-tuning",
        lead=_lead(study),
        measurements=tuple(rows),
        comparisons=tuple(_comparisons(study, tuned)),
        notes=(*_NOTES, *(_rates(name, found) for name, found in tuned.items())),
    )
    return Outcome(section=section, drawings=tuple(_drawings(section)))


def _lead(study: Study) -> str:
    plan = study.tuning
    return _LEAD.format(
        epochs=plan.recipe.epochs,
        seeds=plan.seeds,
        rates=", ".join(f"{rate:g}" for rate in plan.learning_rates),
        replicates=study.bootstrap.replicates,
    )


def _rates(name: str, tuned: Tuned) -> str:
    chosen = ", ".join(f"{rate:g}" for rate in tuned.learning_rates)
    return f"{name}: chosen learning rate {chosen}."


def _measure(study: Study, subject: str, tuned: Tuned) -> Iterator[Measurement]:
    reported = [scores for scores in tuned.scores if scores.reason is None]
    statistics = [_statistics(scores) for scores in reported]
    over_findings = {m: [found[m] for found in statistics] for m in ("auroc", "f1_at_one_half")}
    yield from macro(study, subject, reported, over_findings, protocol=NAME)
    for scores in tuned.scores:
        if scores.reason is not None:
            yield measurement(subject, scores, "auroc", None, protocol=NAME)
            continue
        for metric, statistic in _statistics(scores).items():
            found = study.bootstrap.interval(statistic, scores.labels, scores.patients)
            yield measurement(subject, scores, metric, found, protocol=NAME)
        spread = _spread(scores)
        yield measurement(subject, scores, "auroc_over_seeds", spread, protocol=NAME)


def _statistics(scores: TunedScores) -> Mapping[str, Statistic]:
    """By metric, the mean over seeds."""
    by_seed = [
        {
            "auroc": discrimination.auroc(scores.labels, probabilities),
            "average_precision": discrimination.average_precision(scores.labels, probabilities),
            "sensitivity": discrimination.rate(scores.labels, decisions, "sensitivity"),
            "specificity": discrimination.rate(scores.labels, decisions, "specificity"),
            "f1": discrimination.rate(scores.labels, decisions, "f1"),
            "f1_at_one_half": discrimination.rate(scores.labels, logits >= 0, "f1"),
        }
        for logits, probabilities, decisions in zip(
            scores.logits, scores.probabilities, scores.decisions, strict=True
        )
    ]
    return {m: discrimination.mean_of([seed[m] for seed in by_seed]) for m in METRICS}


def _spread(scores: TunedScores) -> Interval:
    """Mean AUROC, and that of the worst and of the best seed."""
    once = np.ones((1, len(scores.rows)))
    areas = [
        float(discrimination.auroc(scores.labels, probabilities)(once)[0])
        for probabilities in scores.probabilities
    ]
    return Interval(value=float(np.mean(areas)), low=min(areas), high=max(areas))


def _comparisons(study: Study, tuned: Mapping[str, Tuned]) -> Iterator[Comparison]:
    baseline, *others = tuned
    for name in others:
        both = zip(tuned[baseline].scores, tuned[name].scores, strict=True)
        pairs = [_pair(first, second) for first, second in both if second.reason is None]
        yield from compare_pairs(study, baseline, name, pairs)


def _pair(baseline: TunedScores, subject: TunedScores) -> Pair:
    return Pair(
        target=subject.target.name,
        labels=subject.labels,
        patients=subject.patients,
        baseline=baseline.probabilities,
        subject=subject.probabilities,
    )


def _drawings(section: Section) -> Iterator[Drawing]:
    frame = pd.DataFrame([row.model_dump() for row in section.measurements])
    areas = frame[(frame["metric"] == "auroc") & frame["value"].notna()]
    if len(areas):
        yield Drawing(
            name="finetune-auroc",
            caption="AUROC of fine-tuned encoders, mean over seeds, with 95 % intervals over "
            "patients; the dashed line is chance.",
            data=areas,
            draw=forest,
        )
    if section.comparisons:
        yield Drawing(
            name="finetune-differences",
            caption=f"Difference of AUROC from {section.comparisons[0].baseline}, both fine-tuned.",
            data=pd.DataFrame([item.model_dump() for item in section.comparisons]),
            draw=difference_forest,
        )
