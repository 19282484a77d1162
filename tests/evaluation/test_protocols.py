"""What protocols find on cohorts whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pacx.errors import BenchmarkError
from pacx_evaluation.benchmarks import Benchmark, Target
from pacx_evaluation.measurements import Measurement
from pacx_evaluation.protocols import (
    Entrant,
    Study,
    alignment,
    calibration,
    few_label,
    linear,
    subgroups,
)
from pacx_evaluation.protocols.design import rounds
from pacx_evaluation.statistics import alignment as retrieval
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import Film, Identity
from pacx_evaluation.subjects.encoder import Embeddings
from pacx_training.cohorts.manifest import Cohort

SPLITS = {"three": ("train", "val", "test"), "two": ("train", "val"), "one": ("train",)}


class Known:
    """An encoder whose embeddings are given; it never sees a film."""

    def __init__(self, name: str) -> None:
        self.identity = Identity(
            name=name, kind="random", sha256=name, preprocessing_sha256="", engine=""
        )

    def embed(self, films: Sequence[Film]) -> Embeddings:
        """Is not asked."""
        raise AssertionError(films)


def cohort(splits: str = "three", patients: int = 252, seed: int = 0) -> Benchmark:
    """Two films of each patient; one third have the finding, and a quantity follows it."""
    random = np.random.default_rng(seed)
    names = np.repeat([f"p{n}" for n in range(patients)], 2)
    label = np.repeat(np.arange(patients) % 3 == 0, 2)
    kinds = SPLITS[splits]
    return Benchmark(
        name="known",
        title="Known",
        cohort=Cohort(
            name="known",
            paths=tuple(Path(f"{n}") for n in range(len(names))),
            patients=names,
            splits=np.repeat([kinds[n // 3 % len(kinds)] for n in range(patients)], 2),
            label_names=("finding", "quantity"),
            labels=np.stack([label, label + random.normal(size=len(names))], 1).astype(np.float32),
            weights=np.ones(len(names)),
        ),
        targets=(Target(label="finding"), Target(label="quantity", kind="quantity")),
        paired={"pair": np.stack([label, random.normal(size=len(names))], 1).astype(np.float32)},
        attributes={"sex": np.repeat(["men", "women"], len(names) // 2)},
    )


def embeddings(benchmark: Benchmark, signal: float, seed: int = 1) -> Embeddings:
    """Noise in 8 dimensions, with the finding in the first."""
    noise = np.random.default_rng(seed).normal(size=(len(benchmark.cohort), 8))
    noise[:, 0] += signal * benchmark.cohort.label("finding")
    return noise.astype(np.float32)


def study(benchmark: Benchmark, **signals: float) -> Study:
    """Subjects by name, with the strength of what they know."""
    entrants = [
        Entrant(encoder=Known(name), embeddings=embeddings(benchmark, signal, seed))
        for seed, (name, signal) in enumerate(signals.items())
    ]
    return Study(benchmark=benchmark, entrants=entrants, bootstrap=Bootstrap(replicates=200))


def value(rows: Sequence[Measurement], subject: str, metric: str, target: str = "finding") -> float:
    """The only value of that kind."""
    found = [r for r in rows if (r.subject, r.metric, r.target) == (subject, metric, target)]
    assert len(found) == 1
    assert found[0].value is not None
    return found[0].value


@pytest.mark.parametrize("splits", SPLITS)
def test_no_patient_is_fitted_and_reported(splits: str) -> None:
    benchmark = cohort(splits)
    usable = np.ones(len(benchmark.cohort), np.bool_)
    labels = benchmark.values(benchmark.findings[0]) > 0
    patients = benchmark.cohort.patients
    reported: list[NDArray[np.int64]] = []
    for r in rounds(benchmark, usable, labels, seed=0):
        for rows in (r.fit, *(() if r.choose is None else (r.choose,))):
            assert not set(patients[rows]) & set(patients[r.report])
        reported.append(r.report)
    rows = np.concatenate(reported)
    assert len(set(rows.tolist())) == len(rows)
    assert len(rows) == len(patients) / len(SPLITS[splits])


@pytest.mark.parametrize("splits", SPLITS)
def test_a_probe_finds_what_is_there_and_nothing_where_nothing_is(splits: str) -> None:
    rows = linear.run(study(cohort(splits, 126), blind=0, seeing=2)).section.measurements
    assert value(rows, "seeing", "auroc") > 0.85
    assert abs(value(rows, "blind", "auroc") - 0.5) < 0.2
    assert value(rows, "seeing", "r_squared", "quantity") > value(
        rows, "blind", "r_squared", "quantity"
    )


def test_a_better_encoder_differs_and_an_equal_one_does_not() -> None:
    benchmark = cohort()
    known = study(benchmark, baseline=0.5, better=2.5)
    same = Entrant(encoder=Known("same"), embeddings=known.entrants[0].embeddings)
    known.entrants = [*known.entrants, same]
    better, equal = linear.run(known).section.comparisons
    assert better.low > 0
    assert better.p_clustered <= better.p_holm < 0.05
    assert (equal.difference, equal.p) == (0.0, 1.0)


def test_labels_of_reported_films_change_nothing_but_the_measure() -> None:
    benchmark = cohort()
    spoilt = cohort()
    test = spoilt.cohort.splits == "test"
    spoilt.cohort.labels[test, 0] = 1 - spoilt.cohort.labels[test, 0]
    vectors = embeddings(benchmark, 1.0)
    first, second = (
        Study(benchmark=b, entrants=[Entrant(encoder=Known("x"), embeddings=vectors)])
        for b in (benchmark, spoilt)
    )
    scores = [s.finding(s.entrants[0], benchmark.findings[0]) for s in (first, second)]
    np.testing.assert_array_equal(scores[0].probabilities, scores[1].probabilities)
    np.testing.assert_array_equal(scores[0].decisions, scores[1].decisions)


def test_subsets_are_patients_and_the_same_for_every_subject() -> None:
    benchmark = cohort()
    labels, patients = benchmark.values(benchmark.findings[0]) > 0, benchmark.cohort.patients
    rows = np.flatnonzero(benchmark.cohort.splits == "train")
    chosen = few_label.subset(rows, labels, patients, 0.1, seed=3)
    again = few_label.subset(rows, labels, patients, 0.1, seed=3)
    other = few_label.subset(rows, labels, patients, 0.1, seed=4)
    assert chosen is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(chosen, again)
    assert set(chosen.tolist()) != set(other.tolist())
    drawn = set(patients[chosen])
    assert np.isin(patients[rows], list(drawn)).sum() == len(chosen)
    assert abs(len(drawn) - 0.1 * len(set(patients[rows]))) <= 1
    assert few_label.subset(rows, labels, patients, 0.001, seed=0) is None


def test_more_labels_help_and_all_of_them_are_the_linear_probe() -> None:
    known = study(cohort(), x=1.2)
    rows = {row.condition: row for row in few_label.run(known).section.measurements}
    all_of_them, some = rows["100% of labels"].value, rows["10% of labels"].value
    assert all_of_them == value(linear.run(known).section.measurements, "x", "auroc")
    assert some is not None
    assert some < all_of_them


def test_temperature_scaling_mends_overconfidence() -> None:
    benchmark = cohort("two")
    scores = study(benchmark, x=1.5).finding(
        Entrant(encoder=Known("x"), embeddings=embeddings(benchmark, 1.5, 0)),
        benchmark.findings[0],
    )
    assert scores.probabilities.mean() == pytest.approx(scores.labels.mean(), abs=0.1)
    rows = calibration.run(study(benchmark, x=1.5)).section.measurements
    assert {row.condition for row in rows} == {calibration.BEFORE, calibration.AFTER}
    for row in rows:
        assert None not in (row.low, row.value, row.high)
        assert (row.low or 0) <= (row.value or 0) <= (row.high or 0)


def test_a_subgroup_that_the_model_fails_stands_out() -> None:
    benchmark = cohort("two")
    vectors = embeddings(benchmark, 3.0)
    women = benchmark.attributes["sex"] == "women"
    positive = benchmark.cohort.label("finding") > 0
    vectors[women & positive, 0] -= 3.0
    known = Study(
        benchmark=benchmark,
        entrants=[Entrant(encoder=Known("x"), embeddings=vectors)],
        bootstrap=Bootstrap(replicates=200),
    )
    rows = {(row.metric, row.condition): row for row in subgroups.run(known).section.measurements}
    gap = rows["true_positive_rate_gap", "sex: women"]
    assert gap.high is not None
    assert gap.high < 0
    false_alarms = rows["false_positive_rate_gap", "sex: women"]
    assert false_alarms.low is not None
    assert false_alarms.low < 0 < (false_alarms.high or 0)


def test_pairs_are_aligned_and_shuffled_pairs_are_not() -> None:
    rows = {
        (r.metric, r.condition): r for r in alignment.run(study(cohort(), x=3)).section.measurements
    }
    matched, shuffled = (
        rows["centred_cosine", condition] for condition in (alignment.MATCHED, alignment.SHUFFLED)
    )
    assert matched.low is not None
    assert shuffled.value is not None
    assert shuffled.value < matched.low
    recalls = [rows[f"recall_at_{k}", alignment.MATCHED].value or 0 for k in (1, 5, 10)]
    assert recalls == sorted(recalls)
    with pytest.raises(BenchmarkError, match="split"):
        alignment.run(study(cohort("one"), x=3))


def test_retrieval_finds_what_is_equal_and_ties_count_against() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(50, 6))
    assert retrieval.found_among(truth, truth, 1).all()
    assert not retrieval.found_among(np.tile(truth[:1], (50, 1)), truth, 49).all()
    blind = retrieval.found_among(random.normal(size=(50, 6)), truth, 10).mean()
    assert 0 < blind < 0.6
