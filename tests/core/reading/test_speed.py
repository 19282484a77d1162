"""The reader against plain pydicom in the same run; only the order is asserted."""

from __future__ import annotations

import pytest
from pydicom import uid

from benchmarks.decode import TheirsResized, content, fastest_ms, ours, ours_resized, theirs


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEGLSLossless])
def test_reading_is_not_slower_than_pydicom(syntax: uid.UID) -> None:
    mine_ms, theirs_ms = fastest_ms(3, content(syntax), ours, theirs)
    assert mine_ms < theirs_ms


def test_windowing_and_resizing_are_faster_than_pydicom_s() -> None:
    file = content(uid.ExplicitVRLittleEndian)
    mine_ms, theirs_ms = fastest_ms(5, file, ours_resized, TheirsResized(file))
    assert mine_ms < theirs_ms
