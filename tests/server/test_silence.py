"""Codecs that complain about a file do so in nobody's log."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from PIL import Image

from pacx.errors import MalformedImage
from pacx.reading import read
from tests.live_server import LiveServer
from tests.phantom_dicom import chest_pixels
from tests.server.test_problems import check


def damaged_tiff() -> bytes:
    """A TIFF whose samples libtiff cannot inflate, which it says on standard error."""
    file = io.BytesIO()
    Image.fromarray(chest_pixels().astype(np.uint16)).save(
        file, "TIFF", compression="tiff_adobe_deflate"
    )
    content = bytearray(file.getvalue())
    middle = len(content) // 2
    content[middle : middle + 60] = b"\xff" * 60
    return bytes(content)


def test_what_libtiff_says_stays_in_the_decoder(
    http: httpx.Client, tiny_server: LiveServer, capfd: pytest.CaptureFixture[str]
) -> None:
    file = damaged_tiff()
    with pytest.raises(MalformedImage):
        read(file)
    assert "Decode" in capfd.readouterr().err, "it does say something"
    check(http.post("/predict", files={"file": file}), 400, "malformed_image")
    assert "Decode" not in tiny_server.text()
