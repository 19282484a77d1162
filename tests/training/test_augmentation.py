"""Crops are those of RandomResizedCrop, resized as Pillow does."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pacx_training.augmentation import draw_boxes, resized_crop, whole_boxes
from pacx_training.sampling import Draws, Rows


def _draws(rows: int, seed: int = 0) -> Draws:
    return Draws.of_step(seed, 0, Rows(start=0, stop=rows, total=rows))


@settings(max_examples=25, deadline=None)
@given(
    side=st.integers(16, 60),
    size=st.sampled_from([8, 24, 48]),
    seed=st.integers(0, 2**31),
)
def test_crops_equal_pillow(side: int, size: int, seed: int) -> None:
    picture = np.random.default_rng(seed).random((side, side + 5), dtype=np.float32)
    box = draw_boxes(_draws(1, seed), (0.1, 1.0))
    ours = resized_crop(torch.from_numpy(picture[None]), torch.from_numpy(box), size)[0]
    top, left, height, width = (float(value) for value in box[0])
    rows, columns = picture.shape
    corners = (left * columns, top * rows, (left + width) * columns, (top + height) * rows)
    theirs = Image.fromarray(picture).resize(
        (size, size), Image.Resampling.BILINEAR, box=tuple(min(c, columns) for c in corners)
    )
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=2e-3)


def test_the_whole_film_at_its_own_size_is_untouched() -> None:
    films = torch.randint(0, 256, (2, 32, 32), dtype=torch.uint8)
    same = resized_crop(films, torch.from_numpy(whole_boxes(2)), 32)
    torch.testing.assert_close(same, films.float(), atol=1e-3, rtol=0)


def test_boxes_have_the_wanted_areas_and_proportions() -> None:
    top, left, height, width = draw_boxes(_draws(4000), (0.5, 1.0)).T
    area, ratio = height * width, width / height
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1 + 1e-6
    assert area.min() >= 0.5 - 1e-6
    assert ratio.min() >= 3 / 4 - 1e-6
    assert ratio.max() <= 4 / 3 + 1e-6
    # Large areas fit only in nearly square crops, hence a mean below that of a uniform area.
    assert 0.65 < area.mean() < 0.75
    assert abs(np.log(ratio).mean()) < 0.02


def test_boxes_that_never_fit_are_the_whole_film() -> None:
    assert np.array_equal(draw_boxes(_draws(3), (1.0, 1.0), (3.0, 4.0)), whole_boxes(3))
