"""Cleaning of masks, against an independent library."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from pacx.masks import Mask, largest_pieces, masks_from, opened, thorax

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))
stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=16))


@given(stack=stacks)
def test_the_largest_pieces_are_one_piece_each_and_none_is_larger(stack: Mask) -> None:
    for piece, mask in zip(largest_pieces(stack), stack, strict=True):
        labels, pieces = ndimage.label(mask)
        sizes = np.bincount(labels.ravel(), minlength=2)[1:]
        assert piece.sum() == sizes.max()
        assert not (piece & ~mask).any()
        assert ndimage.label(piece)[1] == min(pieces, 1)


@given(mask=masks)
def test_opening_is_that_of_scipy(mask: Mask) -> None:
    square = np.ones((3, 3))
    eroded = ndimage.binary_erosion(mask, square, border_value=1)
    np.testing.assert_array_equal(opened(mask), ndimage.binary_dilation(eroded, square))


def test_logits_become_masks_on_the_models_grid_at_the_right_place() -> None:
    logits = np.full((3, 56, 56), -5, np.float32)
    logits[0, 14:28, 28:42] = 5
    masks = masks_from(logits, 224)
    rows, columns = np.nonzero(masks[0])
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (56, 112, 112, 168)
    assert not masks[1:].any()


@given(seed=st.integers(0, 2**32 - 1))
def test_the_thorax_holds_all_structures_and_no_row_has_a_gap(seed: int) -> None:
    stack = np.random.default_rng(seed).random((3, 12, 12)) > 0.9
    hull = thorax(stack)
    assert not (stack.any(axis=0) & ~hull).any()
    assert (
        np.abs(np.diff(np.pad(hull.astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1) <= 2
    ).all()
