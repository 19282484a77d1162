"""Stage 2's augmentations: bounded, the film's own, and never a mirror image."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pacx_training.augmentation import resized_crop, whole_boxes
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.distortion import DistortionSettings, distorted
from pacx_training.sampling import Draws, Rows

STILL = DistortionSettings(smallest_crop=1, gamma=0, local_contrast=0, distortion=0)
SIZE = 48


def films(count: int = 4) -> torch.Tensor:
    return torch.from_numpy(
        np.stack([phantom_radiograph(s, (64, 64)).pixels for s in range(count)])
    )


def draws(start: int = 0, stop: int = 4, total: int = 4) -> Draws:
    return Draws.of_step(0, 3, Rows(start=start, stop=stop, total=total))


def plainly_resized(pictures: torch.Tensor) -> torch.Tensor:
    return resized_crop(pictures, torch.from_numpy(whole_boxes(len(pictures))), SIZE)


def test_settings_of_nothing_only_resize() -> None:
    # Two hundredths of the aspect ratio are always drawn.
    changed = distorted(films(), SIZE, STILL, draws())
    difference = (changed - plainly_resized(films())).abs()
    assert difference.mean() < 0.01


@settings(max_examples=15, deadline=None)
@given(step=st.integers(0, 10**6))
def test_films_stay_in_range_and_are_never_mirrored(step: int) -> None:
    marked = torch.zeros(4, 64, 64)
    marked[:, 16:28, 10:22] = 1
    varied = Draws.of_step(1, step, Rows(start=0, stop=4, total=4))
    changed = distorted(marked, SIZE, DistortionSettings(), varied)
    assert changed.shape == (4, SIZE, SIZE)
    assert ((changed >= 0) & (changed <= 1)).all()
    places = torch.arange(SIZE) / SIZE
    weight = changed.clamp(min=0.3) - 0.3
    rows, columns = weight.sum(dim=2), weight.sum(dim=1)
    down = (rows * places).sum(1) / rows.sum(1)
    across = (columns * places).sum(1) / columns.sum(1)
    # The mark is at (0.34, 0.25); crops of four fifths of the area move it by a tenth at most.
    assert ((down - 0.34).abs() < 0.15).all()
    assert ((across - 0.25).abs() < 0.15).all()


def test_each_setting_does_something() -> None:
    still = distorted(films(), SIZE, STILL, draws())
    for change in (
        {"smallest_crop": 0.5},
        {"gamma": 0.5},
        {"local_contrast": 1.0},
        {"distortion": 0.05},
    ):
        varied = STILL.model_copy(update=change)
        assert not torch.allclose(distorted(films(), SIZE, varied, draws()), still, atol=1e-3)


def test_a_film_is_changed_alike_wherever_it_is_processed() -> None:
    together = distorted(films(), SIZE, DistortionSettings(), draws())
    alone = distorted(films()[2:], SIZE, DistortionSettings(), draws(2, 4))
    torch.testing.assert_close(alone, together[2:])
