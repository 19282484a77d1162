"""Percentiles: fitted on the training split only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import percentileofscore

from pacx.errors import CohortError
from pacx_training.percentiles import Percentiles


@given(
    values=arrays(np.float64, (12, 3), elements=st.floats(-1e3, 1e3)),
    observed=arrays(np.bool_, (12, 3)),
)
def test_percentiles_keep_the_order_and_lie_in_the_unit_interval(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    observed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> None:
    found = Percentiles.fit(values, observed).transform(values, observed)
    assert ((found >= 0) & (found <= 1)).all()
    for column in range(3):
        seen = observed[:, column]
        order = np.argsort(values[seen, column])
        assert (np.diff(found[seen, column][order]) >= 0).all()


@given(
    train=arrays(np.float64, st.integers(1, 15), elements=st.integers(-4, 4)),
    other=arrays(np.float64, 8, elements=st.integers(-6, 6)),
)
def test_a_percentile_is_the_share_of_train_below_and_half_of_that_which_ties(
    train: np.ndarray[tuple[int], np.dtype[np.float64]],
    other: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    """Few levels, so that values tie, were never seen, and lie beyond the extremes."""
    fitted = Percentiles.fit(train[:, None], np.ones((len(train), 1), dtype=bool))
    found = fitted.transform(other[:, None], np.ones((len(other), 1), dtype=bool))[:, 0]
    np.testing.assert_allclose(found, percentileofscore(train, other, kind="mean") / 100, atol=1e-6)


def test_other_splits_do_not_move_the_percentiles() -> None:
    train = np.arange(10.0)[:, np.newaxis]
    fitted = Percentiles.fit(train, np.ones((10, 1), dtype=bool))
    other = np.array([[-5.0], [4.5], [100.0]])
    np.testing.assert_allclose(
        fitted.transform(other, np.ones((3, 1), dtype=bool))[:, 0], [0.0, 0.5, 1.0]
    )


def test_missing_values_become_the_training_mean() -> None:
    fitted = Percentiles.fit(np.array([[1.0], [2.0], [9.0]]), np.array([[1], [1], [0]], dtype=bool))
    found = fitted.transform(np.array([[np.nan]]), np.array([[False]]))
    assert found[0, 0] == pytest.approx(0.5)


def test_an_observed_value_that_is_no_number_is_refused_with_its_row() -> None:
    with pytest.raises(CohortError, match="Row 1 marks"):
        Percentiles.fit(np.array([[1.0], [np.nan]]), np.ones((2, 1), dtype=bool))
    with pytest.raises(CohortError, match="must both have"):
        Percentiles.fit(np.zeros((2, 1)), np.ones((2, 2), dtype=bool))
