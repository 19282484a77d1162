"""The table of flagged pictures counts each picture once, and counts what the model flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

import pacx
from benchmarks.novelty import pictures
from benchmarks.novelty.__main__ import row, table
from tests.server.tiny_bundle import make_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two codings of one picture, one other picture, a CT slice, and a file that is none."""
    grey = np.random.default_rng(0).integers(0, 255, (80, 60), np.uint8)
    for name, pixels in {"a.png": grey, "b.tif.png": grey, "deep/c.png": grey[::-1]}.items():
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    slice_file = get_testdata_file("CT_small.dcm")
    assert isinstance(slice_file, str)
    (tmp_path / "pictures" / "slice.dcm").write_bytes(Path(slice_file).read_bytes())
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def test_every_picture_is_counted_once_and_ct_slices_are_read(folder: Path) -> None:
    shapes = sorted(found.pixels.shape for found in pictures.folder(folder, 10))
    assert shapes == [(80, 60), (80, 60), (128, 128)]
    assert len(list(pictures.folder(folder, 2))) == 2


@pytest.mark.parametrize(
    "make", [pictures.white_noise, pictures.clouds, pictures.chequered, pictures.drawn_lateral]
)
def test_made_pictures_repeat_under_a_seed(make: pictures.Maker) -> None:
    np.testing.assert_array_equal(make(3), make(3))
    assert not np.array_equal(make(3), make(4))


def test_a_row_counts_what_is_flagged_by_either_check() -> None:
    line = row("noise", [(True, False), (True, True), (False, True), (False, False)])
    assert line.startswith("| noise | 4 | 2 (50 %, ")
    assert "| 3 (75 %, " in line


def test_a_model_that_judges_nothing_flags_nothing(folder: Path, tmp_path: Path) -> None:
    model = pacx.load(make_bundle(tmp_path / "tiny").directory, engine="onnxruntime")
    text = table(model, {"All": {"some": lambda: pictures.folder(folder, 10)}})
    assert "| some | 3 | 0 (0 %" in text
