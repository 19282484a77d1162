"""Stage 2's loss: what the equations say, whatever is missing and however films are spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pacx_training.objective import (
    contrastive_loss,
    cosine_distances,
    gathered,
    masked_mean,
    mean_of_present,
)

Matrix = NDArray[np.float64]
ROWS, WIDTH, SMOOTHING, SCALE = 9, 5, 0.02, 14.0


def drawn(seed: int) -> tuple[Matrix, Matrix, NDArray[np.bool_], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    first, second = generator.standard_normal((2, ROWS, WIDTH))
    present = generator.random(ROWS) < 0.7
    return first, second, present, generator.integers(0, 6, ROWS)


def loss(
    first: Matrix, second: Matrix, present: NDArray[np.bool_], patients: NDArray[np.int64]
) -> float:
    views = (torch.from_numpy(x).float() for x in (first, second))
    masks = (torch.from_numpy(x) for x in (present, patients))
    scale = torch.tensor(SCALE)
    return float(contrastive_loss(*views, *masks, scale=scale, smoothing=SMOOTHING))


def expected(
    first: Matrix, second: Matrix, present: NDArray[np.bool_], patients: NDArray[np.int64]
) -> float:
    """Row by row, in plain numpy, from the definition of smoothed InfoNCE."""
    one, two = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    losses = []
    for queries, keys in ((one, two), (two, one)):
        for row in np.flatnonzero(present):
            allowed = [
                other
                for other in np.flatnonzero(present)
                if other == row or patients[other] != patients[row]
            ]
            logits = np.array([SCALE * queries[row] @ keys[other] for other in allowed])
            logs = logits - np.log(np.exp(logits).sum())
            target = np.full(len(allowed), SMOOTHING / len(allowed))
            target[allowed.index(row)] += 1 - SMOOTHING
            losses.append(-(target * logs).sum())
    return float(np.mean(losses)) if losses else 0.0


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_contrastive_loss_is_that_of_the_equations(seed: int) -> None:
    batch = drawn(seed)
    assert loss(*batch) == pytest.approx(expected(*batch), abs=1e-5)


def test_without_gaps_or_relatives_it_is_torchs_cross_entropy() -> None:
    first, second, _, _ = drawn(1)
    one, two = (torch.nn.functional.normalize(torch.from_numpy(x).float()) for x in (first, second))
    logits, target = SCALE * one @ two.T, torch.arange(ROWS)
    directions = [
        torch.nn.functional.cross_entropy(x, target, label_smoothing=SMOOTHING)
        for x in (logits, logits.T)
    ]
    alone = loss(first, second, np.ones(ROWS, np.bool_), np.arange(ROWS))
    assert alone == pytest.approx(float(sum(directions)) / 2, abs=1e-5)


@given(seed=st.integers(0, 10**6), data=st.data())
@settings(max_examples=25, deadline=None)
def test_order_does_not_matter_and_missing_rows_are_as_good_as_dropped(
    seed: int, data: st.DataObject
) -> None:
    first, second, present, patients = drawn(seed)
    order = np.array(data.draw(st.permutations(range(ROWS))))
    shuffled = loss(first[order], second[order], present[order], patients[order])
    assert shuffled == pytest.approx(loss(first, second, present, patients), abs=1e-5)
    everyone = np.ones(int(present.sum()), np.bool_)
    dropped = loss(first[present], second[present], everyone, patients[present])
    assert dropped == pytest.approx(loss(first, second, present, patients), abs=1e-5)


def test_another_film_of_a_patient_pushes_nothing_away() -> None:
    first, second, _, _ = drawn(2)
    everyone = np.ones(ROWS, np.bool_)
    strangers = loss(first, second, everyone, np.arange(ROWS))
    one_patient = loss(first, second, everyone, np.zeros(ROWS, np.int64))
    assert one_patient == 0 < strangers


def test_no_gradient_is_lost_to_masks() -> None:
    first, second, present, patients = drawn(3)
    views = [torch.from_numpy(x).float().requires_grad_() for x in (first, second)]
    masks = [torch.from_numpy(x) for x in (present, patients)]
    contrastive_loss(*views, *masks, scale=torch.tensor(SCALE), smoothing=0.02).backward()  # type: ignore[no-untyped-call]
    for view in views:
        assert view.grad is not None
        assert torch.isfinite(view.grad).all()
        moved = view.grad.abs().sum(1) > 0
        assert torch.equal(moved, masks[0])


def test_the_teacher_gets_no_gradient_and_scale_does_not_matter() -> None:
    predicted, target = torch.randn(2, 4, WIDTH).requires_grad_().unbind()
    target.retain_grad()
    distances = cosine_distances(predicted, target)
    torch.testing.assert_close(cosine_distances(3 * predicted, 7 * target), distances)
    distances.sum().backward()  # type: ignore[no-untyped-call]
    assert target.grad is None
    torch.testing.assert_close(cosine_distances(target, target), torch.zeros(4))


def test_means_count_what_is_there() -> None:
    values, present = torch.tensor([1.0, 2.0, 30.0]), torch.tensor([True, True, False])
    assert masked_mean(values, present) == 1.5
    assert masked_mean(values, torch.zeros(3, dtype=torch.bool)) == 0
    nobody = torch.zeros(3, dtype=torch.bool)
    losses = [torch.tensor(4.0), torch.tensor(0.0)]
    assert mean_of_present(losses, [present, present]) == 2
    assert mean_of_present(losses, [present, nobody]) == 4
    assert mean_of_present(losses, [nobody, nobody]) == 0


def test_one_process_gathers_its_own_rows() -> None:
    rows = torch.randn(3, 2)
    assert gathered(rows) is rows
