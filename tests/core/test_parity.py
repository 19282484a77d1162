"""Distances between answers, where there is little to compare or nothing at all."""

from __future__ import annotations

import numpy as np
import pytest

from pacx.bundle import Bundle
from pacx.engines.parity import LIMITS, distances

FLAT = np.full((1, 4, 4), 0.7, np.float32)
RISING = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 4, 4)
ZERO, NO_NUMBER, INFINITE = (np.full_like(FLAT, value) for value in (0, np.nan, np.inf))


def passes(bundle: Bundle, output: str, actual: np.ndarray, wanted: np.ndarray) -> bool:
    found = distances(output, actual, wanted, bundle.manifest)
    limits = LIMITS["bf16"]
    return all(far.max() <= limits.of(output, measure) for measure, far in found.items())


@pytest.mark.parametrize("output", ["rollout", "relevance", "input_gradient", "masks", "embedding"])
@pytest.mark.parametrize("wanted", [ZERO, FLAT, RISING, -FLAT])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_answer_is_as_far_from_itself_as_nothing_and_never_no_number(
    output: str, wanted: np.ndarray, tiny_bundle: Bundle
) -> None:
    assert passes(tiny_bundle, output, wanted, wanted)
    for nothing in (NO_NUMBER, INFINITE):
        assert not passes(tiny_bundle, output, nothing, wanted)


@pytest.mark.parametrize("output", ["rollout", "last_layer", "relevance", "input_gradient"])
def test_a_constant_map_equals_constant_maps_of_its_size_alone(
    output: str, tiny_bundle: Bundle
) -> None:
    assert passes(tiny_bundle, output, FLAT * np.float32(1 + 1e-6), FLAT)
    for other in (ZERO, RISING, -FLAT[:, ::-1] * 2):
        assert not passes(tiny_bundle, output, other, FLAT)
        assert not passes(tiny_bundle, output, FLAT, other)
