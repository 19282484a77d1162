"""The bundled model on real films, where they are at hand: one picture, one answer."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pacx_client import PacxClient


@pytest.fixture(scope="module")
def films(data_dir: Path) -> dict[str, bytes]:
    """One film, uncompressed and as JPEG 2000."""
    found = {path.stem: path.read_bytes() for path in data_dir.rglob("RG1_*.dcm")}
    if not {"RG1_J2KR", "RG1_UNCR"} <= found.keys():
        pytest.skip("the film RG1 is not among the real radiographs")
    return found


def test_two_codings_of_one_film_answer_alike(server_url: str, films: dict[str, bytes]) -> None:
    with PacxClient(server_url) as client:
        compressed = client.predict(films["RG1_J2KR"])
        plain = client.predict(films["RG1_UNCR"])
        overlay = client.explain(films["RG1_J2KR"])
    for one, other in zip(compressed.findings, plain.findings, strict=True):
        assert one.label == other.label
        assert one.probability == pytest.approx(other.probability, abs=1e-6)
    assert compressed.image.spacing_mm is None
    assert "spacing_unknown" in {warning.code for warning in compressed.warnings}
    assert Image.open(io.BytesIO(overlay)).size == (1841, 1955)
