"""Nothing about the patient leaves the file: not in results, errors, logs or representations."""

from __future__ import annotations

import logging
import pickle
import traceback

import numpy as np
import pytest
from pydicom.datadict import dictionary_VR

from pacx.errors import InputError
from pacx.reading import ReadingOptions, read
from tests.dicom_files import dicom_file
from tests.hostile_files import picture_file, png_chunk
from tests.marked_file import MARKER, PIXELS, marked

HOSTILE_NAMES = [
    "../../etc/passwd",
    "Müller^Jürgen",
    "line\r\nbreak: injected",
    "nul\0byte",
    "A" * 1_000_000,
]


def test_no_text_of_the_file_is_in_the_result(caplog: pytest.LogCaptureFixture) -> None:
    content = marked()
    assert content.count(MARKER.encode()) > 200
    with caplog.at_level(logging.DEBUG):
        radiograph = read(content)
    assert MARKER.encode() not in pickle.dumps(radiograph)
    assert MARKER not in repr(radiograph)
    assert MARKER not in caplog.text


@pytest.mark.parametrize(
    "keyword",
    [
        "Modality",
        "BodyPartExamined",
        "PhotometricInterpretation",
        "RescaleSlope",
        "WindowCenter",
        "PixelSpacing",
        "NumberOfFrames",
        "ViewPosition",
    ],
)
def test_no_error_repeats_a_value(keyword: str) -> None:
    numeric = dictionary_VR(keyword) in ("DS", "IS")
    content = marked({keyword: "777777777" if numeric else MARKER})
    content = content.replace(b"777777777", MARKER.encode())
    said = _answer(content)
    assert MARKER not in said


def _answer(content: bytes) -> str:
    """Everything that a result or an error says, its causes included."""
    try:
        return repr(read(content, options=ReadingOptions(refuse_lateral=True)))
    except InputError as error:
        return "".join(traceback.format_exception(error))


def test_no_codec_says_what_a_picture_s_texts_hold(capfd: pytest.CaptureFixture[str]) -> None:
    """Libpng complains about broken profiles by name, on the process's own stderr."""
    plain = picture_file()
    name = MARKER.encode()
    texts = [
        png_chunk(b"iCCP", name + b"\0\0" + b"broken"),
        png_chunk(b"tEXt", name + b"\0" + name),
        png_chunk(b"zTXt", name + b"\0\0broken"),
        png_chunk(b"sPLT", name),
    ]
    content = plain[:33] + b"".join(texts) + plain[33:]
    radiograph = read(content)
    assert np.array_equal(radiograph.pixels, read(plain).pixels)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: f"{len(name)}-characters")
def test_names_and_identifiers_of_any_kind_are_passed_over(name: str) -> None:
    content = dicom_file(PIXELS, bits_stored=12, PatientName="PLACEHOLDER")
    raw = name.encode("latin-1", errors="replace")[:60_000]
    raw += b" " * (len(raw) % 2)
    old = b"\x10\0\x10\0PN" + (12).to_bytes(2, "little") + b"PLACEHOLDER "
    new = b"\x10\0\x10\0PN" + len(raw).to_bytes(2, "little") + raw
    assert content.count(old) == 1
    assert read(content.replace(old, new)).pixels.shape == PIXELS.shape
