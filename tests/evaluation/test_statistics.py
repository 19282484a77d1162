"""The laws that statistics must obey, and agreement with independent implementations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pauc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, norm, spearmanr
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    r2_score,
    recall_score,
    roc_auc_score,
)

from pacx_evaluation.statistics import calibration, delong, discrimination
from pacx_evaluation.statistics.agreement import r_squared, rank_correlation
from pacx_evaluation.statistics.bootstrap import Bootstrap, Statistic

Labels = NDArray[np.bool_]
Values = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def _films(seed: int, films: int = 60, levels: int = 7) -> tuple[Labels, Values]:
    """Labels of both classes and scores with many ties."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(films) < random.integers(5, films - 5))
    return labels, np.round((random.random(films) + 0.3 * labels) * levels) / levels


def _plain(statistic: Statistic, films: int) -> float:
    return float(statistic(np.ones((1, films)))[0])


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_auroc_is_the_mann_whitney_statistic_even_with_ties(seed: int) -> None:
    labels, scores = _films(seed)
    wins = mannwhitneyu(scores[labels], scores[~labels]).statistic
    expected = wins / (labels.sum() * (~labels).sum())
    assert _plain(discrimination.auroc(labels, scores), len(labels)) == pytest.approx(expected)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_metrics_agree_with_scikit_learn(seed: int) -> None:
    labels, scores = _films(seed)
    decisions = scores >= 0.5
    found = {
        "auroc": _plain(discrimination.auroc(labels, scores), 60),
        "ap": _plain(discrimination.average_precision(labels, scores), 60),
        "f1": _plain(discrimination.rate(labels, decisions, "f1"), 60),
        "sensitivity": _plain(discrimination.rate(labels, decisions, "sensitivity"), 60),
        "specificity": _plain(discrimination.rate(labels, decisions, "specificity"), 60),
    }
    assert found == pytest.approx(
        {
            "auroc": roc_auc_score(labels, scores),
            "ap": average_precision_score(labels, scores),
            "f1": f1_score(labels, decisions),
            "sensitivity": recall_score(labels, decisions),
            "specificity": recall_score(~labels, ~decisions),
        }
    )


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_weights_mean_the_same_as_repeated_films(seed: int) -> None:
    labels, scores = _films(seed)
    counts = np.random.default_rng(seed).integers(1, 4, len(labels))
    for build in (discrimination.auroc, discrimination.average_precision):
        weighted = float(build(labels, scores)(counts[np.newaxis].astype(float))[0])
        again = np.repeat(labels, counts), np.repeat(scores, counts)
        assert weighted == pytest.approx(_plain(build(*again), int(counts.sum())))


def test_permuted_labels_give_one_half() -> None:
    random = np.random.default_rng(1)
    labels, scores = _films(1, films=200)
    areas = [
        _plain(discrimination.auroc(random.permutation(labels), scores), 200) for _ in range(400)
    ]
    standard_error = np.std(areas) / np.sqrt(len(areas))
    assert abs(np.mean(areas) - 0.5) < 4 * standard_error


def _cohort(random: np.random.Generator) -> tuple[Labels, Values, NDArray[np.str_]]:
    """120 patients of 1 to 3 films that share a random effect; the true AUROC is known."""
    sizes = random.integers(1, 4, 120)
    patient = np.repeat(np.arange(120), sizes)
    labels = np.repeat(np.arange(120) < 50, sizes)
    effect = 0.8 * random.standard_normal(120)[patient]
    scores = labels * 1.0 + effect + 0.6 * random.standard_normal(len(patient))
    return labels, scores, patient.astype(np.str_)


TRUE_AUROC = float(norm.cdf(1.0 / np.sqrt(2 * (0.8**2 + 0.6**2))))


def test_clustered_intervals_cover_at_the_nominal_rate_and_naive_ones_do_not() -> None:
    trials, covered, naive, clustered_delong = 300, 0, 0, 0
    for trial in range(trials):
        labels, scores, patients = _cohort(np.random.default_rng(trial))
        statistic = discrimination.auroc(labels, scores)
        bootstrap = Bootstrap(replicates=400, seed=trial)
        inside = bootstrap.interval(statistic, labels, patients)
        covered += inside.low <= TRUE_AUROC <= inside.high
        half = 1.96 * delong.standard_error(labels, scores)
        naive += abs(inside.value - TRUE_AUROC) <= half
        half = 1.96 * delong.standard_error(labels, scores, patients)
        clustered_delong += abs(inside.value - TRUE_AUROC) <= half
    tolerance = 3 * np.sqrt(0.95 * 0.05 / trials)
    assert abs(covered / trials - 0.95) < tolerance
    assert abs(clustered_delong / trials - 0.95) < tolerance
    assert naive < covered


def test_a_seed_repeats_an_interval() -> None:
    labels, scores, patients = _cohort(np.random.default_rng(0))
    statistic = discrimination.auroc(labels, scores)
    first = Bootstrap(seed=3).interval(statistic, labels, patients)
    assert first == Bootstrap(seed=3).interval(statistic, labels, patients)
    assert first != Bootstrap(seed=4).interval(statistic, labels, patients)


def test_chunks_do_not_change_the_number_of_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, _, patients = _cohort(np.random.default_rng(0))
    monkeypatch.setattr("pacx_evaluation.statistics.bootstrap.CHUNK_ELEMENTS", 7 * len(labels))
    sizes = [len(w) for w in Bootstrap(replicates=20).samples(labels, patients)]
    assert sizes == [7, 7, 6]


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_delong_agrees_with_pauc(seed: int) -> None:
    labels, scores = _films(seed, levels=1000)
    other = scores + np.random.default_rng(seed + 1).random(len(labels))
    curves = [pauc.ROC(labels.astype(int), s, direction="<") for s in (scores, other)]
    ours, theirs = delong.paired_test(labels, scores, other), pauc.compare(*curves)
    assert ours.difference == pytest.approx(-theirs.estimate)
    assert ours.p == pytest.approx(theirs.p_value, abs=1e-9)
    assert delong.standard_error(labels, scores) ** 2 == pytest.approx(pauc.var(curves[0]))


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_clustered_delong_is_delong_up_to_order_one_over_n_for_lone_films(seed: int) -> None:
    labels, scores = _films(seed, films=200)
    alone = np.arange(200).astype(np.str_)
    plain, clustered = (delong.standard_error(labels, scores, p) for p in (None, alone))
    assert clustered == pytest.approx(plain, rel=1e-9)


def test_identical_scores_differ_by_nothing() -> None:
    labels, scores = _films(0)
    test = delong.paired_test(labels, scores, scores)
    assert (test.difference, test.p) == (0.0, 1.0)


def test_holm_by_hand() -> None:
    corrected = delong.holm(np.array([0.04, 0.01, np.nan, 0.03]))
    assert corrected[[0, 1, 3]] == pytest.approx([0.06, 0.03, 0.06])
    assert np.isnan(corrected[2])


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_calibration_error_agrees_with_quantile_bins(seed: int) -> None:
    labels, _ = _films(seed, films=300)
    frame = pd.DataFrame({"label": labels, "p": np.random.default_rng(seed).random(300)})
    bins = frame.groupby(pd.qcut(frame["p"], 15, labels=False))
    gaps = (bins["p"].mean() - bins["label"].mean()).abs() * bins.size() / len(frame)
    ours = calibration.expected_calibration_error(labels, frame["p"].to_numpy())
    assert ours == pytest.approx(gaps.sum())


@pytest.mark.parametrize(
    ("seed", "theirs"),
    [(0, 0.182489691613883), (1, 0.17543587490116389), (2, 0.18454237825052006)],
)
def test_calibration_error_is_that_of_netcal(seed: int, theirs: float) -> None:
    """``netcal.metrics.ECE(15, equal_intervals=False)`` of netcal 1.4.0.

    It cannot be installed beside the torch of these tests, so that its answers stand here.
    """
    random = np.random.default_rng(seed)
    probabilities = random.random(300)
    labels = random.random(300) < probabilities**2
    ours = calibration.expected_calibration_error(labels, probabilities)
    assert ours == pytest.approx(theirs, abs=1e-12)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_scores_of_probabilities_agree_with_scikit_learn(seed: int) -> None:
    labels, _ = _films(seed)
    probabilities = np.random.default_rng(seed).random(60)
    squared = _plain(calibration.brier(labels, probabilities), 60)
    logs = _plain(calibration.negative_log_likelihood(labels, probabilities), 60)
    assert squared == pytest.approx(brier_score_loss(labels, probabilities))
    assert logs == pytest.approx(log_loss(labels, probabilities))


def test_perfect_calibration_has_a_small_error_and_overconfidence_a_large_one() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random(20_000)
    labels = random.random(20_000) < probabilities
    bold = np.clip(1.8 * (probabilities - 0.5) + 0.5, 0, 1)
    fair, unfair = (
        calibration.expected_calibration_error(labels, p) for p in (probabilities, bold)
    )
    assert fair < 0.02 < 0.1 < unfair


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
@settings(max_examples=50, deadline=None)
def test_prior_correction_maps_the_base_rate_and_can_be_undone(old: float, new: float) -> None:
    there = calibration.prior_corrected(np.array([old, 0.3]), trained=old, local=new)
    assert there[0] == pytest.approx(new)
    back = calibration.prior_corrected(there, trained=new, local=old)
    assert back == pytest.approx([old, 0.3])


@given(seeds, st.floats(0.05, 0.95))
@settings(max_examples=50, deadline=None)
def test_thresholds_keep_their_promise(seed: int, target: float) -> None:
    labels, scores = _films(seed)
    sensitive = discrimination.threshold_at_sensitivity(labels, scores, target)
    assert (scores[labels] >= sensitive).mean() >= target
    specific = discrimination.threshold_at_false_positive_rate(labels, scores, target)
    assert (scores[~labels] >= specific).mean() <= target


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_agreement_of_numbers_with_scikit_learn_and_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.standard_normal(50)
    predicted = truth + random.standard_normal(50)
    assert _plain(r_squared(truth, predicted), 50) == pytest.approx(r2_score(truth, predicted))
    expected = spearmanr(truth, predicted).statistic
    assert _plain(rank_correlation(truth, predicted), 50) == pytest.approx(expected)


def test_nothing_is_reported_below_ten_positives() -> None:
    films = np.arange(100)
    everybody = films.astype(np.str_)
    assert discrimination.too_few(films < 9, everybody) == "9 positive films, fewer than 10"
    assert discrimination.too_few(films < 95, everybody) == "5 negative films, fewer than 10"
    assert discrimination.too_few(films < 10, everybody) is None
    eights = (films // 8).astype(np.str_)
    assert (
        discrimination.too_few(films < 16, eights) == "positive films of 2 patients, fewer than 3"
    )
