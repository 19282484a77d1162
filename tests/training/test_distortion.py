"""Stage 2's augmentations: bounded, the film's own, and never a mirror image."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional

from pacx_training.augmentation import draw_boxes, resized_crop, whole_boxes
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.distortion import KNOTS, DistortionSettings, distorted
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


def test_a_variant_is_what_scipy_makes_of_the_same_numbers() -> None:
    options, numbers = DistortionSettings(distortion=0.03), draws()
    boxes = draw_boxes(numbers, (options.smallest_crop, 1.0), (0.95, 1 / 0.95))
    knots = torch.from_numpy(numbers.normal(2, KNOTS, KNOTS)) * options.distortion * SIZE
    tones = 2 * numbers.uniform(2) - 1
    crops = resized_crop(films(), torch.from_numpy(boxes), SIZE).numpy()
    fields = functional.interpolate(knots, (SIZE, SIZE), mode="bicubic", align_corners=True)
    expected = []
    for crop, (across, down), (gain, gamma) in zip(crops, fields.numpy(), tones, strict=True):
        rows, columns = np.indices(crop.shape)
        places = [rows + down, columns + across]
        moved = ndimage.map_coordinates(crop, places, order=1, mode="nearest")
        blurred = ndimage.uniform_filter(moved, 2 * (SIZE // 16) + 1, mode="mirror")
        sharp = moved + gain * options.local_contrast * (moved - blurred)
        expected.append(sharp.clip(0, 1) ** np.exp(gamma * options.gamma))
    changed = distorted(films(), SIZE, options, draws())
    np.testing.assert_allclose(changed, np.stack(expected), atol=1e-4)


def test_only_the_films_own_numbers_count() -> None:
    """Torch's global generator decides nothing, and is left as it was: a run resumes exactly."""
    variants = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        variants.append(distorted(films(), SIZE, DistortionSettings(), draws()))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*variants)
