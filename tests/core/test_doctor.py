"""`pacx doctor` names the decoder of every transfer syntax."""

import os
import subprocess
import sys
from pathlib import Path

from pydicom import uid

from pacx.reading import available_decoders
from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels


def doctor(*files: Path) -> list[str]:
    """The lines that the command prints."""
    run = subprocess.run(
        [sys.executable, "-m", "pacx", "doctor", *map(str, files)],
        capture_output=True,
        check=True,
        env=os.environ | {"COLUMNS": "300"},
        text=True,
    )
    return run.stdout.splitlines()


def test_every_transfer_syntax_is_listed_with_its_decoder() -> None:
    lines = doctor()
    for decoder in available_decoders():
        assert any(decoder.name in line and decoder.library in line for line in lines), decoder


def test_a_file_is_listed_with_the_decoder_that_served_it(tmp_path: Path) -> None:
    for name, syntax in (("plain", uid.ExplicitVRLittleEndian), ("rle", uid.RLELossless)):
        content = dicom_file(chest_pixels(96, 80), syntax=syntax, bits_stored=12)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "text").write_text("hello")
    lines = doctor(tmp_path)
    for name, served in (("plain", "numpy"), ("rle", "imcd"), ("text", "not_an_image")):
        assert any(name in line and served in line for line in lines), name
