"""A file that is mapped reads as the same file in memory."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from pacx.reading import read
from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels

SYNTAXES = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_mapped_and_in_memory_are_one(syntax: uid.UID, tmp_path: Path) -> None:
    content = dicom_file(chest_pixels(96, 80), syntax=syntax, bits_stored=12)
    path = tmp_path / "film"
    path.write_bytes(content)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert np.array_equal(read(mapped).pixels, read(content).pixels)
