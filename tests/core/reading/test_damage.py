"""Any damage to any file ends in one of our errors or in a picture that keeps its contract."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacx.errors import PixelDataCorrupt
from pacx.reading import read
from tests.hostile_files import cut_in_lossless_jpeg
from tests.reader_contract import read_one, seeds

SEEDS = [content for content in seeds() if content]
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4)


def test_every_seed_keeps_the_contract() -> None:
    for content in SEEDS:
        read_one(content)


@given(content=st.sampled_from(SEEDS), edits=EDITS, kept=st.floats(0, 1) | st.just(1.0))
@settings(max_examples=400, deadline=None)
def test_bytes_that_are_changed_or_cut_off(
    content: bytes, edits: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(content)
    for place, value in edits:
        damaged[int(place * (len(damaged) - 1))] = value
    read_one(bytes(damaged[: int(kept * len(damaged))]))


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_bytes_of_no_format(content: bytes) -> None:
    for head in (b"", b"II*\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 128 + b"DICM"):
        read_one(head + content)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_a_lossless_jpeg_that_ends_early_is_refused_or_shows_all_its_pixels(predictor: int) -> None:
    whole = read(cut_in_lossless_jpeg(0, predictor)).pixels
    refused = 0
    for lost_bytes in range(1, 80):
        try:
            assert np.array_equal(read(cut_in_lossless_jpeg(lost_bytes, predictor)).pixels, whole)
        except PixelDataCorrupt:
            refused += 1
    assert refused >= 78
